import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { viewOf } from "../../../../framework/core/layout.ts";
import { Elf } from "../../../../framework/object/elf.ts";
import { placedBtf } from "../../../../framework/object/loadable-btf.ts";
import { codecOf } from "../../../../maps/codecs/from-btf.ts";
import { eventDecoder } from "../../../../maps/tables/event-decoder.ts";
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
  return eventDecoder(specOf({ btf, eventTypes }), undefined)(viewOf(bytes), 0, bytes.length);
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
