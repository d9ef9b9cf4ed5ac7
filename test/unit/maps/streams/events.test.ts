import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { lastValueFrom, take, toArray } from "rxjs";
import { expect, test } from "vitest";
import { LayoutError, PermissionError, UsageError } from "../../../../framework/core/errors.ts";
import { u32 } from "../../../../framework/core/layout.ts";
import { type AnyTable, iterate, openTable } from "../../../../maps/index.ts";
import { contextOf, MemoryMap, type TestContext } from "../memory-map.ts";
import { MemorySource } from "../memory-source.ts";

interface Opened {
  readonly table: AnyTable<unknown, number>;
  readonly context: TestContext;
  readonly sources: MemorySource[];
}

function open(): Opened {
  const sources: MemorySource[] = [];
  const context = contextOf({
    eventType: u32,
    openEvents() {
      const source = new MemorySource();
      sources.push(source);
      return source;
    },
  });
  const spec = { name: "events", kind: "perf_event_array", keySize: 4, valueSize: 4 } as const;
  return { table: openTable<unknown, number>(new MemoryMap(spec), context), context, sources };
}

const one = [1, 0, 0, 0];
const two = [2, 0, 0, 0];
const three = [3, 0, 0, 0];

test("the buffer is opened for the first subscriber and closed with the last", () => {
  const { table, sources } = open();
  const events = table.events();
  expect(sources).toHaveLength(0);
  const first = events.subscribe();
  const second = table.events().subscribe();
  expect(sources).toHaveLength(1);
  first.unsubscribe();
  expect(sources[0]!.disposed).toBe(false);
  second.unsubscribe();
  expect(sources[0]!.disposed).toBe(true);
});

test("every subscriber gets every event from its subscription on", () => {
  const { table, sources } = open();
  const first: number[] = [];
  const second: number[] = [];
  table.events().subscribe((event) => first.push(event));
  sources[0]!.push(one);
  table.events().subscribe((event) => second.push(event));
  sources[0]!.push(two, three);
  expect(first).toEqual([1, 2, 3]);
  expect(second).toEqual([2, 3]);
});

test("unsubscribing inside a callback stops at that event and leaves the rest unread", async () => {
  const { table, sources } = open();
  const events = lastValueFrom(table.events().pipe(take(2), toArray()));
  sources[0]!.push(one, two, three);
  expect(await events).toEqual([1, 2]);
  expect(sources[0]!.disposed).toBe(true);
});

test("one subscriber leaving inside its callback does not disturb the other", () => {
  const { table, sources } = open();
  const seen: number[] = [];
  const leaving = table.events().subscribe(() => leaving.unsubscribe());
  table.events().subscribe((event) => seen.push(event));
  sources[0]!.push(one, two);
  expect(seen).toEqual([1, 2]);
});

test("subscribing again opens the buffer again, also from inside the last callback", () => {
  const { table, sources } = open();
  const seen: number[] = [];
  const first = table.events().subscribe(() => {
    first.unsubscribe();
    table.events().subscribe((event) => seen.push(event));
  });
  sources[0]!.push(one);
  expect(sources).toHaveLength(2);
  sources[1]!.push(two);
  expect(seen).toEqual([2]);
});

test("a subscriber replaced inside its callback misses no later event", () => {
  const { table, sources } = open();
  const seen: number[] = [];
  const first = table.events().subscribe(() => {
    table.events().subscribe((event) => seen.push(event));
    first.unsubscribe();
  });
  sources[0]!.push(one, two, three);
  expect(sources).toHaveLength(1);
  expect(seen).toEqual([2, 3]);
});

test("a record that does not fit ends the stream that meets it with a LayoutError", () => {
  const { table, sources } = open();
  const errors: unknown[] = [];
  const seen: number[] = [];
  table.events().subscribe({ next: (event) => seen.push(event), error: (error) => errors.push(error) });
  sources[0]!.push(one, [1, 2], two);
  expect(seen).toEqual([1]);
  expect(errors).toEqual([expect.any(LayoutError)]);
  expect(sources[0]!.disposed).toBe(true);
});

test("a buffer that cannot be opened is an error of the stream", () => {
  const context = contextOf({
    openEvents() {
      throw new PermissionError("opening events needs CAP_PERFMON");
    },
  });
  const table = openTable(new MemoryMap({ kind: "ringbuf", keySize: 0, valueSize: 0 }), context);
  const errors: unknown[] = [];
  table.events().subscribe({ error: (error) => errors.push(error) });
  expect(errors).toEqual([expect.any(PermissionError)]);
});

test("what reading the buffer throws is an error of all its streams", () => {
  const { table, sources } = open();
  const errors: unknown[] = [];
  table.events().subscribe({ error: (error) => errors.push(error) });
  table.eventBatches().subscribe({ error: (error) => errors.push(error) });
  const failure = new PermissionError("no");
  sources[0]!.drain = () => {
    throw failure;
  };
  sources[0]!.push(one);
  expect(errors).toEqual([failure, failure]);
});

test("closing the table completes its streams", () => {
  const { table, context } = open();
  let completed = 0;
  table.events().subscribe({ complete: () => completed++ });
  table.eventBatches().subscribe({ complete: () => completed++ });
  context.scope[Symbol.dispose]();
  expect(completed).toBe(2);
});

