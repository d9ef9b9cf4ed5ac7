import { UnsupportedError } from "../../framework/core/errors.ts";
import { u32 } from "../../framework/core/layout.ts";
import { isSharedMap } from "../../framework/runtime/types.ts";
import { indexes } from "./indexed.ts";
import { type KeyedParts, KeyedTable } from "./keyed.ts";
import type { Table } from "./table.ts";

/** A table to put inside, or its descriptor. */
export type TableLike = number | Table;

/**
 * A table of tables (Linux 4.12). Slots are written with tables and read back as the ids of the maps in them, which the
 * kernel counts; empty slots are absent. Every table inside must be like the one in the declaration.
 */
export class NestedTable<K> extends KeyedTable<K, number> {
  constructor(parts: Omit<KeyedParts<K, number>, "value">) {
    super({ ...parts, value: u32 });
  }

  /**
   * Puts a table into a slot. The slot holds the table's map from then on, whatever happens to the object it came from.
   */
  override set(key: K, table: TableLike): this {
    return super.set(key, typeof table === "number" ? table : descriptorOf(table));
  }

  /** The id of the map in a slot, as `table.id` gives it; undefined when the slot is empty. Needs Linux 4.14. */
  override get(key: K): number | undefined {
    return super.get(key);
  }

  /** How many slots are filled. */
  override get size(): number {
    return this.items().length;
  }

  override *keys(): Generator<K> {
    for (const [key] of this.iteritems()) yield key;
  }

  /** Tables have no zero: the slots become empty. */
  override zero(): void {
    this.clear();
  }

  protected override keyWalk(): Generator<Uint8Array> {
    return this.kind === "array_of_maps" ? indexes(this.max_entries) : super.keyWalk();
  }
}

function descriptorOf({ name, raw }: Table): number {
  if (isSharedMap(raw)) return raw.fd;
  throw new UnsupportedError(`table "${name}": this runtime's tables do not nest`);
}
