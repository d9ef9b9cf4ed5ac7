import { LayoutError } from "../../framework/core/errors.ts";
import { type Codec, show } from "../../framework/core/layout.ts";
import { type KeyedParts, KeyedTable } from "./keyed.ts";

/**
 * A table of numbered slots that are always there: arrays, per CPU too. Indexes count from 0; negative ones from the
 * end. An index past either end is a LayoutError.
 */
export class IndexedTable<V> extends KeyedTable<number, V> {
  constructor(parts: Omit<KeyedParts<number, V>, "key">) {
    super({ ...parts, key: indexCodec(parts.raw.spec.maxEntries) });
  }

  override get(index: number): V {
    // The kernel answers for every index within the size, which the key's codec has checked.
    return super.get(index)!;
  }

  /** The number of slots. */
  override get size(): number {
    return this.max_entries;
  }

  /** Makes the slot zero, since array slots cannot go away; true always. */
  override delete(index: number): boolean {
    return this.remove(this.encodeKey(index));
  }

  /** Makes the slot zero: BCC's name. */
  clearitem(index: number): void {
    this.delete(index);
  }

  /** Makes the given slots zero, or all. */
  override items_delete_batch(indexes?: Iterable<number>): void {
    if (indexes === undefined) this.clear();
    else for (const index of indexes) this.delete(index);
  }

  /** Makes every slot zero. */
  override clear(): void {
    this.zero();
  }

  protected override remove(key: Uint8Array): boolean {
    this.raw.update(key, new Uint8Array(this.valueBytes), "any");
    return true;
  }

  protected override keyWalk(): Generator<Uint8Array> {
    return indexes(this.max_entries);
  }
}

/** All indexes as key bytes, in the same buffer each time. */
export function* indexes(count: number): Generator<Uint8Array> {
  const key = new Uint8Array(4);
  const view = new DataView(key.buffer);
  for (let i = 0; i < count; i++) {
    view.setUint32(0, i, true);
    yield key;
  }
}

/** An index from -size to size - 1, stored as it counts from 0. */
export function indexCodec(size: number): Codec<number> {
  return {
    size: 4,
    align: 4,
    read: (view, at) => view.getUint32(at, true),
    write(view, at, value) {
      const index = typeof value === "bigint" ? Number(value) : value;
      if (!Number.isInteger(index) || index < -size || index >= size) {
        throw new LayoutError(`must be a whole number from ${-size} to ${size - 1}, not ${show(value)}`);
      }
      view.setUint32(at, index < 0 ? size + index : index, true);
    },
  };
}
