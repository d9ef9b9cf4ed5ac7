import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { ClosedError, LayoutError, UsageError } from "../../../../framework/core/errors.ts";
import { u16, u32 } from "../../../../framework/core/layout.ts";
import type { EventOptions } from "../../../../framework/runtime/types.ts";
import { type AnyTable, openTable } from "../../../../maps/index.ts";
import { Losses } from "../../../../maps/tables/losses.ts";
import { contextOf, MemoryMap, type TestContext } from "../memory-map.ts";
import { MemorySource } from "../memory-source.ts";

interface Opened {
  readonly table: AnyTable<unknown, number>;
  readonly context: TestContext;
  readonly sources: MemorySource[];
  readonly options: EventOptions[];
}

function open(kind: "ringbuf" | "perf_event_array"): Opened {
  const sources: MemorySource[] = [];
  const options: EventOptions[] = [];
  const context = contextOf({
    eventType: u32,
    openEvents(asked) {
      options.push(asked);
      const source = new MemorySource();
      sources.push(source);
      return source;
    },
  });
  const table = openTable<unknown, number>(
    new MemoryMap({ name: "events", kind, keySize: 0, valueSize: 0 }),
    context,
  );
  return { table, context, sources, options };
}

test("event decodes a record's bytes and refuses too few", () => {
  const { table } = open("ringbuf");
  expect(table.event(new Uint8Array([1, 1, 0, 0, 99]))).toBe(257);
  expect(() => table.event(new Uint8Array(3))).toThrow(LayoutError);
  expect(() => table.event(new Uint8Array(3))).toThrow(
    'a record of "events" has 3 bytes, and its type takes 4',
  );
});

test("a table without an event type gives copied bytes", () => {
  const table = openTable<unknown, Uint8Array>(
    new MemoryMap({ kind: "ringbuf", keySize: 0, valueSize: 0 }),
    contextOf(),
  );
  const data = new Uint8Array([1, 2, 3]);
  const event = table.event(data);
  data.fill(0);
  expect(event).toEqual(new Uint8Array([1, 2, 3]));
});

test("a perf buffer's callback gets CPU, copied bytes and size, when polled and not before", async () => {
  const { table, context, sources } = open("perf_event_array");
  const seen: unknown[] = [];
  table.open_perf_buffer((cpu, data, size) => seen.push([cpu, table.event(data), size, data]));
  sources[0]!.add([[7, 0, 0, 0]], 2);
  sources[0]!.add([[8, 0, 0, 0]], 1);
  await sleep(5);
  expect(seen).toEqual([]);
  expect(await context.buffers.perf.poll()).toBe(2);
  expect(seen).toEqual([
    [2, 7, 4, new Uint8Array([7, 0, 0, 0])],
    [1, 8, 4, new Uint8Array([8, 0, 0, 0])],
  ]);
});

test("open_perf_buffer passes BCC's sizes on, 8 pages and a wake-up per record by default", () => {
  const first = open("perf_event_array");
  first.table.open_perf_buffer(() => {});
  expect(first.options).toEqual([{ pages: 8, wakeupEvents: 1 }]);
  const second = open("perf_event_array");
  second.table.open_perf_buffer(() => {}, { page_cnt: 64, wakeup_events: 10 });
  expect(second.options).toEqual([{ pages: 64, wakeupEvents: 10 }]);
  expect(() => open("perf_event_array").table.open_perf_buffer(() => {}, { page_cnt: 6 })).toThrow(
    UsageError,
  );
});

test("a ring buffer's callback gets its context", () => {
  const { table, context, sources } = open("ringbuf");
  const seen: unknown[] = [];
  table.open_ring_buffer((ctx, data, size) => seen.push([ctx, table.event(data), size]), "mine");
  sources[0]!.push([1, 0, 0, 0], [2, 0, 0, 0]);
  expect(context.buffers.ring.consume()).toBe(2);
  expect(seen).toEqual([
    ["mine", 1, 4],
    ["mine", 2, 4],
  ]);
});

test("the method of the other kind of buffer is refused with the right one's name", () => {
  expect(() => open("ringbuf").table.open_perf_buffer(() => {})).toThrow(
    expect.objectContaining({ hint: "use open_ring_buffer(callback)" }),
  );
  expect(() => open("perf_event_array").table.open_ring_buffer(() => {})).toThrow(UsageError);
});

test("poll resolves as soon as records come", async () => {
  const { table, context, sources } = open("ringbuf");
  table.open_ring_buffer(() => {});
  const polled = context.buffers.ring.poll();
  setTimeout(() => sources[0]!.push([1, 0, 0, 0]), 1);
  expect(await polled).toBe(1);
  expect(sources[0]!.watched).toBe(false);
});

test("poll resolves with 0 when the time is over or the signal aborts", async () => {
  const { table, context, sources } = open("ringbuf");
  table.open_ring_buffer(() => {});
  expect(await context.buffers.ring.poll({ timeoutMs: 0 })).toBe(0);
  expect(await context.buffers.ring.poll({ timeoutMs: 2 })).toBe(0);
  const controller = new AbortController();
  const polled = context.buffers.ring.poll({ signal: controller.signal });
  controller.abort();
  expect(await polled).toBe(0);
  expect(sources[0]!.watched).toBe(false);
});

test("timers run between polls of a buffer that is never empty", async () => {
  const { table, context, sources } = open("ringbuf");
  table.open_ring_buffer(() => sources[0]!.push([1, 0, 0, 0]));
  sources[0]!.push([1, 0, 0, 0]);
  let isOver = false;
  setTimeout(() => {
    isOver = true;
  }, 1);
  while (!isOver) expect(await context.buffers.ring.poll()).toBe(4096);
});

