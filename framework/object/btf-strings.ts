import { ObjectError } from "../core/errors.ts";

/** An index costs as much as reading through the section so many times; it is made when searches have cost that. */
const READS_WORTH_AN_INDEX = 24;

/** The string section of BTF: texts that each end with a NUL, named by their offset. */
export class BtfStrings {
  /** Bytes in the section. */
  readonly length: number;
  readonly #bytes: Buffer;
  /** Hash table of string offsets, open addressing; an empty slot is 0. */
  #index: Uint32Array | undefined;
  /** Bytes that searches have gone through so far. */
  #searched = 0;

  /** @throws ObjectError when the last string does not end */
  constructor(bytes: Buffer) {
    if (bytes.length > 0 && bytes[bytes.length - 1] !== 0) {
      throw new ObjectError("cannot read BTF: its last string does not end");
    }
    this.#bytes = bytes;
    this.length = bytes.length;
  }

  /** The text at an offset. */
  at(offset: number): string {
    if (offset >= this.length) {
      throw new ObjectError(`cannot read BTF: string offset ${offset} is past the string section`);
    }
    if (this.#bytes[offset] === 0) return "";
    return this.#bytes.toString("utf8", offset, this.#bytes.indexOf(0, offset));
  }

  /** Where this text stands: usually one place, as writers store each text once. Finds nothing for "". */
  *offsetsOf(text: string): Generator<number, undefined> {
    if (text === "" || text.includes("\0")) return;
    const needle = Buffer.from(`\0${text}\0`);
    if (this.#index === undefined && this.#searched > READS_WORTH_AN_INDEX * this.length) {
      this.#index = indexStrings(this.#bytes);
    }
    // Strings of split BTF begin without the empty one.
    if (
      this.length >= needle.length - 1 &&
      this.#bytes.compare(needle, 1, needle.length, 0, needle.length - 1) === 0
    ) {
      yield 0;
    }
    if (this.#index !== undefined) {
      yield* this.#lookUp(this.#index, needle.subarray(1));
      return;
    }
    for (let from = 0; ; ) {
      const at = this.#bytes.indexOf(needle, from);
      this.#searched += (at < 0 ? this.length : at) - from;
      if (at < 0) return;
      yield at + 1;
      from = at + 1;
    }
  }

  *#lookUp(index: Uint32Array, text: Buffer): Generator<number, undefined> {
    let hash = START;
    for (let i = 0; i < text.length - 1; i++) hash = Math.imul(hash ^ text[i]!, STEP);
    const mask = index.length - 1;
    for (let slot = spread(hash) & mask; index[slot] !== 0; slot = (slot + 1) & mask) {
      const at = index[slot]!;
      const end = at + text.length;
      if (end <= this.length && this.#bytes.compare(text, 0, text.length, at, end) === 0) yield at;
    }
  }
}

/** FNV-1a's constants for 32 bits. */
const START = 0x811c9dc5 | 0;
const STEP = 0x01000193;

/** Brings the high bits down, which a table of a power of two would not look at. */
function spread(hash: number): number {
  return hash ^ (hash >>> 15);
}

/** Every string after the first, by hash. */
function indexStrings(bytes: Buffer): Uint32Array {
  let count = 0;
  for (let at = bytes.indexOf(0); at >= 0; at = bytes.indexOf(0, at + 1)) count++;
  const index = new Uint32Array(2 ** Math.ceil(Math.log2(count * 2 + 1)));
  const mask = index.length - 1;
  let start = 0;
  let hash = START;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte !== 0) {
      hash = Math.imul(hash ^ byte, STEP);
      continue;
    }
    if (at > start && start > 0) {
      let slot = spread(hash) & mask;
      while (index[slot] !== 0) slot = (slot + 1) & mask;
      index[slot] = start;
    }
    start = at + 1;
    hash = START;
  }
  return index;
}
