import { readdirSync, readFileSync } from "node:fs";
import { PermissionError, UnsupportedError, UsageError } from "../../core/errors.ts";
import { type PerfEventAttr, perfEventBits, perfEventFields } from "../../programs/perf-event-attr.ts";
import { type AttachTarget, describeTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { errnoOf } from "../../sys/bpf.ts";
import type { Fd } from "../../sys/fd.ts";
import { kernelRelease } from "../../sys/proc.ts";
import {
  PERF_COUNT_SW_BPF_OUTPUT,
  PERF_TYPE_HARDWARE,
  PERF_TYPE_HW_CACHE,
  PERF_TYPE_RAW,
  PERF_TYPE_SOFTWARE,
  PERF_TYPE_TRACEPOINT,
} from "../../uapi/perf-event.ts";
import { CpuEvents, unlessGone } from "../cpu-events.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import { openPerfEvent, type PerfEventOptions, runOnEvent } from "../perf-events.ts";
import { isPermission } from "../permission.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach, explainAttach } from "./attach-error.ts";

type Target = Extract<AttachTarget, { hook: "perf_event" }>;

/** Opens the event for a thread (-1: everybody) on a CPU (-1: all), with the program running. */
type Open = (pid: number, cpu: number) => Fd;

/**
 * Runs a program when a counter overflows: every so many events, or so many times a second. Since Linux 4.9.
 *
 * For everybody there is one event on each CPU that runs, and on each that comes online later. For one process there is
 * one for each of its threads, which follows the thread to every CPU and, with `inherit`, counts in the threads and
 * processes that it makes.
 *
 * @throws UsageError for events that run programs in another way
 * @throws UnsupportedError for a counter that this machine lacks; AttachError for an unknown process or CPU
 */
export function attachPerfEvent(program: KernelProgram, target: Target): Link {
  checkEvent(target.attr);
  const attr = encodeAttr(target.attr);
  const label = describeTarget(target);
  const open: Open = (pid, cpu) => {
    const event = openPerfEvent(label, { attr, pid, cpu, groupFd: target.groupFd });
    try {
      runOnEvent(event, program.fd);
      return event;
    } catch (error) {
      event[Symbol.dispose]();
      throw error;
    }
  };
  return buildLink(label, (parts) => {
    try {
      if (target.pid >= 0) {
        const events = eventsOfProcess(target, open);
        if (events.length === 0) throw cannotAttach(program, target, "no such process");
        for (const event of events) parts.own(event);
      } else if (target.cpu >= 0) parts.own(open(-1, target.cpu));
      else parts.own(new CpuEvents((cpu) => open(-1, cpu)));
    } catch (error) {
      throw explain(program, target, error);
    }
    return new KernelLink(program, target, parts);
  });
}

function checkEvent({ type, config }: PerfEventAttr): void {
  if (type === PERF_TYPE_TRACEPOINT) {
    throw new UsageError("tracepoints run programs of their own kind", { hint: "use attach_tracepoint" });
  }
  if (type === PERF_TYPE_SOFTWARE && BigInt(config) === PERF_COUNT_SW_BPF_OUTPUT) {
    throw new UsageError("the event BPF output never overflows", {
      hint: "declare BPF_PERF_OUTPUT(name) for sending records",
    });
  }
}

type EncodedAttr = PerfEventOptions["attr"];

/** The struct's fields: frequency and period share a place, and bit-fields are one word. */
function encodeAttr(attr: PerfEventAttr): EncodedAttr {
  let flags = 0n;
  for (const [name, [start, width]] of Object.entries(perfEventBits)) {
    const value = attr[name as keyof typeof perfEventBits] ?? 0;
    flags |= (BigInt(value) & ((1n << BigInt(width)) - 1n)) << BigInt(start);
  }
  const isFrequency = attr.sample_freq !== undefined && attr.sample_freq !== 0;
  if (isFrequency) flags |= 1n << BigInt(perfEventBits.freq[0]);
  const values = perfEventFields.flatMap((name) =>
    name === "sample_freq" || attr[name] === undefined ? [] : [[name, attr[name]] as const],
  );
  // The layout's codecs take numbers for 64-bit fields and bigints for smaller ones as well, if they fit.
  const fields = Object.fromEntries(values) as EncodedAttr;
  return { ...fields, ...(isFrequency ? { sample_period: BigInt(attr.sample_freq!) } : {}), flags };
}

/** An event for each thread. A thread may make another while they are listed, so they are listed until none is new. */
function eventsOfProcess({ pid, cpu }: Target, open: Open): readonly Fd[] {
  const events = new Map<number, Fd>();
  try {
    for (let isNew = true; isNew; ) {
      isNew = false;
      for (const thread of threadsOf(pid === 0 ? process.pid : pid)) {
        if (events.has(thread)) continue;
        isNew = true;
        const event = unlessGone("ESRCH", () => open(thread, cpu));
        if (event !== undefined) events.set(thread, event);
      }
    }
    return [...events.values()];
  } catch (error) {
    for (const event of events.values()) event[Symbol.dispose]();
    throw error;
  }
}

/** The threads of a process; none of one that is gone. */
function threadsOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}

const COUNTERS: ReadonlySet<number> = new Set([PERF_TYPE_HARDWARE, PERF_TYPE_HW_CACHE, PERF_TYPE_RAW]);

function explain(program: KernelProgram, target: Target, cause: unknown): unknown {
  const errno = errnoOf(cause) ?? "";
  if (isPermission(errno)) {
    return new PermissionError(
      `attaching "${program.spec.name}" to ${describeTarget(target)} needs CAP_PERFMON`,
      {
        hint: `run as root, or lower kernel.perf_event_paranoid, which is ${paranoia()}`,
        cause,
      },
    );
  }
  if (
    ["ENOENT", "EOPNOTSUPP", "ENODEV"].includes(errno) &&
    COUNTERS.has(target.attr.type) &&
    target.cpu < 0
  ) {
    return new UnsupportedError(
      `cannot attach "${program.spec.name}" to ${describeTarget(target)}: this machine (Linux ${kernelRelease()}) has no such counter`,
      {
        hint: "virtual machines mostly have none; software events work there: PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK",
        cause,
      },
    );
  }
  return explainAttach({ program, target, capability: "CAP_PERFMON" }, cause, {
    ENOENT: "no such event",
    ENODEV: `CPU ${target.cpu} does not run`,
    EINVAL: invalid(target),
    EMFILE: "too many open files: raise the limit (ulimit -n)",
    EBUSY: "the counter is in use",
  });
}

function invalid({ attr, cpu }: Target): string {
  const most = read("/proc/sys/kernel/perf_event_max_sample_rate");
  if (Number(attr.sample_freq ?? 0) > Number(most)) {
    return `kernel.perf_event_max_sample_rate allows at most ${most} samples a second`;
  }
  return cpu >= 0 ? `there is no CPU ${cpu}, or no such event` : "no such event";
}

function paranoia(): string {
  return read("/proc/sys/kernel/perf_event_paranoid");
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return "unknown"; // a kernel without perf events
  }
}
