import { errno } from "./errno.ts";
import type { Runnable } from "./execution.ts";
import type { Clock } from "./happening.ts";
import type { MachineMap } from "./maps/machine-map.ts";

/** What a timer calls. */
export interface TimerCall {
  readonly program: Runnable;
  /** Where the function begins. */
  readonly slot: number;
  readonly map: MachineMap;
  readonly key: Uint8Array;
  /** Where the entry's value is in the map's region. */
  readonly valueAt: number;
  /** The clock that it was set by. */
  readonly clock: Clock;
}

interface Timer {
  readonly map: MachineMap;
  readonly key: Uint8Array;
  readonly valueAt: number;
  readonly isRealtime: boolean;
  callback: { readonly program: Runnable; readonly slot: number } | null;
  cancel: (() => void) | null;
}

/** Clocks that bpf_timer_init takes: CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME. */
const REALTIME = 0;
const CLOCKS = [REALTIME, 1, 7];
/** BPF_F_TIMER_ABS: the time is one of the clock, not from now. */
const ABSOLUTE = 1;
/** BPF_F_TIMER_CPU_PIN: on the CPU that set it. The machine has no other. */
const PINNED = 2;

/** No timer rings sooner, so that one that sets itself again does not keep a virtual clock from going on. */
const LEAST_DELAY = 1000n;

/** Timers that programs keep in map values, by where they are. */
export class Timers implements Disposable {
  readonly #timers = new Map<string, Timer>();
  readonly #call: (call: TimerCall) => void;

  /** @param call runs a timer's function */
  constructor(call: (call: TimerCall) => void) {
    this.#call = call;
  }

  /** bpf_timer_init */
  init(at: string, entry: Pick<TimerCall, "map" | "key" | "valueAt">, clock: number): number {
    if (!CLOCKS.includes(clock)) return errno.EINVAL;
    const before = this.#timers.get(at);
    if (before !== undefined && this.#isThere(before)) return errno.EBUSY;
    before?.cancel?.();
    this.#timers.set(at, { ...entry, isRealtime: clock === REALTIME, callback: null, cancel: null });
    return 0;
  }

  /** bpf_timer_set_callback */
  setCallback(at: string, program: Runnable, slot: number): number {
    const timer = this.#timers.get(at);
    if (timer === undefined) return errno.EINVAL;
    timer.callback = { program, slot };
    return 0;
  }

  /** bpf_timer_start */
  start(at: string, clock: Clock, time: bigint, flags: number): number {
    const timer = this.#timers.get(at);
    if (timer === undefined || timer.callback === null || flags > (ABSOLUTE | PINNED)) return errno.EINVAL;
    timer.cancel?.();
    const now = (flags & ABSOLUTE) === 0 ? 0n : timer.isRealtime ? clock.realtime() : clock.monotonic();
    const delay = time - now;
    timer.cancel = clock.after(delay > LEAST_DELAY ? delay : LEAST_DELAY, () => this.#ring(at, timer, clock));
    return 0;
  }

  /** bpf_timer_cancel: 1 when it was running. */
  cancel(at: string): number {
    const timer = this.#timers.get(at);
    if (timer === undefined) return errno.EINVAL;
    const wasActive = timer.cancel !== null;
    timer.cancel?.();
    timer.cancel = null;
    return wasActive ? 1 : 0;
  }

  #ring(at: string, timer: Timer, clock: Clock): void {
    timer.cancel = null;
    const { callback, map, key, valueAt } = timer;
    // A timer goes with its entry, and with its map.
    if (map.closed || !this.#isThere(timer)) this.#timers.delete(at);
    else if (callback !== null) this.#call({ ...callback, map, key, valueAt, clock });
  }

  #isThere({ map, key, valueAt }: Timer): boolean {
    return map.store.find(key, 0, -1) === valueAt;
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) timer.cancel?.();
    this.#timers.clear();
  }
}
