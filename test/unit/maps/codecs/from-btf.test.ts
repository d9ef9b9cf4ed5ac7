import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { LayoutError, UsageError } from "../../../../framework/core/errors.ts";
import type { Codec } from "../../../../framework/core/layout.ts";
import { Elf } from "../../../../framework/object/elf.ts";
import { placedBtf } from "../../../../framework/object/loadable-btf.ts";
import { enumerationOf } from "../../../../maps/codecs/enumeration.ts";
import { codecOf } from "../../../../maps/codecs/from-btf.ts";

const fixture = readFileSync(new URL("../fixtures/types.o", import.meta.url));
const object = new Elf(fixture);
const btf = placedBtf(object, object.section(".BTF")!);

function codec(name: string): Codec<unknown> {
  return codecOf(btf, btf.find(name, "struct", "union", "enum", "enum64", "datasec"));
}

function encode(type: Codec<unknown>, value: unknown): Uint8Array {
  const bytes = new Uint8Array(type.size).fill(0xee);
  type.write(new DataView(bytes.buffer), 0, value);
  return bytes;
}

function decode(type: Codec<unknown>, bytes: Uint8Array): unknown {
  return type.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
}

function roundTrip(name: string, value: unknown): unknown {
  const type = codec(name);
  return decode(type, encode(type, value));
}

test("a struct reads as an object with its fields in declaration order, 64 bits as bigint, char[] as string", () => {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4000000000, true);
  view.setBigUint64(8, 18446744073709551615n, true);
  bytes.set(new TextEncoder().encode("bash"), 16);

  const event = decode(codec("event"), bytes);

  expect(event).toEqual({ pid: 4000000000, ts: 18446744073709551615n, comm: "bash" });
  expect(Object.keys(event as object)).toEqual(["pid", "ts", "comm"]);
});

test("a record is read at any offset of a view", () => {
  const type = codec("event");
  const bytes = new Uint8Array(40 + 8);
  bytes.set(encode(type, { pid: 7, ts: 9n, comm: "sh" }), 8);
  expect(type.read(new DataView(bytes.buffer, 4), 4)).toEqual({ pid: 7, ts: 9n, comm: "sh" });
});

test("fields of anonymous members appear in the record around them, at their own offsets", () => {
  const bytes = encode(codec("nested"), {
    x: 1,
    low: 0x89abcdef,
    high: 0x01234567,
    id: 5,
    one: { a: 3, b: -4 },
  });
  expect(decode(codec("nested"), bytes)).toEqual({
    one: { a: 3, b: -4 },
    many: [
      { a: 0, b: 0 },
      { a: 0, b: 0 },
    ],
    x: 1,
    whole: 0x0123456789abcdefn,
    low: 0x89abcdef,
    high: 0x01234567,
    id: 5,
  });
  expect([...bytes.subarray(16, 20)]).toEqual([1, 0, 0, 0]);
  expect([...bytes.subarray(32, 36)]).toEqual([5, 0, 0, 0]);
});

test("a union reads as all its members and writes the one that is given", () => {
  expect(roundTrip("number", { bytes: new Uint8Array([0, 0, 0x80, 0x3f]) })).toEqual({
    word: 0x3f800000,
    bytes: new Uint8Array([0, 0, 0x80, 0x3f]),
    f: 1,
    in: { a: 0, b: -128 },
  });
  expect(encode(codec("number"), { word: 0x01020304 })).toEqual(new Uint8Array([4, 3, 2, 1]));
});

test("bit fields read and write their own bits, signed ones with their sign", () => {
  const value = {
    first: 5,
    second: -16,
    third: 0xfffff,
    wide: 0x9876543210n,
    tail: 0xabcdefn,
    flag: true,
    st: -1,
    low: -4294967296n,
  };
  expect(roundTrip("bits", value)).toEqual(value);
  const bytes = encode(codec("bits"), { first: 7, third: 1 });
  expect([...bytes.subarray(0, 4)]).toEqual([0b0000_0111, 0b0001_0000, 0, 0]);
});

test("bit fields of neighbouring values do not disturb each other", () => {
  const neighbours = {
    first: 0,
    second: -1,
    third: 0,
    wide: 0n,
    tail: 0xffffffn,
    flag: false,
    st: 0,
    low: -1n,
  };
  expect(roundTrip("bits", neighbours)).toEqual(neighbours);
});

test("a packed struct is read at the compiler's unaligned offsets", () => {
  const value = { tag: 1, value: 0x1122334455667788n, half: 0xabcd, across: 0x7fffffff, over: 0x55 };
  expect(codec("packed").size).toBe(16);
  expect(roundTrip("packed", value)).toEqual(value);
  expect([...encode(codec("packed"), value).subarray(0, 11)]).toEqual([
    1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xcd, 0xab,
  ]);
});

test("128-bit integers read as bigint with their sign", () => {
  const value = { s: -(2n ** 127n), u: 2n ** 128n - 1n };
  expect(roundTrip("wide", value)).toEqual(value);
  expect(() => encode(codec("wide"), { s: 2n ** 127n })).toThrow(/field "s" must be a bigint/);
});

test("char arrays are text, unsigned char arrays bytes, other arrays lists, and dimensions nest", () => {
  const value = {
    name: "abcdef",
    lines: ["ab", "wxyz"],
    mac: new Uint8Array([1, 2, 3, 4, 5, 255]),
    deltas: [-1, 0, 127],
    grid: [
      [1, 2, 3],
      [4, 5, 4294967295],
    ],
    on: [true, false],
    c: -3,
  };
  expect(roundTrip("texts", value)).toEqual(value);
});

