import type { AttachTarget, Hook } from "../../programs/targets.ts";
import type { Link, RawMap } from "../../runtime/types.ts";
import type { KernelProgram } from "../programs.ts";
import { attachBtf } from "./btf.ts";
import { attachIterator } from "./iter.ts";
import { attachKprobe } from "./kprobe.ts";
import { attachKprobeMulti } from "./kprobe-multi.ts";
import { attachPerfEvent } from "./perf-event.ts";
import { attachPlace } from "./place.ts";
import { attachRawTracepoint } from "./raw-tracepoint.ts";
import { attachSocket, attachSocketFilter } from "./socket.ts";
import { attachTc } from "./tc.ts";
import { attachTracepoint } from "./tracepoint.ts";
import { attachUprobe } from "./uprobe.ts";
import { attachXdp } from "./xdp.ts";

/** Attaches to one kind of hook; to a map's, for hooks that take one. */
export type Attacher<H extends Hook> = (
  program: KernelProgram,
  target: Extract<AttachTarget, { hook: H }>,
  map?: RawMap,
) => Link;

const attachers: { readonly [H in Hook]: Attacher<H> } = {
  btf: attachBtf,
  iter: attachIterator,
  kprobe: attachKprobe,
  kprobe_multi: attachKprobeMulti,
  uprobe: attachUprobe,
  tracepoint: attachTracepoint,
  raw_tracepoint: attachRawTracepoint,
  xdp: attachXdp,
  tc: attachTc,
  socket_filter: attachSocketFilter,
  socket: attachSocket,
  place: attachPlace,
  perf_event: attachPerfEvent,
};

/** Attaches a program, whatever the hook. */
export function attach(program: KernelProgram, target: AttachTarget, map?: RawMap): Link {
  // The record pairs each hook with its own target; the compiler cannot follow that through the union.
  const attacher = attachers[target.hook] as (
    program: KernelProgram,
    target: AttachTarget,
    map?: RawMap,
  ) => Link;
  return attacher(program, target, map);
}
