import type { AttachTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { bpf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { rawTracepointOpen } from "../../uapi/bpf-attr.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";
import { explainAttach } from "./attach-error.ts";

type Target = Extract<AttachTarget, { hook: "btf" }>;

/**
 * Runs a program at what it was loaded for: fentry, fexit and tp_btf programs (since Linux 5.5), fmod_ret and LSM
 * programs (5.7).
 *
 * @throws AttachError when the kernel does not allow it there
 */
export function attachBtf(program: KernelProgram, target: Target): Link {
  const label = `${program.kind} ${target.name}`;
  return buildLink(label, (parts) => {
    try {
      parts.own(
        new Fd(bpf("BPF_RAW_TRACEPOINT_OPEN", rawTracepointOpen, { name: 0n, prog_fd: program.fd }), label),
      );
      return new KernelLink(program, target, parts);
    } catch (error) {
      throw explainAttach({ program, target, capability: "CAP_BPF and CAP_PERFMON" }, error, {
        EBUSY: "the kernel function is being traced in another way",
        E2BIG: "the kernel function has as many programs as it can take",
        EINVAL: "the kernel does not allow a program there",
      });
    }
  });
}
