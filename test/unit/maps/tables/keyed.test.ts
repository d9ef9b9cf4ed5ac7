import { expect, test } from "vitest";
import {
  ClosedError,
  LayoutError,
  MapError,
  UnsupportedError,
  UsageError,
} from "../../../../framework/core/errors.ts";
import type { RawMap } from "../../../../framework/runtime/types.ts";
import { openTable } from "../../../../maps/index.ts";
import { contextOf, MemoryBatchMap, MemoryMap } from "../memory-map.ts";

function filled(map: MemoryMap): ReturnType<typeof openTable<number, bigint>> {
  const table = openTable<number, bigint>(map, contextOf());
  for (let i = 1; i <= 5; i++) table.set(i, BigInt(i * 10));
  return table;
}

const pairs = [1, 2, 3, 4, 5].map((i) => [i, BigInt(i * 10)]);

test("a table without types reads 4-byte keys as numbers and 8-byte values as bigints", () => {
  const table = openTable<number, bigint>(new MemoryMap({}), contextOf());
  table.set(4294967295, 18446744073709551615n);
  expect([...table]).toEqual([[4294967295, 18446744073709551615n]]);
});

test("get of an absent key is undefined, has and delete say false", () => {
  const table = filled(new MemoryMap({}));
  expect([table.get(9), table.has(9), table.delete(9)]).toEqual([undefined, false, false]);
  expect([table.get(3), table.has(3), table.delete(3), table.has(3)]).toEqual([30n, true, true, false]);
});

test.each([
  ["one by one", MemoryMap],
  ["in batches", MemoryBatchMap],
])("items, values, keys, entries and iteration agree when read %s", (_, Kind) => {
  const table = filled(new Kind({}));
  expect(table.items()).toEqual(pairs);
  expect([...table.iteritems()]).toEqual(pairs);
  expect([...table.entries()]).toEqual(pairs);
  expect([...table]).toEqual(pairs);
  expect([...table.items_lookup_batch()]).toEqual(pairs);
  expect([...table.keys()]).toEqual([1, 2, 3, 4, 5]);
  expect(table.values()).toEqual([10n, 20n, 30n, 40n, 50n]);
  expect([...table.itervalues()]).toEqual([10n, 20n, 30n, 40n, 50n]);
  expect(table.size).toBe(5);
});

test("pop gives and deletes, update sets many, and next goes from key to key", () => {
  const table = filled(new MemoryMap({}));
  expect([table.pop(3), table.pop(3), table.has(3)]).toEqual([30n, undefined, false]);
  table
    .update(
      new Map([
        [3, 1n],
        [7, 2n],
      ]),
    )
    .update([[8, 3n]]);
  expect([table.get(3), table.get(7), table.get(8)]).toEqual([1n, 2n, 3n]);
  const [first = 0] = table.keys();
  const walked = [first];
  for (let key = table.next(first); key !== undefined; key = table.next(key)) walked.push(key);
  expect(walked).toEqual([...table.keys()]);
});

test("batches are read to the end, over several calls", () => {
  const map = new MemoryBatchMap({});
  const table = filled(map);
  expect(table.items()).toHaveLength(5);
  expect(map.batches).toBe(2);
});

test("a map whose kernel refuses batches is read one by one", () => {
  class Old extends MemoryBatchMap {
    override lookupBatch(): number {
      throw new UnsupportedError("batches need Linux 5.6");
    }
  }
  expect(filled(new Old({})).items()).toEqual(pairs);
});

test("iteration stops after max_entries keys even when the kernel starts again", () => {
  class Restarting extends MemoryMap {
    override nextKey(_after: Uint8Array | null, into: Uint8Array): boolean {
      return super.nextKey(null, into);
    }
  }
  const map: RawMap = new Restarting({ maxEntries: 8 });
  const table = openTable<number, bigint>(map, contextOf());
  table.set(1, 1n);
  expect([...table.keys()]).toEqual(new Array(8).fill(1));
});

test("an entry deleted during a loop does not come", () => {
  const table = filled(new MemoryMap({}));
  const seen: number[] = [];
  for (const [key] of table) {
    seen.push(key);
    table.delete(4);
  }
  expect(seen).toEqual([1, 2, 3, 5]);
});

test("clear deletes all, zero keeps the keys", () => {
  const table = filled(new MemoryMap({}));
  table.zero();
  expect(table.items()).toEqual([1, 2, 3, 4, 5].map((key) => [key, 0n]));
  table.clear();
  expect(table.size).toBe(0);
});

test("items_lookup_and_delete_batch hands entries over and removes them", () => {
  const table = filled(new MemoryBatchMap({}));
  expect([...table.items_lookup_and_delete_batch()]).toEqual(pairs);
  expect(table.size).toBe(0);
});

test("items_update_batch writes in pairs and refuses lists of different length before writing", () => {
  const table = openTable<number, bigint>(new MemoryMap({}), contextOf());
  expect(() => table.items_update_batch([1, 2], [1n])).toThrow(UsageError);
  expect(table.size).toBe(0);
  table.items_update_batch([1, 2], [1n, 2n]);
  expect(table.items()).toEqual([
    [1, 1n],
    [2, 2n],
  ]);
});

