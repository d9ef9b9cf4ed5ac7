import { setTimer } from "./later.ts";

/** Clocks and alarms, in nanoseconds. */
export interface Clock {
  /** Since boot, without time asleep: bpf_ktime_get_ns. */
  monotonic(): bigint;
  /** Since 1970. */
  realtime(): bigint;
  /** Calls an action after some time; returns how to cancel. */
  after(delay: bigint, action: () => void): () => void;
}

const PER_MILLISECOND = 1_000_000n;

function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1e6));
}

/** The time that this process sees. @param now nanoseconds since boot; the time since the process began without it */
export function realClock(now?: () => bigint): Clock {
  return {
    monotonic: now ?? (() => nanoseconds(performance.now())),
    realtime: () => BigInt(Math.round(performance.timeOrigin * 1e6)) + nanoseconds(performance.now()),
    after: (delay, action) => setTimer(action, Number(delay / PER_MILLISECOND)),
  };
}

interface Alarm {
  readonly at: bigint;
  readonly action: () => void;
}

/** A time that stands still until it is moved: for tests. */
export class VirtualClock implements Clock {
  #now: bigint;
  readonly #alarms = new Set<Alarm>();

  /** @param now nanoseconds since boot at the beginning */
  constructor(now = 0n) {
    this.#now = now;
  }

  monotonic(): bigint {
    return this.#now;
  }

  realtime(): bigint {
    return this.#now;
  }

  after(delay: bigint, action: () => void): () => void {
    const alarm = { at: this.#now + delay, action };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Sets the time, without ringing alarms in between. */
  set(now: bigint): void {
    this.#now = now;
  }

  /** Lets time pass; alarms ring at their time, in order, those that are set meanwhile too. */
  advance(by: bigint): void {
    const end = this.#now + by;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#alarms.delete(next);
      if (next.at > this.#now) this.#now = next.at;
      next.action();
    }
    this.#now = end;
  }

  #next(end: bigint): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.at <= end && (first === undefined || alarm.at < first.at)) first = alarm;
    }
    return first;
  }
}