test("what a callback throws comes out of consume and rejects poll, and the record counts as read", async () => {
  const { table, context, sources } = open("ringbuf");
  const seen: number[] = [];
  table.open_ring_buffer((_, data) => {
    const event = table.event(data);
    if (event < 3) throw new RangeError(`event ${event}`);
    seen.push(event);
  });
  sources[0]!.push([1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]);
  expect(() => context.buffers.ring.consume()).toThrow("event 1");
  await expect(context.buffers.ring.poll()).rejects.toThrow("event 2");
  expect(await context.buffers.ring.poll()).toBe(1);
  expect(seen).toEqual([3]);
});

test("what a callback throws while a stream drives the buffer comes out of the next consume", async () => {
  const { table, context, sources } = open("ringbuf");
  table.open_ring_buffer(() => {
    throw new RangeError("mine");
  });
  const seen: number[] = [];
  const subscription = table.events<number>().subscribe((event) => seen.push(event));
  sources[0]!.push([1, 0, 0, 0]);
  expect(seen).toEqual([1]);
  expect(() => context.buffers.ring.consume()).toThrow("mine");
  subscription.unsubscribe();
  expect(sources[0]!.disposed).toBe(false);
});

test("polling without any buffer says what to open", async () => {
  const { context } = open("ringbuf");
  expect(() => context.buffers.perf.consume()).toThrow(UsageError);
  await expect(context.buffers.ring.poll()).rejects.toThrow(
    expect.objectContaining({ hint: "call open_ring_buffer on a table first" }),
  );
});

test("closing rejects a poll that waits, closes the buffer, and refuses new readers", async () => {
  const { table, context, sources } = open("ringbuf");
  table.open_ring_buffer(() => {});
  const polled = context.buffers.ring.poll();
  context.scope[Symbol.dispose]();
  await expect(polled).rejects.toThrow(ClosedError);
  expect(sources[0]!.disposed).toBe(true);
  expect(() => table.open_ring_buffer(() => {})).toThrow(ClosedError);
});

test("lost_cb gets the losses, and lostTotal adds them up", () => {
  const { table, context, sources } = open("perf_event_array");
  const lost: number[] = [];
  table.open_perf_buffer(() => {}, { lost_cb: (count) => lost.push(count) });
  sources[0]!.lose(3, 0);
  sources[0]!.lose(4, 1);
  context.buffers.perf.consume();
  expect(lost).toEqual([3, 4]);
  expect(table.lostTotal).toBe(7);
});

test("records dropped by programs are counted per CPU from the counters beside a ring buffer", () => {
  const drops = [0n, 2n, 0n];
  const source = new MemorySource();
  const context = contextOf({ drops: () => drops, openEvents: () => source });
  const table = openTable(new MemoryMap({ kind: "ringbuf", keySize: 0, valueSize: 0 }), context);
  const losses: unknown[] = [];
  table.lost.subscribe((loss) => losses.push(loss));
  table.open_ring_buffer(() => {});
  context.buffers.ring.consume();
  drops[0] = 5n;
  context.buffers.ring.consume();
  context.buffers.ring.consume();
  expect(losses).toEqual([
    { count: 2, cpu: 1, reason: "buffer", total: 2 },
    { count: 5, cpu: 0, reason: "buffer", total: 7 },
  ]);
});

test("losses nobody listens to are printed in BCC's words, at once and then once a second", () => {
  vi.useFakeTimers();
  try {
    const printed: string[] = [];
    const losses = new Losses((text) => printed.push(text));
    losses.add(3, 0);
    losses.add(4, 0);
    losses.add(5, 1);
    expect(printed).toEqual(["Possibly lost 3 samples\n"]);
    vi.advanceTimersByTime(1000);
    expect(printed).toEqual(["Possibly lost 3 samples\n", "Possibly lost 9 samples\n"]);
    losses.add(1, 1);
    losses[Symbol.dispose]();
    expect(printed.at(-1)).toBe("Possibly lost 1 samples\n");
    expect(losses.total("buffer")).toBe(13);
  } finally {
    vi.useRealTimers();
  }
});

test("records that a loop was too slow for are printed in the same line", () => {
  const printed: string[] = [];
  const losses = new Losses((text) => printed.push(text));
  losses.add(2, null, "queue");
  losses.add(3, 0);
  losses.add(4, 1, "queue");
  losses[Symbol.dispose]();
  expect(printed).toEqual([
    "Dropped 2 samples that a loop was too slow for\n",
    "Possibly lost 3 samples, and dropped 4 samples that a loop was too slow for\n",
  ]);
});

test("losses are not printed while somebody listens", () => {
  const printed: string[] = [];
  const losses = new Losses((text) => printed.push(text));
  const stop = losses.listen(() => {});
  losses.add(3, 0);
  expect(printed).toEqual([]);
  stop();
  losses.add(4, 0);
  losses[Symbol.dispose]();
  expect(printed).toEqual(["Possibly lost 4 samples\n"]);
});

test("a codec given as the event type decodes the records", () => {
  const context = contextOf({ eventType: u16 });
  const table = openTable<unknown, number>(
    new MemoryMap({ kind: "ringbuf", keySize: 0, valueSize: 0 }),
    context,
  );
  expect(table.event(new Uint8Array([1, 1, 1]))).toBe(257);
});
