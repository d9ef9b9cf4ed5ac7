import { type Execution, MOST_TAIL_CALLS } from "./execution.ts";

/**
 * bpf_tail_call(ctx, map, index): runs the program of a slot in the current frame. True when it ran, and r0 is its
 * result; false when the slot is empty or does not exist, or the run has made its 33 tail calls.
 */
export function tailCall(run: Execution): boolean {
  const map = run.map(2);
  const target = map.store.programAt?.(run.word(3)) ?? null;
  if (target === null || run.tailCalls >= MOST_TAIL_CALLS) return false;
  run.tailCalls++;
  run.enter(target, 0);
  return true;
}
