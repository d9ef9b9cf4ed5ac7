import type { MapSpec } from "../../object/object-spec.ts";
import { errno } from "../errno.ts";
import type { Region } from "../memory.ts";
import { indexAt } from "./array.ts";
import { KeyTable, NONE } from "./key-table.ts";
import type { Slab } from "./slab.ts";
import { EXIST, NOEXIST, Store } from "./store.ts";

/** Bytes of a key before its data: the prefix' length in bits. */
const LENGTH_BYTES = 4;

/**
 * lpm_trie: keys are prefixes; a lookup finds the longest one that its key begins with. Prefixes are kept by length
 * and bits, so a lookup tries each length that there is, from the longest. Bits behind a prefix count for nothing, but
 * are kept for listing it, as in the kernel.
 */
export class PrefixStore extends Store {
  readonly #keys: KeyTable;
  readonly #slab: Slab;
  readonly #bits: number;
  /** How many prefixes of each length there are. */
  readonly #lengths: Uint32Array;
  /** How many lengths there are. */
  #lengthCount = 0;
  readonly #probe: Uint8Array;
  /** Keys as they were given, by slot. */
  #given: Uint8Array;

  constructor(spec: MapSpec, slab: Slab) {
    super(spec);
    this.#keys = new KeyTable(spec.keySize, spec.maxEntries);
    this.#slab = slab;
    this.#bits = (spec.keySize - LENGTH_BYTES) * 8;
    this.#lengths = new Uint32Array(this.#bits + 1);
    this.#probe = new Uint8Array(spec.keySize);
    this.#given = new Uint8Array(spec.keySize);
  }

  override get region(): Region {
    return this.#slab.region;
  }

  override get lookupSteps(): number {
    return Math.ceil((this.#lengthCount * this.spec.keySize) / 8);
  }

  override find(key: Uint8Array, at: number): number {
    const slot = this.#longest(key, at);
    return slot === NONE ? -1 : this.#slab.offset(slot, 0);
  }

  override read(key: Uint8Array, into: Uint8Array): number {
    const slot = this.#longest(key, 0);
    if (slot === NONE) return errno.ENOENT;
    this.#slab.read(slot, into, false);
    return 0;
  }

  #longest(key: Uint8Array, at: number): number {
    const wanted = indexAt(key, at);
    if (wanted > this.#bits) return NONE;
    for (let length = wanted; length >= 0; length--) {
      if (this.#lengths[length] === 0) continue;
      const slot = this.#exact(key, at, length);
      if (slot !== NONE) return slot;
    }
    return NONE;
  }

  /** The slot of the first `length` bits of a key; `#probe` is that prefix then, the bits behind it zero. */
  #exact(key: Uint8Array, at: number, length: number): number {
    const probe = this.#probe;
    new DataView(probe.buffer).setUint32(0, length, true);
    for (let i = LENGTH_BYTES; i < probe.length; i++) {
      const left = length - (i - LENGTH_BYTES) * 8;
      probe[i] = left >= 8 ? key[at + i]! : left <= 0 ? 0 : key[at + i]! & (0xff00 >> left);
    }
    return this.#keys.find(probe, 0);
  }

  override update(key: Uint8Array, keyAt: number, value: Uint8Array, valueAt: number, flags: number): number {
    const length = indexAt(key, keyAt);
    if (flags > EXIST || length > this.#bits) return errno.EINVAL;
    let slot = this.#exact(key, keyAt, length);
    if (slot === NONE) {
      if (flags === EXIST) return errno.ENOENT;
      slot = this.#keys.add(this.#probe, 0);
      if (slot === NONE) return errno.ENOSPC;
      if (this.#lengths[length]!++ === 0) this.#lengthCount++;
      this.#slab.reserve(slot);
    } else if (flags === NOEXIST) return errno.EEXIST;
    this.#slab.write(slot, value, valueAt, 0);
    this.#keep(slot, key, keyAt);
    return 0;
  }

  #keep(slot: number, key: Uint8Array, at: number): void {
    const { keySize, maxEntries } = this.spec;
    const place = slot * keySize;
    if (place >= this.#given.length) {
      const grown = new Uint8Array(Math.min(2 * this.#given.length, maxEntries * keySize));
      grown.set(this.#given);
      this.#given = grown;
    }
    for (let i = 0; i < keySize; i++) this.#given[place + i] = key[at + i]!;
  }

  override remove(key: Uint8Array, at: number): number {
    const length = indexAt(key, at);
    if (length > this.#bits) return errno.EINVAL;
    const slot = this.#exact(key, at, length);
    if (slot === NONE) return errno.ENOENT;
    if (--this.#lengths[length]! === 0) this.#lengthCount--;
    this.#keys.remove(slot);
    return 0;
  }

  override next(after: Uint8Array | null, into: Uint8Array): number {
    let from = NONE;
    if (after !== null && indexAt(after, 0) <= this.#bits) from = this.#exact(after, 0, indexAt(after, 0));
    const slot = this.#keys.after(from);
    if (slot === NONE) return errno.ENOENT;
    const { keySize } = this.spec;
    into.set(this.#given.subarray(slot * keySize, (slot + 1) * keySize));
    return 0;
  }

  override dispose(): void {
    this.#slab.dispose();
  }
}
