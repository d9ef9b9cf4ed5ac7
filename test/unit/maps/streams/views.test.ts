import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { ClosedError, LayoutError, UsageError } from "../../../../framework/core/errors.ts";
import { u32, viewOf } from "../../../../framework/core/layout.ts";
import { Elf } from "../../../../framework/object/elf.ts";
import { placedBtf } from "../../../../framework/object/loadable-btf.ts";
import {
  type AnyTable,
  codecOf,
  copyOfView,
  type EventView,
  iterate,
  openTable,
} from "../../../../maps/index.ts";
import { contextOf, MemoryMap, type TestContext } from "../memory-map.ts";
import { MemorySource } from "../memory-source.ts";

const object = new Elf(readFileSync(new URL("../fixtures/types.o", import.meta.url)));
const btf = placedBtf(object, object.section(".BTF")!);
const event = btf.find("event", "struct");
const inner = btf.find("inner", "struct");

interface Event {
  readonly pid: number;
  readonly ts: bigint;
  readonly comm: string;
}

const first: Event = { pid: 1, ts: 2n, comm: "sh" };
const second: Event = { pid: 3, ts: 4n, comm: "cat" };

interface Opened {
  readonly table: AnyTable<unknown, Event>;
  readonly source: MemorySource;
  readonly context: TestContext;
}

function open(eventTypes: readonly number[] = [event], eventType?: typeof u32): Opened {
  const source = new MemorySource();
  const context = contextOf({ openEvents: () => source, ...(eventType && { eventType }) });
  const spec = { name: "out", kind: "ringbuf", keySize: 0, valueSize: 0, btf, eventTypes } as const;
  return { table: openTable<unknown, Event>(new MemoryMap(spec), context), source, context };
}

function encoded(type: number, value: unknown): number[] {
  const bytes = new Uint8Array(codecOf(btf, type).size);
  codecOf(btf, type).write(viewOf(bytes), 0, value);
  return [...bytes];
}

test("a view shows an event's fields during the callback", () => {
  const { table, source } = open();
  const seen: unknown[] = [];
  table.eventViews().subscribe(({ pid, ts, comm }) => seen.push({ pid, ts, comm }));
  source.push(encoded(event, first), encoded(event, second));
  expect(seen).toEqual([first, second]);
});

test("a view that was kept refuses to be read, also while another one is lent", () => {
  const { table, source } = open();
  const kept: EventView<Event>[] = [];
  const refusals: unknown[] = [];
  table.eventViews().subscribe((view) => {
    try {
      void kept[0]?.pid;
    } catch (error) {
      refusals.push(error);
    }
    kept.push(view);
  });
  source.push(encoded(event, first), encoded(event, second));
  expect(refusals).toEqual([expect.any(ClosedError)]);
  expect(() => kept[1]!.comm).toThrow(/"comm"/);
  expect(() => copyOfView(kept[1]!)).toThrow(ClosedError);
  expect(inspect(kept[1])).toContain("gone");
});

test("copyOfView gives the event to keep, and inspecting shows it", () => {
  const { table, source } = open();
  const copies: Event[] = [];
  const shown: string[] = [];
  table.eventViews().subscribe((view) => {
    copies.push(copyOfView(view));
    shown.push(inspect(view));
  });
  source.push(encoded(event, first), encoded(event, second));
  expect(copies).toEqual([first, second]);
  expect(shown[0]).toBe(inspect(first));
});

test("leaving inside the callback, or closing the table, ends the view at once", () => {
  const left = open();
  const errors: unknown[] = [];
  const attempt = (view: EventView<Event>): void => {
    try {
      void view.pid;
    } catch (error) {
      errors.push(error);
    }
  };
  const leaving = left.table.eventViews().subscribe((view) => {
    leaving.unsubscribe();
    attempt(view);
  });
  left.source.push(encoded(event, first));
  const closed = open();
  closed.table.eventViews().subscribe((view) => {
    closed.context.scope[Symbol.dispose]();
    attempt(view);
  });
  closed.source.push(encoded(event, first));
  expect(errors).toEqual([expect.any(ClosedError), expect.any(ClosedError)]);
});

test("each subscriber has views of its own", () => {
  const { table, source } = open();
  const seen: string[] = [];
  const leaving = table.eventViews().subscribe((view) => {
    seen.push(`a ${view.comm}`);
    leaving.unsubscribe();
  });
  table.eventViews().subscribe((view) => seen.push(`b ${view.comm}`));
  source.push(encoded(event, first), encoded(event, second));
  expect(seen).toEqual(["a sh", "b sh", "b cat"]);
});

test("where programs submit several types, each event is seen as its own, or those of one type only", () => {
  const { table, source } = open([event, inner]);
  const all: unknown[] = [];
  const some: unknown[] = [];
  table.eventViews().subscribe((view) => all.push(copyOfView(view)));
  table.eventViews({ type: "struct inner" }).subscribe((view) => some.push(copyOfView(view)));
  source.push(encoded(event, first), encoded(inner, { a: 3, b: -1 }));
  expect(all).toEqual([first, { a: 3, b: -1 }]);
  expect(some).toEqual([{ a: 3, b: -1 }]);
});

test("a record shorter than its type ends the stream with a LayoutError", () => {
  const { table, source } = open();
  let error: unknown;
  table.eventViews().subscribe({ error: (thrown: unknown) => (error = thrown) });
  source.push([1, 2, 3]);
  expect(error).toBeInstanceOf(LayoutError);
});

test("a field without a length goes on to the record's end", () => {
  const { table, source } = open([btf.find("flexible", "struct")]);
  const seen: unknown[] = [];
  table.eventViews<{ count: number; items: readonly bigint[] }>().subscribe((view) => {
    seen.push([view.items, copyOfView(view)]);
  });
  const bytes = new Uint8Array(24);
  viewOf(bytes).setUint32(0, 5, true);
  viewOf(bytes).setBigUint64(8, 1n, true);
  viewOf(bytes).setBigUint64(16, 2n, true);
  source.push([...bytes]);
  expect(seen).toEqual([[[1n, 2n], { count: 5, items: [1n, 2n] }]]);
});

test("views cannot wait in a loop's queue", () => {
  const { table } = open();
  expect(() => iterate(table.eventViews())).toThrow(UsageError);
});

test("events without fields cannot be viewed", () => {
  expect(() => open([], u32).table.eventViews()).toThrow(UsageError);
  expect(() => open([]).table.eventViews()).toThrow(/unknown type/);
  expect(() => open().table.eventViews({ type: "struct evnt" })).toThrow(UsageError);
});