test("bytes read from a record are copies", () => {
  const type = codec("texts");
  const bytes = encode(type, { mac: new Uint8Array([1, 2, 3, 4, 5, 6]) });
  const value = decode(type, bytes) as { mac: Uint8Array };
  bytes.fill(0);
  expect(value.mac).toEqual(new Uint8Array([1, 2, 3, 4, 5, 6]));
});

test("pointers, doubles, booleans, enums and padding members read as what they are", () => {
  const bytes = new Uint8Array(48);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, 0xffff888012345678n, true);
  view.setFloat64(16, 0.5, true);
  bytes[24] = 2;
  view.setInt32(28, -1, true);
  view.setBigUint64(32, 2n ** 63n, true);
  view.setUint32(44, 12, true);

  const value = decode(codec("odds"), bytes) as Record<string, unknown>;

  expect(Object.entries(value)).toEqual([
    ["ptr", 0xffff888012345678n],
    ["fn", 0n],
    ["d", 0.5],
    ["yes", true],
    ["state", -1],
    ["big", 2n ** 63n],
    ["__pad_1", ""],
    ["__proto__", 12],
  ]);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
});

test("a flexible array at a record's end reads as an empty list", () => {
  expect(roundTrip("flexible", { count: 3 })).toEqual({ count: 3, items: [] });
});

test("a data section reads as its variables by name", () => {
  const data = object.section(".data")!.data;
  const bytes = new Uint8Array(codec(".data").size);
  bytes.set(data.subarray(0, bytes.length));
  expect(decode(codec(".data"), bytes)).toEqual({ counter: 1n, limit: 2 });
});

test("fields left out are written as zero, and so is padding", () => {
  expect(encode(codec("event"), { comm: "x" })).toEqual(
    new Uint8Array([...new Array(16).fill(0), 0x78, ...new Array(15).fill(0)]),
  );
});

test("a misspelt field is refused with its path and the name it may stand for", () => {
  const write = (): unknown => encode(codec("nested"), { one: { bb: 1 } });
  expect(write).toThrow(LayoutError);
  expect(write).toThrow('field "one.bb" is not a field of struct inner');
  expect(() => encode(codec("event"), { pidd: 1 })).toThrow(
    expect.objectContaining({ hint: "did you mean pid?" }),
  );
});

test("a value out of range is refused with the path to it", () => {
  expect(() => encode(codec("event"), { pid: "12" })).toThrow(
    'field "pid" must be a whole number from 0 to 4294967295, not "12"',
  );
  expect(() => encode(codec("event"), { pid: 4294967296 })).toThrow(/^field "pid" must/);
  expect(() => encode(codec("nested"), { many: [{ a: 1 }, { b: 128 }] })).toThrow(
    /^field "many\[1\]\.b" must/,
  );
  expect(() =>
    encode(codec("texts"), {
      grid: [
        [1, 2, 3],
        [4, 5, -1],
      ],
    }),
  ).toThrow(/^field "grid\[1\]\[2\]" must/);
  expect(() => encode(codec("bits"), { second: 16 })).toThrow(
    /^field "second" must be a whole number from -16 to 15/,
  );
  expect(() => encode(codec("event"), { ts: -1n })).toThrow(/^field "ts" must/);
  expect(() => encode(codec("event"), { comm: "seventeen letters" })).toThrow(/^field "comm" must/);
});

test("something that is no object is refused as a record", () => {
  expect(() => encode(codec("event"), 5)).toThrow("must be an object with the fields of struct event, not 5");
  expect(() => encode(codec("event"), [1])).toThrow(/must be an object/);
  expect(() => encode(codec("event"), null)).toThrow(/must be an object/);
});

test("an array of another length is refused", () => {
  expect(() => encode(codec("texts"), { deltas: [1, 2] })).toThrow(
    'field "deltas" must be an array of 3 items',
  );
});

test("a type that was only declared is refused by its name", () => {
  expect(() => codecOf(btf, btf.find("missing", "fwd"))).toThrow(
    'cannot make values of type "struct missing": it is declared but never defined',
  );
  expect(() => codecOf(btf, 0)).toThrow(LayoutError);
});

test("a pointer to a type that was only declared reads as its address", () => {
  expect(roundTrip("holder", { where: 16n })).toEqual({ where: 16n });
});

test("enums are written as numbers within their size", () => {
  expect(encode(codec("state"), -1)).toEqual(new Uint8Array([255, 255, 255, 255]));
  expect(encode(codec("big"), 2n ** 63n)).toEqual(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 128]));
  expect(() => encode(codec("state"), 2 ** 31)).toThrow(LayoutError);
});

test("enums are written by name as well, and a name the enum lacks is refused with those it has", () => {
  expect(encode(codec("state"), "GONE")).toEqual(new Uint8Array([255, 255, 255, 255]));
  expect(roundTrip("odds", { state: "BUSY", big: "HUGE_ONE" })).toMatchObject({ state: 7, big: 2n ** 63n });
  expect(roundTrip("bits", { st: "BUSY" })).toMatchObject({ st: 7 });
  expect(() => encode(codec("bits"), { st: "BUSSY" })).toThrow(
    'field "st" must be a number or a name in enum state, not "BUSSY"',
  );
});

test("an enumeration has names and numbers both ways", () => {
  const { values, nameOf } = enumerationOf(btf, "state");
  expect([...values]).toEqual([
    ["IDLE", 0],
    ["BUSY", 7],
    ["GONE", -1],
  ]);
  expect([nameOf(7), nameOf(8)]).toEqual(["BUSY", undefined]);
  expect(enumerationOf(btf, "enum big").nameOf(2n ** 63n)).toBe("HUGE_ONE");
  expect(enumerationOf(btf, "IDLE").values.get("GONE")).toBe(-1);
  expect(() => enumerationOf(btf, "event")).toThrow(UsageError);
  expect(() => enumerationOf(null, "state")).toThrow('have no enum "state"');
});