test("aborting the signal completes a stream and closes the buffer", () => {
  const { table, sources } = open();
  const controller = new AbortController();
  let isComplete = false;
  table.events({ signal: controller.signal }).subscribe({
    complete: () => {
      isComplete = true;
    },
  });
  controller.abort();
  expect([isComplete, sources[0]!.disposed]).toEqual([true, true]);
  table.events({ signal: controller.signal }).subscribe();
  expect(sources).toHaveLength(1);
});

test("batches hold the events of one reading, decoded", () => {
  const { table, sources } = open();
  const batches: unknown[] = [];
  table.eventBatches().subscribe((batch) => batches.push(batch));
  sources[0]!.push(one, two);
  sources[0]!.push(three);
  expect(batches).toEqual([[1, 2], [3]]);
});

test("a batch cut short by a record that does not fit comes before the error", () => {
  const { table, sources } = open();
  const seen: unknown[] = [];
  table.eventBatches().subscribe({ next: (batch) => seen.push(batch), error: (error) => seen.push(error) });
  sources[0]!.push(one, [1], two);
  expect(seen).toEqual([[1], expect.any(LayoutError)]);
});

test("many records are read over several turns, so that timers run in between", async () => {
  const { table, sources } = open();
  let count = 0;
  let countAtTimer = 0;
  table.events().subscribe(() => count++);
  const records = Array.from({ length: 20000 }, () => one);
  sources[0]!.push(...records);
  expect(count).toBeLessThanOrEqual(4096);
  await turn();
  countAtTimer = count;
  while (count < 20000) await sleep(1);
  expect(countAtTimer).toBeLessThan(20000);
  expect(
    Math.max(...sources[0]!.limits.map((limit) => limit ?? Number.POSITIVE_INFINITY)),
  ).toBeLessThanOrEqual(4096);
});

test("losses are a stream with totals, which does not open the buffer by itself", () => {
  const { table, sources } = open();
  const losses: unknown[] = [];
  table.lost.subscribe((loss) => losses.push(loss));
  expect(sources).toHaveLength(0);
  table.events().subscribe();
  sources[0]!.lose(3, 1);
  sources[0]!.lose(1, 0);
  expect(losses).toEqual([
    { count: 3, cpu: 1, reason: "buffer", total: 3 },
    { count: 1, cpu: 0, reason: "buffer", total: 4 },
  ]);
  expect(table.lostTotal).toBe(4);
});

test("what a loop's queue drops is a loss of the CPU that sent it, which other readers do not have", async () => {
  const { table, sources } = open();
  const losses: unknown[] = [];
  table.lost.subscribe((loss) => losses.push(loss));
  const oldest = iterate(table.events(), { limit: 1 })[Symbol.asyncIterator]();
  const newest = iterate(table.events(), { limit: 1, overflow: "drop-newest" })[Symbol.asyncIterator]();
  sources[0]!.add([one], 0);
  sources[0]!.add([two], 1);
  expect(losses).toEqual([
    { count: 1, cpu: 0, reason: "queue", total: 1 },
    { count: 1, cpu: 1, reason: "queue", total: 2 },
  ]);
  expect([(await oldest.next()).value, (await newest.next()).value]).toEqual([2, 1]);
  expect(table.lostTotal).toBe(0);
  expect(table.lostCounts).toEqual([
    { count: 1, cpu: 0, reason: "queue" },
    { count: 1, cpu: 1, reason: "queue" },
  ]);
  await Promise.all([oldest.return?.(), newest.return?.()]);
});

test("a dropped array counts as its records", async () => {
  const { table, sources } = open();
  const loop = iterate(table.eventBatches(), { limit: 1 })[Symbol.asyncIterator]();
  sources[0]!.push(one, two);
  sources[0]!.push(three);
  expect(table.lostCounts).toEqual([{ count: 2, cpu: null, reason: "queue" }]);
  await loop.return?.();
});

test("a second reader that asks for other sizes is told that the buffer is shared", () => {
  const { table } = open();
  table.events({ pages: 64 }).subscribe();
  table.events().subscribe();
  const errors: unknown[] = [];
  table.events({ pages: 8 }).subscribe({ error: (error) => errors.push(error) });
  expect(errors).toEqual([expect.any(UsageError)]);
  expect(() => table.events({ pages: 3 })).toThrow(UsageError);
});

test("the slower a subscriber, the fewer records come between two looks at the clock: timers get their turns", async () => {
  const { table, sources } = open();
  let received = 0;
  table.events().subscribe(() => {
    received++;
    for (const end = performance.now() + 2; performance.now() < end; );
  });
  const seen: number[] = [];
  const timer = setInterval(() => seen.push(received), 1);
  sources[0]!.push(...Array.from({ length: 200 }, () => one));
  while (received < 200) await turn();
  clearInterval(timer);
  // Two milliseconds each: after the first look there is one record at a time, and a turn has a few of them.
  expect(sources[0]!.limits.at(-1)).toBe(1);
  const gaps = seen.map((count, index) => count - (seen[index - 1] ?? count));
  expect(Math.max(...gaps)).toBeLessThan(16);
  expect(seen.length).toBeGreaterThan(10);
});
