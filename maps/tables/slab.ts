/** Bytes of one slab: a kept record keeps its slab, so slabs are small. */
const slabBytes = 16 * 1024;

/**
 * Copies records into shared memory, one piece after another. A typed array of its own for each record would cost
 * several times as much, most of it when somebody makes a view of it.
 */
export class Slab {
  #bytes = new Uint8Array(0);
  #used = 0;

  /** A copy of `length` bytes of the view, for the caller to keep. */
  copy(view: DataView, at: number, length: number): Uint8Array {
    const from = new Uint8Array(view.buffer, view.byteOffset + at, length);
    if (length > slabBytes / 4) return from.slice();
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = new Uint8Array(slabBytes);
      this.#used = 0;
    }
    const piece = this.#bytes.subarray(this.#used, this.#used + length);
    piece.set(from);
    // Codecs read words: each copy begins where a word may.
    this.#used += (length + 7) & ~7;
    return piece;
  }
}
