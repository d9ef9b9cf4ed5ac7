import { type Observable, VirtualTimeScheduler } from "rxjs";
import { expect, test } from "vitest";
import { UsageError } from "../../../../framework/core/errors.ts";
import { struct, u32 } from "../../../../framework/core/layout.ts";
import { type AnyTable, type Change, openTable, type PeriodOptions } from "../../../../maps/index.ts";
import { contextOf, MemoryMap, type TestContext } from "../memory-map.ts";

interface Opened {
  readonly table: AnyTable<number, bigint>;
  readonly context: TestContext;
}

function open(): Opened {
  const context = contextOf();
  return { table: openTable<number, bigint>(new MemoryMap({}), context), context };
}

/** What a stream gives within some milliseconds of virtual time, while actions happen at their times. */
function run<T>(
  make: (options: PeriodOptions) => Observable<T>,
  lastMs: number,
  actions: Readonly<Record<number, () => void>> = {},
): (T | "complete" | { readonly error: unknown })[] {
  const scheduler = new VirtualTimeScheduler(undefined, lastMs);
  const seen: (T | "complete" | { readonly error: unknown })[] = [];
  for (const [at, action] of Object.entries(actions)) scheduler.schedule(action, Number(at));
  make({ scheduler }).subscribe({
    next: (item) => seen.push(item),
    error: (error) => seen.push({ error }),
    complete: () => seen.push("complete"),
  });
  scheduler.flush();
  return seen;
}

test("snapshots give the whole table at once and then every period", () => {
  const { table } = open();
  table.set(1, 10n);
  const seen = run((options) => table.snapshots(1000, options), 2500, {
    500: () => table.set(2, 20n),
    1500: () => table.delete(1),
  });
  expect(seen.map((snapshot) => [...(snapshot as ReadonlyMap<number, bigint>)])).toEqual([
    [[1, 10n]],
    [
      [1, 10n],
      [2, 20n],
    ],
    [[2, 20n]],
  ]);
});

test("a snapshot does not change after it was taken", () => {
  const { table } = open();
  table.set(1, 10n);
  const [first] = run((options) => table.snapshots(1000, options), 1500, { 500: () => table.set(1, 11n) });
  expect((first as ReadonlyMap<number, bigint>).get(1)).toBe(10n);
});

test("a snapshot finds keys that are objects by their contents", () => {
  const key = struct("key_t", { pid: u32, cpu: u32 });
  const table = openTable<{ pid: number; cpu: number }, bigint>(
    new MemoryMap({ keySize: 8 }),
    contextOf({ keyType: key }),
  );
  table.set({ pid: 1, cpu: 2 }, 5n);
  const [first] = run((options) => table.snapshots(1000, options), 500);
  const snapshot = first as ReadonlyMap<{ pid: number; cpu: number }, bigint>;
  expect(snapshot.get({ pid: 1, cpu: 2 })).toBe(5n);
  expect(snapshot.has({ pid: 2, cpu: 1 })).toBe(false);
  expect(snapshot.size).toBe(1);
});

test("changes report new, changed and deleted keys, and nothing for what stayed", () => {
  const { table } = open();
  table.set(1, 10n);
  table.set(2, 20n);
  const seen: Change<number, bigint>[] = run((options) => table.changes(100, options), 350, {
    50: () => table.set(1, 11n),
    150: () => table.delete(2),
    250: () => table.set(3, 30n),
  }) as Change<number, bigint>[];
  expect(seen).toEqual([
    { type: "set", key: 1, value: 10n, previous: undefined },
    { type: "set", key: 2, value: 20n, previous: undefined },
    { type: "set", key: 1, value: 11n, previous: 10n },
    { type: "delete", key: 2, value: undefined, previous: 20n },
    { type: "set", key: 3, value: 30n, previous: undefined },
  ]);
});

test("changes of a program array are its slots being filled and emptied", () => {
  const table = openTable<number, number>(
    new MemoryMap({ kind: "prog_array", valueSize: 4, maxEntries: 4 }),
    contextOf(),
  );
  const seen = run((options) => table.changes(100, options), 250, {
    50: () => table.set(2, 33),
    150: () => table.delete(2),
  });
  expect(seen).toEqual([
    { type: "set", key: 2, value: 33, previous: undefined },
    { type: "delete", key: 2, value: undefined, previous: 33 },
  ]);
});

test("closing the table completes its periodic streams", () => {
  const { table, context } = open();
  const seen = run((options) => table.snapshots(100, options), 500, {
    150: () => context.scope[Symbol.dispose](),
  });
  expect(seen).toHaveLength(3);
  expect(seen[2]).toBe("complete");
});

test("a table closed by its own subscriber completes without another look", () => {
  const { table, context } = open();
  table.set(1, 1n);
  table.set(2, 2n);
  const seen: unknown[] = [];
  const scheduler = new VirtualTimeScheduler(undefined, 500);
  table.changes(100, { scheduler }).subscribe({
    next: (change) => {
      seen.push(change.key);
      context.scope[Symbol.dispose]();
    },
    error: () => seen.push("error"),
    complete: () => seen.push("complete"),
  });
  scheduler.flush();
  expect(seen).toEqual([1, "complete"]);
});

test("aborting the signal completes a periodic stream", () => {
  const { table } = open();
  const controller = new AbortController();
  const seen = run((options) => table.changes(100, { ...options, signal: controller.signal }), 500, {
    150: () => controller.abort(),
  });
  expect(seen).toEqual(["complete"]);
});

test("a failing table is an error of the stream", () => {
  const { table } = open();
  const failure = new UsageError("no");
  table.readDecoded = () => {
    throw failure;
  };
  expect(run((options) => table.snapshots(100, options), 500)).toEqual([{ error: failure }]);
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("a period of %d is refused", (period) => {
  const { table } = open();
  expect(() => table.snapshots(period)).toThrow(UsageError);
  expect(() => table.changes(period)).toThrow(UsageError);
});
