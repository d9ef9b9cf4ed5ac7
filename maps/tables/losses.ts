/**
 * Where records were lost: before they came into this process, because the kernel's buffer was full, or in it, because
 * the queue of a loop was.
 */
export type LossReason = "buffer" | "queue";

/** Records that were lost. */
export interface Loss {
  /** Since the last report. */
  readonly count: number;
  /** The CPU whose program sent them; null where that is not known: in queues of a ring buffer's events, and of arrays. */
  readonly cpu: number | null;
  readonly reason: LossReason;
  /** Of this table and for this reason, since it was made. */
  readonly total: number;
}

/** All losses of one CPU for one reason. */
export type LossCount = Pick<Loss, "count" | "cpu" | "reason">;

/** How often losses that nobody listens to are printed, in milliseconds. */
const printPeriodMs = 1000;

/**
 * Counts a table's lost records, for each CPU and reason, and tells whoever wants to know. When nobody listens they are
 * printed to stderr in BCC's words, at most one line a second, so that a loss is never silent.
 */
export class Losses implements Disposable {
  readonly #listeners = new Set<(loss: Loss) => void>();
  readonly #print: (text: string) => void;
  readonly #totals = { buffer: 0, queue: 0 };
  readonly #counts = { buffer: new Map<number | null, number>(), queue: new Map<number | null, number>() };
  readonly #unprinted = { buffer: 0, queue: 0 };
  #timer: NodeJS.Timeout | undefined;

  /** @param print takes a line with its newline; stderr by default */
  constructor(print: (text: string) => void = (text) => process.stderr.write(text)) {
    this.#print = print;
  }

  /** All records lost so far for a reason, as far as the buffer has told. */
  total(reason: LossReason): number {
    return this.#totals[reason];
  }

  /** The same for each CPU, in order; CPUs without losses are left out. */
  get counts(): readonly LossCount[] {
    return (["buffer", "queue"] as const).flatMap((reason) =>
      [...this.#counts[reason]]
        .map(([cpu, count]) => ({ count, cpu, reason }))
        .sort((a, b) => (a.cpu ?? -1) - (b.cpu ?? -1)),
    );
  }

  add(count: number, cpu: number | null, reason: LossReason = "buffer"): void {
    if (count === 0) return;
    this.#totals[reason] += count;
    this.#counts[reason].set(cpu, (this.#counts[reason].get(cpu) ?? 0) + count);
    if (this.#listeners.size === 0) {
      this.#unprinted[reason] += count;
      if (this.#timer === undefined) this.#printNow();
      return;
    }
    const loss = { count, cpu, reason, total: this.#totals[reason] };
    for (const listener of [...this.#listeners]) listener(loss);
  }

  /** Calls the listener for each loss from now on, instead of printing, until the returned function is called. */
  listen(listener: (loss: Loss) => void): () => void {
    // A function of its own, so that one listener given twice is called twice and removed once.
    const own = (loss: Loss): void => listener(loss);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Prints what is left to print. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flush();
  }

  #printNow(): void {
    this.#flush();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#unprinted.buffer + this.#unprinted.queue > 0) this.#printNow();
    }, printPeriodMs).unref();
  }

  #flush(): void {
    const { buffer, queue } = this.#unprinted;
    if (buffer + queue === 0) return;
    const inQueue = queue === 0 ? "" : `${queue} samples that a loop was too slow for`;
    const inBuffer = buffer === 0 ? "" : `Possibly lost ${buffer} samples`;
    const text =
      inBuffer === "" ? `Dropped ${inQueue}` : `${inBuffer}${inQueue && `, and dropped ${inQueue}`}`;
    this.#print(`${text}\n`);
    this.#unprinted.buffer = 0;
    this.#unprinted.queue = 0;
  }
}
