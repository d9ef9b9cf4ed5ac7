import { didYouMean, nearestNames } from "../../core/diagnostics.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { withArena } from "../../sys/arena.ts";
import { bpf, errnoOf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { kernelRelease } from "../../sys/proc.ts";
import { availableEvents, findTracefs } from "../../sys/tracefs.ts";
import { rawTracepointOpen } from "../../uapi/bpf-attr.ts";
import { supports } from "../features.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach, explainAttach } from "./attach-error.ts";

type Target = Extract<AttachTarget, { hook: "raw_tracepoint" }>;

/**
 * Runs a program at a tracepoint with the tracepoint's own arguments. Since Linux 4.17; needs no tracefs.
 *
 * @throws AttachError for a tracepoint this kernel lacks, with the nearest names
 */
export function attachRawTracepoint(program: KernelProgram, target: Target): Link {
  const label = `raw tracepoint ${target.name}`;
  return buildLink(label, (parts) => {
    try {
      parts.own(new Fd(open(program, target.name), label));
      return new KernelLink(program, target, parts);
    } catch (error) {
      throw explain(program, target, error);
    }
  });
}

function open(program: KernelProgram, name: string): number {
  return withArena((arena) =>
    bpf("BPF_RAW_TRACEPOINT_OPEN", rawTracepointOpen, { name: arena.text(name), prog_fd: program.fd }),
  );
}

function explain(program: KernelProgram, target: Target, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno === "ENOENT") {
    return cannotAttach(program, target, "no such tracepoint", { hint: near(target.name), cause });
  }
  if (errno === "EINVAL" && supports("raw_tracepoint").state === "no") {
    return new UnsupportedError(`raw tracepoints need Linux 4.17; this is ${kernelRelease()}`, {
      hint: "tracepoints work here",
      cause,
    });
  }
  return explainAttach({ program, target, capability: "CAP_BPF and CAP_PERFMON" }, cause, {
    EINVAL: `the program is a ${program.kind} program, or reads more arguments than the tracepoint has`,
  });
}

/** Names of tracepoints, where tracefs is at hand to list them; events mostly have the tracepoint's name. */
function near(name: string): string | undefined {
  if (findTracefs() === undefined) return undefined;
  const names = new Set(availableEvents().map((event) => event.slice(event.indexOf(":") + 1)));
  const system = /^sys_(enter|exit)_/.exec(name);
  if (system !== null) return `raw tracepoints see all system calls: use sys_${system[1]}`;
  return didYouMean(nearestNames(name, ["sys_enter", "sys_exit", ...names]));
}
