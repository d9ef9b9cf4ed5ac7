import { LayoutError } from "../../framework/core/errors.ts";
import { show } from "../../framework/core/layout.ts";
import type { InlineCodec } from "./inline-codec.ts";
import { booleanBit } from "./scalars.ts";

/** A bit field within the bytes it touches. */
export interface BitField {
  /** Bits below it in its first byte: 0 to 7. */
  readonly shift: number;
  /** Its own bits: 1 to 64. */
  readonly bits: number;
  /** What it reads as: the declared type's size and sign decide, as for a whole member of that type. */
  readonly as: "unsigned" | "signed" | "boolean";
  /** Whether the declared type is 64 bits wide, so that it reads as bigint however few bits it has. */
  readonly big: boolean;
}

/** A codec placed at the byte that holds the field's lowest bit. Writing leaves the neighbouring bits alone. */
export function bitField(field: BitField): InlineCodec<number | bigint | boolean> {
  const { shift, bits, as, big } = field;
  const size = Math.ceil((shift + bits) / 8);
  const isSigned = as === "signed";
  const least = isSigned ? -(2n ** BigInt(bits - 1)) : 0n;
  const most = isSigned ? 2n ** BigInt(bits - 1) - 1n : 2n ** BigInt(bits) - 1n;

  const finish = (value: bigint): number | bigint | boolean => {
    if (as === "boolean") return value !== 0n;
    return big ? value : Number(value);
  };
  const read = (view: DataView, at: number): number | bigint | boolean => {
    const raw = load(view, at, size) >> BigInt(shift);
    return finish(isSigned ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw));
  };
  return {
    size,
    align: 1,
    read,
    write(view, at, value) {
      const whole = as === "boolean" ? BigInt(booleanBit(value)) : wholeNumber(value);
      if (whole === undefined || whole < least || whole > most) {
        throw new LayoutError(
          `must be a whole number from ${least} to ${most} (${bits} bits), not ${show(value)}`,
        );
      }
      const mask = (2n ** BigInt(bits) - 1n) << BigInt(shift);
      const kept = load(view, at, size) & ~mask;
      store(view, at, size, kept | ((whole << BigInt(shift)) & mask));
    },
    source(at, bind) {
      if (shift + bits > 32) return `${bind(read)}(view, ${at})`;
      const bytes = Array.from({ length: size }, (_, i) => `view.getUint8(${at} + ${i}) << ${i * 8}`).join(
        " | ",
      );
      const value = `((${bytes}) << ${32 - shift - bits}) ${isSigned ? ">>" : ">>>"} ${32 - bits}`;
      if (as === "boolean") return `(${value}) !== 0`;
      return big ? `BigInt(${value})` : value;
    },
  };
}

function wholeNumber(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : undefined;
}

function load(view: DataView, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(at + i));
  return value;
}

function store(view: DataView, at: number, size: number, value: bigint): void {
  for (let i = 0; i < size; i++) view.setUint8(at + i, Number((value >> BigInt(i * 8)) & 0xffn));
}
