import type { Observable, Subscription } from "rxjs";
import { UsageError } from "../../framework/core/errors.ts";
import { type Origin, originOf } from "./origin.ts";

/** How a loop keeps what it has not come to yet. */
export interface IterateOptions {
  /** Items kept at most; 1024 by default. */
  readonly limit?: number | undefined;
  /** What happens to one more item than that; "drop-oldest" by default. "error" ends the loop with a UsageError. */
  readonly overflow?: "drop-oldest" | "drop-newest" | "error" | undefined;
  /** Ends the loop by throwing the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A stream for `for await`. */
export interface IterableStream<T> extends AsyncIterable<T> {
  /**
   * Items dropped because the loop was too slow, over all its loops. Events of a table count among its losses as well,
   * where the stream is the table's own, without operators.
   */
  readonly dropped: number;
}

/**
 * A stream as an async iterable. Each loop subscribes when it starts and unsubscribes when it ends, also by `break`.
 * A stream does not wait, so what comes while the loop's body is busy is queued, up to a limit. An error of the stream
 * is thrown after the items that came before it.
 *
 * @throws UsageError when the limit is not a whole number from 1; for a stream of views, which cannot be queued
 */
export function iterate<T>(source: Observable<T>, options: IterateOptions = {}): IterableStream<T> {
  const { limit = 1024, overflow = "drop-oldest", signal } = options;
  if (!Number.isInteger(limit) || limit < 1) {
    throw new UsageError(`iterate: limit must be a whole number from 1, not ${limit}`);
  }
  const origin = originOf(source);
  if (origin?.isLent === true) {
    throw new UsageError("iterate: views are good during a callback only, and a loop comes later", {
      hint: "iterate over events(), or subscribe to the views",
    });
  }
  let dropped = 0;
  return {
    get dropped() {
      return dropped;
    },
    [Symbol.asyncIterator]: () =>
      new QueueIterator(source, { limit, overflow, origin }, signal, (item, cpu) => {
        dropped++;
        origin?.dropped(origin.records(item), cpu);
      }),
  };
}

interface QueueOptions<T> {
  readonly limit: number;
  readonly overflow: NonNullable<IterateOptions["overflow"]>;
  readonly origin: Origin<T> | undefined;
}

/** How the stream ended: by itself, or by an error. */
type End = { readonly error?: unknown; readonly isError: boolean };

class QueueIterator<T> implements AsyncIterator<T, undefined> {
  readonly #options: QueueOptions<T>;
  readonly #onDrop: (item: T, cpu: number | null) => void;
  readonly #subscription: Subscription | undefined;
  /** Waiting items are those from `#first` on: taking one must not move the others. */
  #queue: T[] = [];
  /** Which CPU sent each of them. */
  #cpus: (number | null)[] = [];
  #first = 0;
  #waiting: PromiseWithEnds<T>[] = [];
  #end: End | undefined;
  #stopSignal: () => void = () => {};

  constructor(
    source: Observable<T>,
    options: QueueOptions<T>,
    signal: AbortSignal | undefined,
    onDrop: (item: T, cpu: number | null) => void,
  ) {
    this.#options = options;
    this.#onDrop = onDrop;
    this.#subscription = source.subscribe({
      next: (item) => this.#take(item),
      error: (error: unknown) => this.#finish({ error, isError: true }),
      complete: () => this.#finish({ isError: false }),
    });
    if (this.#end !== undefined) this.#subscription.unsubscribe();
    else if (signal !== undefined) this.#obey(signal);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#first < this.#queue.length) return Promise.resolve({ value: this.#shift(), done: false });
    if (this.#end?.isError) {
      const { error } = this.#end;
      this.#end = { isError: false };
      return Promise.reject(error);
    }
    if (this.#end !== undefined) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#empty();
    this.#end = undefined;
    this.#finish({ isError: false });
    return Promise.resolve({ value: undefined, done: true });
  }

  #take(item: T): void {
    if (this.#end !== undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ value: item, done: false });
      return;
    }
    const { limit, overflow, origin } = this.#options;
    const cpu = origin?.cpu() ?? null;
    if (this.#queue.length - this.#first >= limit) {
      if (overflow === "error") {
        this.#finish({ error: tooSlow(limit), isError: true });
        return;
      }
      if (overflow === "drop-newest") {
        this.#onDrop(item, cpu);
        return;
      }
      const oldestFrom = this.#cpus[this.#first] ?? null;
      this.#onDrop(this.#shift(), oldestFrom);
    }
    this.#queue.push(item);
    this.#cpus.push(cpu);
  }

  #shift(): T {
    // The caller has seen that something is waiting.
    const item = this.#queue[this.#first++]!;
    if (this.#first * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#first);
      this.#cpus.splice(0, this.#first);
      this.#first = 0;
    }
    return item;
  }

  #empty(): void {
    this.#queue = [];
    this.#cpus = [];
    this.#first = 0;
  }

  #finish(end: End): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#stopSignal();
    // Undefined only while the source calls back from inside subscribe; the constructor then unsubscribes.
    this.#subscription?.unsubscribe();
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (end.isError) reject(end.error);
      else resolve({ value: undefined, done: true });
      this.#end = { isError: false };
    }
  }

  #obey(signal: AbortSignal): void {
    const onAbort = (): void => {
      this.#empty();
      this.#finish({ error: signal.reason, isError: true });
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stopSignal = () => signal.removeEventListener("abort", onAbort);
  }
}

interface PromiseWithEnds<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

function tooSlow(limit: number): UsageError {
  return new UsageError(`a loop over a stream fell ${limit} items behind`, {
    hint: 'do less in its body, raise "limit", or let "overflow" drop items',
  });
}
