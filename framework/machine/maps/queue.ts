import type { MapSpec } from "../../object/object-spec.ts";
import { errno } from "../errno.ts";
import { EXIST, Store } from "./store.ts";

/** Values without keys: what tables write is pushed, and there is nothing to list or to delete. */
abstract class KeylessStore extends Store {
  /** What the kernel answers to what needs a key. */
  protected abstract readonly refusal: number;

  override update(
    _key: Uint8Array,
    _keyAt: number,
    value: Uint8Array,
    valueAt: number,
    flags: number,
  ): number {
    return this.push(value, valueAt, flags);
  }

  override remove(): number {
    return this.refusal;
  }

  override next(): number {
    return this.refusal;
  }
}

/** Values that there is room for at first. */
const FIRST_ENTRIES = 16;

/** queue, stack: values without keys, taken out in the order they came or the other way round. */
export class QueueStore extends KeylessStore {
  protected readonly refusal = errno.EINVAL;
  /** Values one after another, in a circle that grows until it has room for all. */
  #bytes: Uint8Array;
  #room: number;
  /** Which of them is the oldest. */
  #head = 0;
  #size = 0;

  constructor(spec: MapSpec) {
    super(spec);
    this.#room = Math.min(spec.maxEntries, FIRST_ENTRIES);
    this.#bytes = new Uint8Array(this.#room * spec.valueSize);
  }

  /** Where the value that is `index` behind the oldest begins. */
  #place(index: number): number {
    return ((this.#head + index) % this.#room) * this.spec.valueSize;
  }

  /** With BPF_EXIST the oldest value makes room in a full map. */
  override push(value: Uint8Array, at: number, flags: number): number {
    const { maxEntries, valueSize } = this.spec;
    if (flags === 1 || flags > EXIST) return errno.EINVAL;
    if (this.#size >= maxEntries) {
      if (flags !== EXIST) return errno.E2BIG;
      this.#dropFirst();
    }
    if (this.#size === this.#room) this.#grow();
    this.#bytes.set(value.subarray(at, at + valueSize), this.#place(this.#size));
    this.#size++;
    return 0;
  }

  override take(into: Uint8Array, at: number, keep: boolean): number {
    const { valueSize, kind } = this.spec;
    if (this.#size === 0) {
      into.fill(0, at, at + valueSize);
      return errno.ENOENT;
    }
    const isStack = kind === "stack";
    const from = this.#place(isStack ? this.#size - 1 : 0);
    into.set(this.#bytes.subarray(from, from + valueSize), at);
    if (keep) return 0;
    if (isStack) this.#size--;
    else this.#dropFirst();
    return 0;
  }

  #dropFirst(): void {
    this.#head = (this.#head + 1) % this.#room;
    this.#size--;
  }

  #grow(): void {
    const { maxEntries, valueSize } = this.spec;
    const room = Math.min(maxEntries, 2 * this.#room);
    const bytes = new Uint8Array(room * valueSize);
    const first = this.#bytes.subarray(this.#head * valueSize);
    bytes.set(first);
    bytes.set(this.#bytes.subarray(0, this.#head * valueSize), first.length);
    this.#bytes = bytes;
    this.#room = room;
    this.#head = 0;
  }

  override read(_key: Uint8Array, into: Uint8Array): number {
    return this.take(into, 0, true);
  }
}

/** Hash functions of a filter that says nothing else (map_extra 0). */
const HASHES = 5;

/** bloom_filter: tells that a value was never added, or that it probably was. */
export class BloomStore extends KeylessStore {
  protected readonly refusal = errno.EOPNOTSUPP;
  readonly #bits: Uint32Array;
  readonly #mask: number;

  constructor(spec: MapSpec) {
    super(spec);
    // As the kernel: 7 bits for 5 entries and hash functions, to the next power of two, at least 64.
    const wanted = Math.min(Math.floor((spec.maxEntries * HASHES) / 5) * 7, 2 ** 31);
    const count = Math.max(64, 2 ** Math.ceil(Math.log2(wanted)));
    this.#bits = new Uint32Array(count / 32);
    this.#mask = count - 1;
  }

  override push(value: Uint8Array, at: number, flags: number): number {
    if (flags !== 0) return errno.EINVAL;
    for (let i = 0; i < HASHES; i++) {
      const bit = this.#bit(value, at, i);
      this.#bits[bit >>> 5]! |= 1 << (bit & 31);
    }
    return 0;
  }

  /** 0 when the value was perhaps added, ENOENT when it certainly was not. */
  override take(value: Uint8Array, at: number): number {
    for (let i = 0; i < HASHES; i++) {
      const bit = this.#bit(value, at, i);
      if ((this.#bits[bit >>> 5]! & (1 << (bit & 31))) === 0) return errno.ENOENT;
    }
    return 0;
  }

  /** For tables a lookup reads the value it asks about from where it would put one. */
  override read(_key: Uint8Array, value: Uint8Array): number {
    return this.take(value, 0);
  }

  #bit(value: Uint8Array, at: number, seed: number): number {
    let hash = 0x811c9dc5 ^ Math.imul(seed + 1, 0x9e3779b1);
    for (let i = 0; i < this.spec.valueSize; i++) hash = Math.imul(hash ^ value[at + i]!, 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & this.#mask;
  }
}
