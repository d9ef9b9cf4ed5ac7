import { mapKinds } from "../../../maps/kinds.ts";
import type { MapSpec } from "../../object/object-spec.ts";
import { errno } from "../errno.ts";
import type { Region } from "../memory.ts";
import { KeyTable, NONE } from "./key-table.ts";
import type { Slab } from "./slab.ts";
import { EXIST, NOEXIST, Store } from "./store.ts";

/** hash, percpu_hash; with `recency` the LRU kinds, which make room by forgetting what was used longest ago. */
export class HashStore extends Store {
  readonly #keys: KeyTable;
  readonly #slab: Slab;
  readonly #recency: Recency | null;
  readonly #perCpu: boolean;

  constructor(spec: MapSpec, slab: Slab) {
    super(spec);
    this.#keys = new KeyTable(spec.keySize, spec.maxEntries);
    this.#slab = slab;
    this.#perCpu = mapKinds[spec.kind].perCpu;
    this.#recency = spec.kind === "lru_hash" || spec.kind === "lru_percpu_hash" ? new Recency() : null;
  }

  override get region(): Region {
    return this.#slab.region;
  }

  override find(key: Uint8Array, at: number, cpu: number): number {
    const slot = this.#keys.find(key, at);
    if (slot === NONE) return -1;
    // Only programs' lookups count as use.
    if (cpu >= 0) this.#recency?.touch(slot);
    return this.#slab.offset(slot, cpu);
  }

  override read(key: Uint8Array, into: Uint8Array): number {
    const slot = this.#keys.find(key, 0);
    if (slot === NONE) return errno.ENOENT;
    this.#slab.read(slot, into, this.#perCpu);
    return 0;
  }

  override update(
    key: Uint8Array,
    keyAt: number,
    value: Uint8Array,
    valueAt: number,
    flags: number,
    cpu: number,
  ): number {
    if (flags > EXIST) return errno.EINVAL;
    let slot = this.#keys.find(key, keyAt);
    if (slot !== NONE) {
      if (flags === NOEXIST) return errno.EEXIST;
    } else {
      if (flags === EXIST) return errno.ENOENT;
      slot = this.#add(key, keyAt);
      if (slot === NONE) return errno.E2BIG;
      this.#slab.reserve(slot);
      // Other CPUs' values of a new key are zero.
      this.#slab.clear(slot);
    }
    this.#recency?.touch(slot);
    this.#slab.write(slot, value, valueAt, cpu);
    return 0;
  }

  #add(key: Uint8Array, at: number): number {
    const slot = this.#keys.add(key, at);
    if (slot !== NONE || this.#recency === null) return slot;
    const oldest = this.#recency.oldest();
    this.#keys.remove(oldest);
    this.#recency.forget(oldest);
    return this.#keys.add(key, at);
  }

  override entryAt(offset: number): { readonly key: Uint8Array; readonly valueAt: number } | undefined {
    if (this.#perCpu) return undefined;
    const slot = this.#slab.indexOf(offset);
    const key = new Uint8Array(this.spec.keySize);
    this.#keys.copyKey(slot, key);
    return { key, valueAt: this.#slab.offset(slot, 0) };
  }

  override placeAfter(place: number): number {
    return this.#keys.after(place);
  }

  override keyAt(place: number, into: Uint8Array): void {
    this.#keys.copyKey(place, into);
  }

  override remove(key: Uint8Array, at: number): number {
    const slot = this.#keys.find(key, at);
    if (slot === NONE) return errno.ENOENT;
    this.#keys.remove(slot);
    this.#recency?.forget(slot);
    return 0;
  }

  override next(after: Uint8Array | null, into: Uint8Array): number {
    const slot = this.#keys.after(after === null ? NONE : this.#keys.find(after, 0));
    if (slot === NONE) return errno.ENOENT;
    this.#keys.copyKey(slot, into);
    return 0;
  }

  override dispose(): void {
    this.#slab.dispose();
  }
}

/** The order in which slots were used: a circle of slots, the newest behind its head. */
class Recency {
  #newer = new Int32Array(16).fill(NONE);
  #older = new Int32Array(16).fill(NONE);
  #newest = NONE;
  #oldest = NONE;

  oldest(): number {
    return this.#oldest;
  }

  /** Makes a slot the newest, whether it was known or not. */
  touch(slot: number): void {
    if (slot === this.#newest) return;
    if (slot >= this.#newer.length) this.#grow(slot);
    this.forget(slot);
    this.#older[slot] = this.#newest;
    if (this.#newest !== NONE) this.#newer[this.#newest] = slot;
    this.#newest = slot;
    if (this.#oldest === NONE) this.#oldest = slot;
  }

  forget(slot: number): void {
    const newer = this.#newer[slot]!;
    const older = this.#older[slot]!;
    if (newer !== NONE) this.#older[newer] = older;
    else if (this.#newest === slot) this.#newest = older;
    if (older !== NONE) this.#newer[older] = newer;
    else if (this.#oldest === slot) this.#oldest = newer;
    this.#newer[slot] = NONE;
    this.#older[slot] = NONE;
  }

  #grow(slot: number): void {
    const grow = (from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const into = new Int32Array(Math.max(2 * from.length, slot + 1)).fill(NONE);
      into.set(from);
      return into;
    };
    this.#newer = grow(this.#newer);
    this.#older = grow(this.#older);
  }
}
