import { ClosedError, UsageError } from "../../framework/core/errors.ts";

/** A buffer opened with a callback. */
export interface PolledBuffer {
  /** Hands over what is waiting, at most `most` records; returns how many. What the callback throws comes out. */
  consume(most?: number): number;
  /** Calls `onReady` when records are waiting, until the returned function is called. */
  watch(onReady: () => void): () => void;
}

/** How long a poll waits. */
export interface PollOptions {
  /** Milliseconds; without it, or when negative, as long as it takes. 0 does not wait. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Records one poll takes from one buffer, so that a busy buffer leaves the others and the timers their turn. */
const pollRecords = 4096;

/** The buffers of one BPF object that were opened with callbacks: what BCC's poll and consume methods work on. */
export class BufferGroup implements Disposable {
  readonly #what: string;
  readonly #buffers: PolledBuffer[] = [];
  readonly #waits = new Set<(error: ClosedError) => void>();
  #closed = false;

  /** @param what names the buffers in errors: "perf buffers" or "ring buffers" */
  constructor(what: string) {
    this.#what = what;
  }

  get size(): number {
    return this.#buffers.length;
  }

  add(buffer: PolledBuffer): void {
    this.#buffers.push(buffer);
  }

  /**
   * Calls back for everything that is waiting now; returns the number of records. What a callback throws comes out here.
   * @throws UsageError when no buffer was opened; ClosedError after closing
   */
  consume(): number {
    this.#assertUsable("consume");
    return this.#take(undefined);
  }

  /**
   * Waits for records and calls back for them: resolves to their number as soon as some were delivered, or to 0 when
   * the time is over or the signal aborts. What a callback throws rejects the promise. Other work of the event loop gets
   * its turn between two polls, however many records there are.
   * @throws UsageError when no buffer was opened; ClosedError when closed meanwhile
   */
  async poll(options: PollOptions = {}): Promise<number> {
    const { timeoutMs, signal } = options;
    this.#assertUsable("poll");
    if (signal?.aborted === true) return 0;
    const count = this.#take(pollRecords);
    if (count > 0 || timeoutMs === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      return count;
    }
    return await this.#wait(timeoutMs, signal);
  }

  /** Rejects polls that are waiting. */
  [Symbol.dispose](): void {
    this.#closed = true;
    const closed = this.#closedError();
    for (const reject of [...this.#waits]) reject(closed);
  }

  #take(most: number | undefined): number {
    let count = 0;
    for (const buffer of [...this.#buffers]) count += buffer.consume(most);
    return count;
  }

  #wait(timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      const stops: (() => void)[] = [];
      const finish = (settle: () => void): void => {
        for (const stop of stops.splice(0)) stop();
        settle();
      };
      const fail = (error: unknown): void => finish(() => reject(error));
      const onReady = (): void => {
        try {
          const count = this.#take(pollRecords);
          if (count > 0) finish(() => resolve(count));
        } catch (error) {
          fail(error);
        }
      };
      this.#waits.add(fail);
      stops.push(() => this.#waits.delete(fail));
      if (timeoutMs !== undefined && timeoutMs >= 0) {
        const timer = setTimeout(() => finish(() => resolve(0)), timeoutMs);
        stops.push(() => clearTimeout(timer));
      }
      if (signal !== undefined) {
        const onAbort = (): void => finish(() => resolve(0));
        signal.addEventListener("abort", onAbort, { once: true });
        stops.push(() => signal.removeEventListener("abort", onAbort));
      }
      for (const buffer of this.#buffers) stops.push(buffer.watch(onReady));
    });
  }

  #assertUsable(action: string): void {
    if (this.#closed) throw this.#closedError();
    if (this.#buffers.length > 0) return;
    const open = this.#what.startsWith("ring") ? "open_ring_buffer" : "open_perf_buffer";
    throw new UsageError(`there are no ${this.#what} to ${action}`, {
      hint: `call ${open} on a table first`,
    });
  }

  #closedError(): ClosedError {
    return new ClosedError(`the ${this.#what} were closed with their BPF object`);
  }
}
