import { u32 } from "../../framework/core/layout.ts";
import { indexCodec, indexes } from "./indexed.ts";
import { KeyedTable } from "./keyed.ts";
import type { TableParts } from "./table.ts";

/** A loaded program, or its descriptor. */
export type ProgramLike = number | { readonly fd: number };

/**
 * A program array, for tail calls. Slots are written with programs and read back as the ids of the programs in them;
 * empty slots are absent. Negative indexes count from the end.
 */
export class ProgramTable extends KeyedTable<number, number> {
  constructor(parts: TableParts) {
    super({ ...parts, key: indexCodec(parts.raw.spec.maxEntries), value: u32 });
  }

  /**
   * Puts a program into a slot. The table holds the program from then on: it goes on running when called, whatever
   * happens to the object it came from.
   */
  override set(index: number, program: ProgramLike): this {
    return super.set(index, typeof program === "number" ? program : program.fd);
  }

  /** The id of the program in a slot; undefined when the slot is empty. Needs Linux 4.15. */
  override get(index: number): number | undefined {
    return super.get(index);
  }

  /** How many slots are filled. */
  override get size(): number {
    return this.items().length;
  }

  override *keys(): Generator<number> {
    for (const [index] of this.iteritems()) yield index;
  }

  /** Programs have no zero: the slots become empty. */
  override zero(): void {
    this.clear();
  }

  protected override keyWalk(): Generator<Uint8Array> {
    return indexes(this.max_entries);
  }
}
