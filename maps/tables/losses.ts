/** Records that a program could not deliver. */
export interface Loss {
  /** Since the last report. */
  readonly count: number;
  /** The CPU whose buffer was full. */
  readonly cpu: number;
  /** Of this table, since it was made. */
  readonly total: number;
}

/** How often losses that nobody listens to are printed, in milliseconds. */
const printPeriodMs = 1000;

/**
 * Counts a table's lost records and tells whoever wants to know. When nobody listens they are printed to stderr in BCC's
 * words, at most one line a second, so that a loss is never silent.
 */
export class Losses implements Disposable {
  readonly #listeners = new Set<(loss: Loss) => void>();
  readonly #print: (text: string) => void;
  #total = 0;
  #unprinted = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param print takes a line with its newline; stderr by default */
  constructor(print: (text: string) => void = (text) => process.stderr.write(text)) {
    this.#print = print;
  }

  /** All records lost so far, as far as the buffer has told. */
  get total(): number {
    return this.#total;
  }

  add(count: number, cpu: number): void {
    if (count === 0) return;
    this.#total += count;
    if (this.#listeners.size === 0) {
      this.#unprinted += count;
      if (this.#timer === undefined) this.#printNow();
      return;
    }
    const loss = { count, cpu, total: this.#total };
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
      if (this.#unprinted > 0) this.#printNow();
    }, printPeriodMs).unref();
  }

  #flush(): void {
    if (this.#unprinted === 0) return;
    this.#print(`Possibly lost ${this.#unprinted} samples\n`);
    this.#unprinted = 0;
  }
}
