import { readFileSync } from "node:fs";
import { didYouMean, nearestNames } from "../../core/diagnostics.ts";
import { UnsupportedError, UsageError } from "../../core/errors.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { bpf, errnoOf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { libc } from "../../sys/libc.ts";
import { kernelRelease } from "../../sys/proc.ts";
import { linkCreate } from "../../uapi/bpf-attr.ts";
import { BPF_XDP, XDP_FLAGS_MODES, XDP_FLAGS_UPDATE_IF_NOEXIST } from "../../uapi/constants.ts";
import { supports } from "../features.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach, explainAttach } from "./attach-error.ts";

type Target = Extract<AttachTarget, { hook: "xdp" }>;

/**
 * Runs a program on every packet a device receives, in this process's network namespace. Since Linux 5.9: the link
 * detaches by itself when the process ends, which the older interface does not.
 *
 * @throws UnsupportedError on older kernels
 * @throws AttachError for an unknown device, one that has a program already, or a mode the driver lacks
 */
export function attachXdp(program: KernelProgram, target: Target): Link {
  const allowed = XDP_FLAGS_MODES | XDP_FLAGS_UPDATE_IF_NOEXIST;
  if ((target.flags & ~allowed) !== 0) {
    throw new UsageError(`XDP flags 0x${target.flags.toString(16)} are more than a mode`, {
      hint: "links never replace another program; use one of XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_HW_MODE",
    });
  }
  const index = deviceIndex(program, target, target.device);
  const label = `XDP on ${target.device}`;
  return buildLink(label, (parts) => {
    try {
      const fd = bpf("BPF_LINK_CREATE", linkCreate, {
        prog_fd: program.fd,
        target: index,
        attach_type: BPF_XDP,
        flags: target.flags & XDP_FLAGS_MODES,
      });
      parts.own(new Fd(fd, label));
      return new KernelLink(program, target, parts);
    } catch (error) {
      throw explain(program, target, error);
    }
  });
}

function explain(program: KernelProgram, target: Target, cause: unknown): unknown {
  if (errnoOf(cause) === "EINVAL" && supports("xdp_link").state === "no") {
    return new UnsupportedError(
      `attaching XDP programs needs links, which need Linux 5.9; this is ${kernelRelease()}`,
      {
        cause,
      },
    );
  }
  return explainAttach({ program, target, capability: "CAP_BPF and CAP_NET_ADMIN" }, cause, {
    EBUSY: "the device has an XDP program already",
    EEXIST: "the device has an XDP program in another mode already",
    EOPNOTSUPP: "the device's driver does not have this mode",
    EINVAL: `the program is a ${program.kind} program, or the modes exclude each other`,
  });
}

/**
 * The index of a network device in this process's namespace.
 *
 * @throws AttachError with the nearest names
 */
export function deviceIndex(program: KernelProgram, target: AttachTarget, device: string): number {
  const index = libc().if_nametoindex(device);
  if (index !== 0) return index;
  const names = deviceNames();
  const hint = didYouMean(nearestNames(device, names)) ?? `devices here: ${names.join(", ")}`;
  throw cannotAttach(program, target, "no such device", { hint });
}

/** Names of this namespace's devices. A sysfs that was mounted in another namespace would show those of that one. */
function deviceNames(): readonly string[] {
  const lines = readFileSync("/proc/self/net/dev", "latin1").split("\n");
  return lines.flatMap((line) => /^\s*(\S+?):/.exec(line)?.[1] ?? []);
}
