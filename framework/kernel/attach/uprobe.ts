import { existsSync, readFileSync } from "node:fs";
import { UnsupportedError } from "../../core/errors.ts";
import type { Scope } from "../../core/scope.ts";
import { type AttachTarget, describeTarget, type UprobePlace } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { withArena } from "../../sys/arena.ts";
import { bpf, errnoOf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { kernelRelease } from "../../sys/proc.ts";
import { linkCreatePerfEvent, linkCreateUprobeMulti } from "../../uapi/bpf-attr.ts";
import { BPF_F_UPROBE_MULTI_RETURN, BPF_PERF_EVENT, BPF_TRACE_UPROBE_MULTI } from "../../uapi/constants.ts";
import { EVENT_SOURCES } from "../features.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import { enable, openPerfEvent, runOnEvent } from "../perf-events.ts";
import type { KernelProgram } from "../programs.ts";
import { explainAttach } from "./attach-error.ts";

type Target = Extract<AttachTarget, { hook: "uprobe" }>;

/**
 * Runs a program when processes reach places of a program or library: through the uprobe event source (since Linux
 * 4.17), or for programs of kind "uprobe_multi" through one link for all places (6.6). All places or none.
 *
 * @throws UnsupportedError on a kernel without uprobes, or without counters for probes that have one (4.20)
 * @throws AttachError for a place that cannot be probed, and for an unknown process
 */
export function attachUprobe(program: KernelProgram, target: Target): Link {
  return buildLink(describeTarget(target), (parts) => {
    try {
      if (program.kind === "uprobe_multi") attachTogether(program, target, parts);
      else attachEach(program, target, parts);
      return new KernelLink(program, target, parts);
    } catch (error) {
      throw explainAttach({ program, target, capability: "CAP_BPF and CAP_PERFMON" }, error, {
        ESRCH: "no such process",
        ENOENT: "no such file",
        EBADF: "that is no file that programs run from",
        EINVAL: "the kernel does not allow a probe there: it is past the file's end, or not aligned",
        ENOTSUPP: "the kernel cannot probe this instruction, or the place is not where one begins",
        EOPNOTSUPP: "the kernel cannot probe this instruction, or the place is not where one begins",
        ENOEXEC: "the place is not where an instruction begins",
        EIO: "the file system does not let the kernel probe its files (overlayfs before Linux 4.19 does not)",
      });
    }
  });
}

function attachEach(program: KernelProgram, target: Target, parts: Scope): void {
  const label = describeTarget(target);
  const type = eventSourceType(label);
  const inProcess = target.pid >= 0 ? { pid: target.pid, cpu: -1 } : { cpu: 0 };
  for (const place of target.places) {
    withArena((arena) => {
      const attr = {
        type,
        config: (target.atReturn ? bitOf("retprobe") : 0n) | counterBits(label, place),
        config1: arena.text(target.path),
        config2: BigInt(place.offset),
      };
      const event = parts.own(openPerfEvent(label, { attr, ...inProcess }));
      run(program, event, place, parts);
    });
  }
}

/** The number of the uprobe event source. */
function eventSourceType(label: string): number {
  const path = `${EVENT_SOURCES}/uprobe/type`;
  if (existsSync(path)) return Number(readFileSync(path, "latin1"));
  throw new UnsupportedError(
    `cannot attach to ${label}: user functions need Linux 4.17 built with CONFIG_UPROBE_EVENTS; this is ${kernelRelease()}`,
    existsSync(EVENT_SOURCES) ? {} : { hint: "sysfs is not mounted here: mount -t sysfs sysfs /sys" },
  );
}

/** The lowest bit of a field of `config`, from "config:0" or "config:32-63". */
function bitOf(field: string): bigint {
  const text = readFileSync(`${EVENT_SOURCES}/uprobe/format/${field}`, "latin1");
  return 1n << BigInt(/config:(\d+)/.exec(text)?.[1] ?? 0);
}

function counterBits(label: string, { refCounter }: UprobePlace): bigint {
  if (refCounter === 0) return 0n;
  if (!existsSync(`${EVENT_SOURCES}/uprobe/format/ref_ctr_offset`)) {
    throw new UnsupportedError(
      `cannot attach to ${label}: the probe has a counter (semaphore) that tells its program to reach it, and the kernel raises those from Linux 4.20 on; this is ${kernelRelease()}`,
    );
  }
  return BigInt(refCounter) * bitOf("ref_ctr_offset");
}

/** With a cookie through a link of its own (5.15). Programs that ask for cookies do not load on kernels without. */
function run(program: KernelProgram, event: Fd, { cookie }: UprobePlace, parts: Scope): void {
  if (cookie === 0n) return runOnEvent(event, program.fd);
  try {
    const values = {
      prog_fd: program.fd,
      target: event.number,
      attach_type: BPF_PERF_EVENT,
      bpf_cookie: cookie,
    };
    parts.own(new Fd(bpf("BPF_LINK_CREATE", linkCreatePerfEvent, values), event.label));
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw error;
    return runOnEvent(event, program.fd);
  }
  enable(event);
}

function attachTogether(program: KernelProgram, target: Target, parts: Scope): void {
  const { places } = target;
  withArena((arena) => {
    const words = (pick: (place: UprobePlace) => number | bigint): bigint => {
      const values = places.map((place) => BigInt(pick(place)));
      return values.some((value) => value !== 0n)
        ? arena.in(new Uint8Array(BigUint64Array.from(values).buffer))
        : 0n;
    };
    const fd = bpf("BPF_LINK_CREATE", linkCreateUprobeMulti, {
      prog_fd: program.fd,
      attach_type: BPF_TRACE_UPROBE_MULTI,
      path: arena.text(target.path),
      offsets: words(({ offset }) => offset),
      ref_ctr_offsets: words(({ refCounter }) => refCounter),
      cookies: words(({ cookie }) => cookie),
      cnt: places.length,
      flags: target.atReturn ? BPF_F_UPROBE_MULTI_RETURN : 0,
      pid: Math.max(target.pid, 0),
    });
    parts.own(new Fd(fd, describeTarget(target)));
  });
}
