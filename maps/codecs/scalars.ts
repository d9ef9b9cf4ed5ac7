import { LayoutError } from "../../framework/core/errors.ts";
import { type Codec, i8, i16, i32, i64, show, u8, u16, u32, u64 } from "../../framework/core/layout.ts";
import type { InlineCodec } from "./inline-codec.ts";

const unsigned = new Map<number, InlineCodec<number | bigint>>([
  [1, inline(u8, (at) => `view.getUint8(${at})`)],
  [2, inline(u16, (at) => `view.getUint16(${at}, true)`)],
  [4, inline(u32, (at) => `view.getUint32(${at}, true)`)],
  [8, inline(u64, (at) => `view.getBigUint64(${at}, true)`)],
  [16, wide(false)],
]);

const signed = new Map<number, InlineCodec<number | bigint>>([
  [1, inline(i8, (at) => `view.getInt8(${at})`)],
  [2, inline(i16, (at) => `view.getInt16(${at}, true)`)],
  [4, inline(i32, (at) => `view.getInt32(${at}, true)`)],
  [8, inline(i64, (at) => `view.getBigInt64(${at}, true)`)],
  [16, wide(true)],
]);

/** The integer of 1, 2, 4 (number), 8 or 16 bytes (bigint); undefined for other sizes. */
export function integerOf(size: number, isSigned: boolean): InlineCodec<number | bigint> | undefined {
  return (isSigned ? signed : unsigned).get(size);
}

/** `bool`: any byte but zero is true. Writing also takes 0 and 1. */
export const bool: InlineCodec<boolean> = {
  size: 1,
  align: 1,
  read: (view, at) => view.getUint8(at) !== 0,
  write: (view, at, value) => view.setUint8(at, booleanBit(value)),
  source: (at) => `view.getUint8(${at}) !== 0`,
};

/** A boolean as 0 or 1. */
export function booleanBit(value: unknown): 0 | 1 {
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  throw new LayoutError(`must be true or false, not ${show(value)}`);
}

/** `float` and `double`, by size. BPF programs cannot compute with them, but kernel types and maps may hold them. */
export const floats: ReadonlyMap<number, InlineCodec<number>> = new Map([
  [4, float("Float32", 4)],
  [8, float("Float64", 8)],
]);

function float(name: "Float32" | "Float64", size: number): InlineCodec<number> {
  return {
    size,
    align: size,
    read: (view, at) => view[`get${name}`](at, true),
    write(view, at, value) {
      if (typeof value !== "number") throw new LayoutError(`must be a number, not ${show(value)}`);
      view[`set${name}`](at, value, true);
    },
    source: (at) => `view.get${name}(${at}, true)`,
  };
}

function inline<T>(codec: Codec<T>, source: (at: string) => string): InlineCodec<T> {
  return { ...codec, source };
}

/** `__int128`, low half first. */
function wide(isSigned: boolean): InlineCodec<bigint> {
  const least = isSigned ? -(2n ** 127n) : 0n;
  const most = isSigned ? 2n ** 127n - 1n : 2n ** 128n - 1n;
  const high = isSigned ? "getBigInt64" : "getBigUint64";
  return {
    size: 16,
    align: 16,
    read: (view, at) => (view[high](at + 8, true) << 64n) | view.getBigUint64(at, true),
    write(view, at, value) {
      const big = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
      if (typeof big !== "bigint" || big < least || big > most) {
        throw new LayoutError(`must be a bigint from ${least} to ${most}, not ${show(value)}`);
      }
      view.setBigUint64(at, BigInt.asUintN(64, big), true);
      view.setBigUint64(at + 8, BigInt.asUintN(64, big >> 64n), true);
    },
    source: (at) => `(view.${high}(${at} + 8, true) << 64n) | view.getBigUint64(${at}, true)`,
  };
}
