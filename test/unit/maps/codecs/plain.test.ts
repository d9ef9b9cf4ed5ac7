import { expect, test } from "vitest";
import { LayoutError, UsageError } from "../../../../framework/core/errors.ts";
import type { Codec } from "../../../../framework/core/layout.ts";
import { u16 } from "../../../../framework/core/layout.ts";
import { perCpu, reduced } from "../../../../maps/codecs/per-cpu.ts";
import { namedCodec, plainCodec } from "../../../../maps/codecs/plain.ts";

function view(...bytes: readonly number[]): DataView {
  return new DataView(new Uint8Array(bytes).buffer);
}

const ones = view(...new Array(24).fill(255));

test.each([
  [1, 255],
  [2, 65535],
  [4, 4294967295],
  [8, 18446744073709551615n],
])("a map's %i bytes without a type read as one unsigned integer", (size, value) => {
  expect(plainCodec(size).read(ones, 0)).toBe(value);
});

test.each([0, 3, 16, 24])("a map's %i bytes without a type read as bytes", (size) => {
  expect(plainCodec(size).read(ones, 0)).toEqual(new Uint8Array(size).fill(255));
});

test.each([
  ["u32", 4294967295],
  ["__u32", 4294967295],
  ["uint32_t", 4294967295],
  ["int", -1],
  ["s16", -1],
  ["int8_t", -1],
  ["u64", 18446744073709551615n],
  ["long", -1n],
  ["unsigned   long long", 18446744073709551615n],
  ["void*", 18446744073709551615n],
  ["bool", true],
  ["u8[3]", new Uint8Array([255, 255, 255])],
  ["s8[2]", [-1, -1]],
  ["u16 [2]", [65535, 65535]],
])("the type name %s reads %s", (name, value) => {
  expect(namedCodec(name).read(ones, 0)).toEqual(value);
});

test("char[N] reads as text", () => {
  expect(namedCodec("char[4]").read(view(104, 105, 0, 1), 0)).toBe("hi");
});

test("an unknown type name is refused with the nearest known one", () => {
  expect(() => namedCodec("u33")).toThrow(UsageError);
  expect(() => namedCodec("u33")).toThrow(expect.objectContaining({ hint: expect.stringContaining("u32") }));
  expect(() => namedCodec("struct task_struct")).toThrow('unknown type name "struct task_struct"');
});

test("per-CPU values are read from slots of a multiple of 8 bytes", () => {
  const codec = perCpu(u16, 3);
  const values = new DataView(new ArrayBuffer(24));
  codec.write(values, 0, [1, 2, 65535]);
  expect(codec.size).toBe(24);
  expect([values.getUint16(0, true), values.getUint16(8, true), values.getUint16(16, true)]).toEqual([
    1, 2, 65535,
  ]);
  expect(codec.read(values, 0)).toEqual([1, 2, 65535]);
});

test("per-CPU values need one for each possible CPU, and an error names the CPU", () => {
  const codec = perCpu(u16, 2);
  const values = new DataView(new ArrayBuffer(16));
  expect(() => codec.write(values, 0, [1])).toThrow("must be an array of 2 values, one per possible CPU");
  expect(() => codec.write(values, 0, [1, 65536])).toThrow(/^field "\[1\]" must be a whole number/);
});

test("a reduced per-CPU value is the fold of all CPUs and cannot be written", () => {
  const codec: Codec<number> = reduced(perCpu(u16, 3), (left, right) => left + right);
  const values = new DataView(new ArrayBuffer(24));
  perCpu(u16, 3).write(values, 0, [60000, 60000, 5]);
  expect(codec.read(values, 0)).toBe(120005);
  expect(() => codec.write(values, 0, 1)).toThrow(LayoutError);
});
