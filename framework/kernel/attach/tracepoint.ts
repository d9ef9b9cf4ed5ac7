import { didYouMean, nearestNames } from "../../core/diagnostics.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { availableEvents, tracepointId } from "../../sys/tracefs.ts";
import { PERF_TYPE_TRACEPOINT } from "../../uapi/perf-event.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import { openPerfEvent, runOnEvent } from "../perf-events.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach, explainAttach } from "./attach-error.ts";

type Target = Extract<AttachTarget, { hook: "tracepoint" }>;

/**
 * Runs a program at a tracepoint, on all CPUs and for all processes. Since Linux 4.7.
 *
 * @throws AttachError for a tracepoint this kernel lacks, with the nearest names
 */
export function attachTracepoint(program: KernelProgram, target: Target): Link {
  const { category, name } = target;
  const id = tracepointId(category, name);
  if (id === undefined) {
    const hint = didYouMean(nearestNames(`${category}:${name}`, availableEvents()));
    throw cannotAttach(program, target, "no such tracepoint", { hint });
  }
  return attachTraceEvent(program, target, { id, label: `tracepoint ${category}:${name}` });
}

/** Runs a program at an event that tracefs has a number for. */
export function attachTraceEvent(
  program: KernelProgram,
  target: AttachTarget,
  event: { readonly id: number; readonly label: string },
): Link {
  const { id, label } = event;
  return buildLink(label, (parts) => {
    try {
      const attr = { type: PERF_TYPE_TRACEPOINT, config: BigInt(id) };
      runOnEvent(parts.own(openPerfEvent(label, { attr, cpu: 0 })), program.fd);
      return new KernelLink(program, target, parts);
    } catch (error) {
      throw explainAttach({ program, target, capability: "CAP_PERFMON" }, error, {
        EINVAL: `the kernel does not run ${program.kind} programs there`,
        EACCES: "the program reads more of the context than the event has",
        EEXIST: "this very program runs at this event already",
        E2BIG: "too many programs are attached to this event",
      });
    }
  });
}
