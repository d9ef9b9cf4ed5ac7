import type { AttachTarget, Hook } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import type { KernelProgram } from "../programs.ts";
import { attachBtf } from "./btf.ts";
import { attachKprobe } from "./kprobe.ts";
import { attachRawTracepoint } from "./raw-tracepoint.ts";
import { attachSocketFilter } from "./socket.ts";
import { attachTracepoint } from "./tracepoint.ts";
import { attachUprobe } from "./uprobe.ts";
import { attachXdp } from "./xdp.ts";

/** Attaches to one kind of hook. */
export type Attacher<H extends Hook> = (
  program: KernelProgram,
  target: Extract<AttachTarget, { hook: H }>,
) => Link;

const attachers: { readonly [H in Hook]: Attacher<H> } = {
  btf: attachBtf,
  kprobe: attachKprobe,
  uprobe: attachUprobe,
  tracepoint: attachTracepoint,
  raw_tracepoint: attachRawTracepoint,
  xdp: attachXdp,
  socket_filter: attachSocketFilter,
};

/** Attaches a program, whatever the hook. */
export function attach(program: KernelProgram, target: AttachTarget): Link {
  // The record pairs each hook with its own target; the compiler cannot follow that through the union.
  const attacher = attachers[target.hook] as (program: KernelProgram, target: AttachTarget) => Link;
  return attacher(program, target);
}
