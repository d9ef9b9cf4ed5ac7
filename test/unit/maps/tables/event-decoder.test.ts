import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { UsageError } from "../../../../framework/core/errors.ts";
import { viewOf } from "../../../../framework/core/layout.ts";
import { Elf } from "../../../../framework/object/elf.ts";
import { placedBtf } from "../../../../framework/object/loadable-btf.ts";
import { codecOf } from "../../../../maps/codecs/from-btf.ts";
import { eventDecoding, skipped } from "../../../../maps/tables/event-decoder.ts";
import { specOf } from "../memory-map.ts";

const object = new Elf(readFileSync(new URL("../fixtures/types.o", import.meta.url)));
const btf = placedBtf(object, object.section(".BTF")!);
const event = btf.find("event", "struct");
const inner = btf.find("inner", "struct");

function encoded(type: number, value: unknown, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  codecOf(btf, type).write(viewOf(bytes), 0, value);
  return bytes;
}

function decode(eventTypes: readonly number[], bytes: Uint8Array): unknown {
  return eventDecoding(specOf({ btf, eventTypes }), undefined).decode(viewOf(bytes), 0, bytes.length);
}

const anEvent = { pid: 1, ts: 2n, comm: "sh" };
const anInner = { a: 3, b: -1 };

test("a record is decoded by the type that programs submit", () => {
  expect(decode([event], encoded(event, anEvent, 32))).toEqual(anEvent);
});

test("a record longer than its type, as perf buffers pad it, is decoded by its beginning", () => {
  expect(decode([event], encoded(event, anEvent, 36))).toEqual(anEvent);
});

test("where programs submit several types, the length tells which it is, padded or not", () => {
  expect(decode([event, inner], encoded(event, anEvent, 32))).toEqual(anEvent);
  expect(decode([event, inner], encoded(event, anEvent, 36))).toEqual(anEvent);
  expect(decode([event, inner], encoded(inner, anInner, 4))).toEqual(anInner);
  expect(decode([inner, event], encoded(inner, anInner, 4))).toEqual(anInner);
});

test("a length that fits no type is decoded by the last one", () => {
  expect(decode([event, inner], encoded(inner, anInner, 20))).toEqual(anInner);
});

test("hidden bytes before the event tell its type, whatever its length", () => {
  const eventTags = new Map([
    [1, event],
    [2, inner],
    [3, event],
  ]);
  const { decode, hidden, only, variant } = eventDecoding(
    specOf({ btf, eventTypes: [event, inner], eventTags }),
    undefined,
  );
  const record = (tag: number, bytes: Uint8Array): DataView => {
    const all = new Uint8Array(8 + bytes.length);
    all.set([tag]);
    all.set(bytes, 8);
    return viewOf(all);
  };
  const first = record(3, encoded(event, anEvent, 36));
  const second = record(2, encoded(inner, anInner, 36));
  expect(hidden).toBe(8);
  expect([decode(first, 0, 44), decode(second, 0, 44)]).toEqual([anEvent, anInner]);
  expect([only("struct inner")(first, 0, 44), only("inner")(second, 0, 44)]).toEqual([skipped, anInner]);
  expect(variant?.(second, 0, 44)(second, 8, 36)).toEqual(anInner);
  expect(() => only("struct iner")).toThrow(UsageError);
});

test("an array without a length at a record's end has as many whole items as the record has room for", () => {
  const flexible = btf.find("flexible", "struct");
  const bytes = new Uint8Array(8 + 2 * 8 + 7);
  const view = viewOf(bytes);
  view.setUint32(0, 5, true);
  view.setBigUint64(8, 1n, true);
  view.setBigUint64(16, 2n, true);
  expect(decode([flexible], bytes)).toEqual({ count: 5, items: [1n, 2n] });
  expect(decode([flexible], bytes.subarray(0, 8))).toEqual({ count: 5, items: [] });
  expect(() => decode([flexible], bytes.subarray(0, 7))).toThrow("has 7 bytes, and its type takes 8");
});
