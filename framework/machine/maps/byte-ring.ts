import { setTimer } from "../later.ts";

/** Records that wait for one reader. */
export interface Readable {
  readonly hasData: boolean;
}

/**
 * Bytes that are written at one end and read at the other. A record is never in two pieces: the memory is twice as long
 * as the ring, and a record that begins before the ring's end goes on behind it.
 */
export class ByteRing {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** How far was written and read, in bytes since the beginning. */
  head = 0;
  tail = 0;

  /** @param size a power of two */
  constructor(size: number) {
    this.size = size;
    this.bytes = new Uint8Array(2 * size);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Where a position is in `bytes`. */
  place(position: number): number {
    // Positions pass 2^31, sizes do not.
    return position % this.size;
  }
}

/** Tells readers of rings that there is something, in a later turn of the event loop. */
export class Watchers {
  readonly #source: Readable;
  readonly #watching = new Set<() => void>();
  #scheduled: (() => void) | null = null;
  /** Keeps the process alive as long as somebody waits, as a descriptor that is watched does. */
  #alive: (() => void) | null = null;

  constructor(source: Readable) {
    this.#source = source;
  }

  /** Calls `onReady` when there is data, until the returned function is called. */
  add(onReady: () => void): () => void {
    const own = (): void => onReady();
    this.#watching.add(own);
    this.#alive ??= setTimer(() => {}, "forever");
    this.wake();
    return () => {
      this.#watching.delete(own);
      if (this.#watching.size === 0) this.#rest();
    };
  }

  /** Says that something was written. */
  wake(): void {
    if (this.#watching.size === 0 || this.#scheduled !== null || !this.#source.hasData) return;
    this.#scheduled = setTimer(() => {
      this.#scheduled = null;
      for (const onReady of [...this.#watching]) onReady();
      // What readers left is offered again.
      this.wake();
    }, "soon");
  }

  close(): void {
    this.#watching.clear();
    this.#rest();
  }

  #rest(): void {
    this.#alive?.();
    this.#alive = null;
    this.#scheduled?.();
    this.#scheduled = null;
  }
}