test("items_delete_batch deletes the given keys, or all", () => {
  const table = filled(new MemoryMap({}));
  table.items_delete_batch([1, 9, 5]);
  expect([...table.keys()]).toEqual([2, 3, 4]);
  table.items_delete_batch();
  expect(table.size).toBe(0);
});

test("an error says which table, and whether key or value is wrong", () => {
  const table = openTable<number, bigint>(new MemoryMap({}), contextOf());
  expect(() => table.get(-1)).toThrow(LayoutError);
  expect(() => table.get(-1)).toThrow('key of "counts": must be a whole number from 0 to 4294967295, not -1');
  expect(() => table.set(1, -1n)).toThrow(/^value of "counts": must be a bigint/);
});

test("a full table refuses one more key with MAP_FULL and still takes the old ones", () => {
  const table = openTable<number, bigint>(new MemoryMap({ maxEntries: 1 }), contextOf());
  table.set(1, 1n);
  expect(() => table.set(2, 2n)).toThrow(MapError);
  expect(table.set(1, 3n).get(1)).toBe(3n);
});

test("types given by name are used instead of plain numbers", () => {
  const table = openTable<string, number>(
    new MemoryMap({ keySize: 16, valueSize: 4 }),
    contextOf({ keyType: "char[16]", valueType: "int" }),
  );
  table.set("bash", -1);
  expect(table.items()).toEqual([["bash", -1]]);
});

test("a given type of another size than the map's is refused", () => {
  const open = (): unknown => openTable(new MemoryMap({}), contextOf({ keyType: "u64" }));
  expect(open).toThrow('key of "counts": the map has 4 bytes for it, and its type takes 8');
});

test("a kind without a table is refused by its name", () => {
  const open = (): unknown => openTable(new MemoryMap({ kind: "struct_ops" }), contextOf());
  expect(open).toThrow(UnsupportedError);
  expect(open).toThrow(/struct_ops/);
});

test("every use after closing is a ClosedError that names the table", () => {
  const context = contextOf();
  const table = openTable<number, bigint>(new MemoryMap({}), context);
  context.scope[Symbol.dispose]();
  expect(table.closed).toBe(true);
  const uses = [
    () => table.get(1),
    () => table.set(1, 1n),
    () => table.items(),
    () => table.size,
    () => table.clear(),
  ];
  for (const use of uses) expect(use).toThrow(ClosedError);
  expect(() => table.get(1)).toThrow('table "counts" was closed with its BPF object');
});

test("a per-CPU table has one value per possible CPU, with sum, average and max", () => {
  const table = openTable<number, bigint[]>(new MemoryMap({ kind: "percpu_hash" }), contextOf());
  table.set(7, [1n, 2n, 7n]);
  expect(table.get(7)).toEqual([1n, 2n, 7n]);
  expect(table.getvalue(7)).toEqual([1n, 2n, 7n]);
  expect([table.sum(7), table.average(7), table.max(7)]).toEqual([10n, 3n, 7n]);
  expect(table.sum(8)).toBeUndefined();
});

test("a per-CPU sum of 32-bit values does not wrap", () => {
  const table = openTable<number, number[]>(
    new MemoryMap({ kind: "percpu_array", valueSize: 4 }),
    contextOf(),
  );
  table.set(0, [4294967295, 4294967295, 1]);
  expect([table.sum(0), table.max(0)]).toEqual([8589934591, 4294967295]);
});

test("a reducer folds the values of all CPUs when reading", () => {
  const reducer = (left: bigint, right: bigint): bigint => left + right;
  const map = new MemoryMap({ kind: "percpu_hash" });
  openTable<number, bigint[]>(map, contextOf()).set(7, [1n, 2n, 7n]);
  expect(openTable<number, bigint>(map, contextOf({ reducer })).get(7)).toBe(10n);
});

test("sum on a table that is not per CPU is refused", () => {
  const table = openTable<number, bigint[]>(new MemoryMap({}), contextOf());
  expect(() => table.sum(1)).toThrow('sum on "counts": a hash has one value per key, not one per CPU');
});

test("histograms print BCC's arguments by position or by name, in one text", () => {
  const table = openTable<number, bigint>(new MemoryMap({}), contextOf());
  table.set(2, 4n);
  const texts: string[] = [];
  const write = (text: string): number => texts.push(text);
  table.print_log2_hist({ val_type: "usecs", write });
  table.print_linear_hist({ write });
  table.print_json_hist({ val_type: "usecs", write });
  expect(texts[0]).toBe(
    [
      "     usecs               : count     distribution",
      `         0 -> 1          : 0        |${" ".repeat(40)}|`,
      `         2 -> 3          : 4        |${"*".repeat(40)}|`,
    ].join("\n"),
  );
  expect(texts[1]?.split("\n")).toHaveLength(4);
  expect(JSON.parse(texts[2]!).data).toHaveLength(2);
});

test("a histogram without counts prints nothing", () => {
  const table = openTable<number, bigint>(new MemoryMap({}), contextOf());
  const texts: string[] = [];
  table.print_log2_hist({ write: (text) => texts.push(text) });
  expect(texts).toEqual([]);
});
