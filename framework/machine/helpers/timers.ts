import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";

/** Bytes of struct bpf_timer. */
const TIMER_BYTES = 16;

/** A name for the timer that r1 points to. */
function timerAt(run: Execution): string {
  const at = run.reach(1, TIMER_BYTES, true);
  return `${run.reached.id}:${at}`;
}

/** bpf_timer_init(timer, map, clock): the timer is in a value of the map. */
export function timerInit(run: Execution): void {
  const at = run.reach(1, TIMER_BYTES, true);
  const { reached } = run;
  const map = run.map(2);
  const entry = reached === map.store.region ? map.store.entryAt?.(at) : undefined;
  if (entry === undefined) return run.result(errno.EINVAL);
  run.result(run.services.timers.init(`${reached.id}:${at}`, { map, ...entry }, run.number(3)));
}

/** bpf_timer_set_callback(timer, function) */
export function timerCallback(run: Execution): void {
  run.result(run.services.timers.setCallback(timerAt(run), run.program, run.functionSlot(2)));
}

/** bpf_timer_start(timer, nanoseconds, flags) */
export function timerStart(run: Execution): void {
  const time = BigInt.asUintN(64, run.big(2));
  run.result(run.services.timers.start(timerAt(run), run.happening.clock, time, run.number(3)));
}

/** bpf_timer_cancel(timer) */
export function timerCancel(run: Execution): void {
  run.result(run.services.timers.cancel(timerAt(run)));
}
