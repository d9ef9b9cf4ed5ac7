import { expect, test } from "vitest";
import { LayoutError, MapError, UsageError } from "../../../../framework/core/errors.ts";
import { type AnyTable, openTable, ProgramTable } from "../../../../maps/index.ts";
import { contextOf, MemoryMap, MemoryQueue } from "../memory-map.ts";

function array(): AnyTable<number, bigint> {
  return openTable<number, bigint>(new MemoryMap({ kind: "array", maxEntries: 4 }), contextOf());
}

test("an array has all its slots, zero at first, and its size is max_entries", () => {
  const table = array();
  table.set(2, 9n);
  expect(table.items()).toEqual([
    [0, 0n],
    [1, 0n],
    [2, 9n],
    [3, 0n],
  ]);
  expect([...table.keys()]).toEqual([0, 1, 2, 3]);
  expect(table.size).toBe(4);
});

test("negative indexes count from the end", () => {
  const table = array();
  table.set(-1, 5n);
  expect([table.get(3), table.get(-1), table.get(-4)]).toEqual([5n, 5n, 0n]);
});

test.each([4, -5, 1.5, 4294967295])("index %d of an array of 4 is refused", (index) => {
  const table = array();
  expect(() => table.get(index)).toThrow(LayoutError);
  expect(() => table.set(index, 1n)).toThrow(
    `key of "counts": must be a whole number from -4 to 3, not ${index}`,
  );
});

test("deleting and clearing make array slots zero", () => {
  const table = array();
  table.items_update_batch([0, 1, 2], [1n, 2n, 3n]);
  expect(table.delete(1)).toBe(true);
  expect(table.values()).toEqual([1n, 0n, 3n, 0n]);
  table.clear();
  expect(table.values()).toEqual([0n, 0n, 0n, 0n]);
});

function programs(): ProgramTable {
  const table: unknown = openTable(
    new MemoryMap({ kind: "prog_array", valueSize: 4, maxEntries: 4 }),
    contextOf(),
  );
  expect(table).toBeInstanceOf(ProgramTable);
  return table as ProgramTable;
}

test("a program array takes programs and descriptors, and shows filled slots only", () => {
  const table = programs();
  table.set(1, { fd: 33 });
  table.set(-1, 44);
  expect(table.items()).toEqual([
    [1, 33],
    [3, 44],
  ]);
  expect([...table]).toEqual([
    [1, 33],
    [3, 44],
  ]);
  expect([...table.keys()]).toEqual([1, 3]);
  expect([table.get(0), table.get(1), table.size]).toEqual([undefined, 33, 2]);
});

test("deleting empties a program slot and says whether it was filled", () => {
  const table = programs();
  table.set(1, 33);
  expect([table.delete(1), table.delete(1), table.get(1)]).toEqual([true, false, undefined]);
  table.set(0, 33).set(2, 34);
  table.clear();
  expect(table.size).toBe(0);
});

function queue(): AnyTable<unknown, number> {
  return openTable<unknown, number>(
    new MemoryQueue({ kind: "queue", keySize: 0, valueSize: 4, maxEntries: 2 }),
    contextOf(),
  );
}

test("a queue gives values back in order, peek leaves them, and an empty one gives undefined", () => {
  const table = queue();
  table.push(1);
  table.push(2);
  expect([table.peek(), table.peek(), table.pop(), table.pop(), table.pop(), table.peek()]).toEqual([
    1,
    1,
    1,
    2,
    undefined,
    undefined,
  ]);
});

test("a full queue refuses a value, unless BPF_EXIST lets it drop the oldest", () => {
  const table = queue();
  table.push(1);
  table.push(2);
  expect(() => table.push(3)).toThrow(MapError);
  table.push(3, 2);
  expect(table.values()).toEqual([2, 3]);
  expect(() => table.push(1, 1)).toThrow(UsageError);
});

test("values of a queue takes everything out", () => {
  const table = queue();
  table.push(1);
  table.push(2);
  expect(table.values()).toEqual([1, 2]);
  expect(table.values()).toEqual([]);
});

test("a value that does not fit a queue's type is refused", () => {
  expect(() => queue().push(-1)).toThrow(/^value of "counts": must be a whole number/);
});
