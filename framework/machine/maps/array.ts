import { mapKinds } from "../../../maps/kinds.ts";
import type { MapSpec } from "../../object/object-spec.ts";
import { errno } from "../errno.ts";
import type { Region } from "../memory.ts";
import type { Slab } from "./slab.ts";
import { EXIST, NOEXIST, Store } from "./store.ts";

/** The index that four bytes of a key are. */
export function indexAt(key: Uint8Array, at: number): number {
  return (key[at]! | (key[at + 1]! << 8) | (key[at + 2]! << 16) | (key[at + 3]! << 24)) >>> 0;
}

/** Copies the index after `after`, the first when null, into `into`; 0, or ENOENT at the end. */
export function nextIndex(entries: number, after: Uint8Array | null, into: Uint8Array): number {
  const last = after === null ? entries : indexAt(after, 0);
  // An index that does not exist starts again at the first, as in the kernel.
  const next = last >= entries ? 0 : last + 1;
  if (next >= entries) return errno.ENOENT;
  new DataView(into.buffer, into.byteOffset, 4).setUint32(0, next, true);
  return 0;
}

/** array, percpu_array: every index has a value from the beginning, and keeps one. */
export class ArrayStore extends Store {
  readonly #slab: Slab;
  readonly #perCpu: boolean;

  constructor(spec: MapSpec, slab: Slab) {
    super(spec);
    this.#slab = slab;
    this.#perCpu = mapKinds[spec.kind].perCpu;
  }

  override get region(): Region {
    return this.#slab.region;
  }

  override find(key: Uint8Array, at: number, cpu: number): number {
    const index = indexAt(key, at);
    return index < this.spec.maxEntries ? this.#slab.offset(index, cpu) : -1;
  }

  override read(key: Uint8Array, into: Uint8Array): number {
    const index = indexAt(key, 0);
    if (index >= this.spec.maxEntries) return errno.ENOENT;
    this.#slab.read(index, into, this.#perCpu);
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
    const index = indexAt(key, keyAt);
    if (index >= this.spec.maxEntries) return errno.E2BIG;
    if (flags === NOEXIST) return errno.EEXIST;
    this.#slab.write(index, value, valueAt, cpu);
    return 0;
  }

  override entryAt(offset: number): { readonly key: Uint8Array; readonly valueAt: number } | undefined {
    if (this.#perCpu) return undefined;
    const index = this.#slab.indexOf(offset);
    return { key: new Uint8Array(Uint32Array.of(index).buffer), valueAt: this.#slab.offset(index, 0) };
  }

  override placeAfter(place: number): number {
    return place + 1 < this.spec.maxEntries ? place + 1 : -1;
  }

  override keyAt(place: number, into: Uint8Array): void {
    new DataView(into.buffer, into.byteOffset, 4).setUint32(0, place, true);
  }

  override remove(): number {
    return errno.EINVAL;
  }

  override next(after: Uint8Array | null, into: Uint8Array): number {
    return nextIndex(this.spec.maxEntries, after, into);
  }

  override dispose(): void {
    this.#slab.dispose();
  }
}
