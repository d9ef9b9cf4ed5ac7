import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import { UsageError } from "../../framework/core/errors.ts";
import { array, bytes, type Codec } from "../../framework/core/layout.ts";
import { bool, floats, integerOf } from "./scalars.ts";
import { textArray } from "./text-array.ts";

/**
 * The codec for a map that says nothing but its size: 1, 2 or 4 bytes read as an unsigned number, 8 as an unsigned
 * bigint, other sizes as a Uint8Array.
 */
export function plainCodec(size: number): Codec<unknown> {
  return size <= 8 ? (integerOf(size, false) ?? bytes(size)) : bytes(size);
}

const integerNames: Readonly<Record<string, readonly [size: number, signed: boolean]>> = {
  u8: [1, false],
  u16: [2, false],
  u32: [4, false],
  u64: [8, false],
  u128: [16, false],
  s8: [1, true],
  s16: [2, true],
  s32: [4, true],
  s64: [8, true],
  s128: [16, true],
  char: [1, true],
  "signed char": [1, true],
  "unsigned char": [1, false],
  short: [2, true],
  "unsigned short": [2, false],
  int: [4, true],
  unsigned: [4, false],
  "unsigned int": [4, false],
  long: [8, true],
  "unsigned long": [8, false],
  "long long": [8, true],
  "unsigned long long": [8, false],
  size_t: [8, false],
  pid_t: [4, true],
  "void *": [8, false],
};

const simple = new Map<string, Codec<unknown>>([
  ...Object.entries(integerNames).map(([name, [size, signed]]) => [name, integerOf(size, signed)!] as const),
  ["bool", bool],
  ["float", floats.get(4)!],
  ["double", floats.get(8)!],
]);

/**
 * The codec of a type given by name: an integer as the kernel or C spells it ("u32", "__u32", "uint32_t", "int",
 * "unsigned long", "void *"), "bool", "float", "double", or an array of one ("char[16]", "u8[6]", "u32[4]").
 * @throws UsageError for other names
 */
export function namedCodec(name: string): Codec<unknown> {
  const [, element = name, length] = /^(.*?)\s*\[(\d+)\]$/.exec(name.trim()) ?? [];
  const base = canonical(element);
  const codec = simple.get(base);
  if (codec === undefined) {
    throw new UsageError(`unknown type name "${name}"`, {
      hint:
        didYouMean(nearestNames(base, simple.keys())) ??
        `known are ${[...simple.keys()].join(", ")}, and arrays of them`,
    });
  }
  if (length === undefined) return codec;
  if (base === "char") return textArray(Number(length));
  if (base === "u8" || base === "unsigned char") return bytes(Number(length));
  return array(codec, Number(length));
}

/** `__u32`, `uint32_t` and `u32` are one name, as are `void*` and `void *`. */
function canonical(name: string): string {
  return name
    .trim()
    .replace(/\s+/g, " ")
    .replace(/ ?\*$/, " *")
    .replace(/^__([us]\d+)$/, "$1")
    .replace(/^uint(\d+)_t$/, "u$1")
    .replace(/^int(\d+)_t$/, "s$1")
    .replace(/^i(\d+)$/, "s$1");
}
