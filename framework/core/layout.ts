import { LayoutError } from "./errors.ts";

/** Converts one type to and from bytes, little-endian. */
export interface Codec<T> {
  /** Bytes the value takes. */
  readonly size: number;
  /** Alignment in bytes: a power of two. */
  readonly align: number;
  /** Reads the value at a byte offset. The caller has made sure that `size` bytes are there. */
  read(view: DataView, at: number): T;
  /**
   * Writes the value at a byte offset.
   * @throws LayoutError when the value does not fit the type
   */
  write(view: DataView, at: number, value: T): void;
}

/** The type a codec reads. */
export type Decoded<C> = C extends Codec<infer T> ? T : never;

/** Compiles only on little-endian machines: every reader and writer here assumes it. */
export const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** How a DataView reads and writes a number. Written out: looking a method up by a made-up name costs more than all of it. */
interface Access {
  readonly get: (view: DataView, at: number) => number;
  readonly set: (view: DataView, at: number, value: number) => void;
}

function integer(bits: 8 | 16 | 32, signed: boolean, { get, set }: Access): Codec<number> {
  const size = bits / 8;
  const least = signed ? -(2 ** (bits - 1)) : 0;
  const most = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  return {
    size,
    align: size,
    read: get,
    write(view, at, value) {
      const number = typeof value === "bigint" ? Number(value) : value;
      if (!Number.isInteger(number) || number < least || number > most) {
        throw new LayoutError(`must be a whole number from ${least} to ${most}, not ${show(value)}`);
      }
      set(view, at, number);
    },
  };
}

function bigInteger(signed: boolean): Codec<bigint> {
  const least = signed ? -(2n ** 63n) : 0n;
  const most = signed ? 2n ** 63n - 1n : 2n ** 64n - 1n;
  return {
    size: 8,
    align: 8,
    read: signed ? (view, at) => view.getBigInt64(at, true) : (view, at) => view.getBigUint64(at, true),
    write(view, at, value) {
      const big = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
      if (typeof big !== "bigint" || big < least || big > most) {
        throw new LayoutError(`must be a bigint from ${least} to ${most}, not ${show(value)}`);
      }
      if (signed) view.setBigInt64(at, big, true);
      else view.setBigUint64(at, big, true);
    },
  };
}

export const u8 = integer(8, false, {
  get: (view, at) => view.getUint8(at),
  set: (view, at, value) => view.setUint8(at, value),
});
export const u16 = integer(16, false, {
  get: (view, at) => view.getUint16(at, true),
  set: (view, at, value) => view.setUint16(at, value, true),
});
export const u32 = integer(32, false, {
  get: (view, at) => view.getUint32(at, true),
  set: (view, at, value) => view.setUint32(at, value, true),
});
export const i8 = integer(8, true, {
  get: (view, at) => view.getInt8(at),
  set: (view, at, value) => view.setInt8(at, value),
});
export const i16 = integer(16, true, {
  get: (view, at) => view.getInt16(at, true),
  set: (view, at, value) => view.setInt16(at, value, true),
});
export const i32 = integer(32, true, {
  get: (view, at) => view.getInt32(at, true),
  set: (view, at, value) => view.setInt32(at, value, true),
});
/** 64-bit values are bigint, always; writing also takes a safe whole number. */
export const u64 = bigInteger(false);
export const i64 = bigInteger(true);

/** A fixed run of bytes; reading copies. */
export function bytes(length: number): Codec<Uint8Array> {
  return {
    size: length,
    align: 1,
    read: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, length).slice(),
    write(view, at, value) {
      if (!(value instanceof Uint8Array) || value.length > length) {
        throw new LayoutError(`must be a Uint8Array of at most ${length} bytes, not ${show(value)}`);
      }
      const target = new Uint8Array(view.buffer, view.byteOffset + at, length);
      target.fill(0);
      target.set(value);
    },
  };
}

/** `char[length]`: UTF-8 up to the first NUL, the rest zero. */
export function chars(length: number): Codec<string> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  return {
    size: length,
    align: 1,
    read(view, at) {
      const raw = new Uint8Array(view.buffer, view.byteOffset + at, length);
      const end = raw.indexOf(0);
      return decoder.decode(end < 0 ? raw : raw.subarray(0, end));
    },
    write(view, at, value) {
      const encoded = typeof value === "string" ? encoder.encode(value) : undefined;
      if (encoded === undefined || encoded.length > length) {
        throw new LayoutError(`must be a string of at most ${length} bytes, not ${show(value)}`);
      }
      const target = new Uint8Array(view.buffer, view.byteOffset + at, length);
      target.fill(0);
      target.set(encoded);
    },
  };
}

/** A C array. */
export function array<T>(item: Codec<T>, length: number): Codec<readonly T[]> {
  return {
    size: item.size * length,
    align: item.align,
    read: (view, at) => Array.from({ length }, (_, i) => item.read(view, at + i * item.size)),
    write(view, at, value) {
      if (!Array.isArray(value) || value.length !== length) {
        throw new LayoutError(`must be an array of ${length} items, not ${show(value)}`);
      }
      for (let i = 0; i < length; i++) item.write(view, at + i * item.size, value[i]);
    },
  };
}

/** The values a struct of these fields reads as. */
export type StructValue<F> = { -readonly [K in keyof F]: Decoded<F[K]> };

/** A struct codec, with the offsets that C's rules gave its fields. */
export interface StructCodec<F> extends Codec<StructValue<F>> {
  readonly name: string;
  readonly offsets: { readonly [K in keyof F]: number };
  /** A new buffer holding the value; fields left out are zero. */
  encode(value: Partial<StructValue<F>>): Uint8Array;
}

/**
 * A C struct with C's own offsets: each field at the next multiple of its alignment, the size rounded up to the
 * largest alignment.
 */
export function struct<const F extends Record<string, Codec<never> | Codec<unknown>>>(
  name: string,
  fields: F,
): StructCodec<F> {
  const entries = Object.entries(fields) as [keyof F & string, Codec<unknown>][];
  const offsets: Record<string, number> = {};
  let end = 0;
  let align = 1;
  for (const [field, codec] of entries) {
    offsets[field] = roundUp(end, codec.align);
    end = offsets[field] + codec.size;
    align = Math.max(align, codec.align);
  }
  const size = roundUp(end, align);
  const write = (view: DataView, at: number, value: Partial<StructValue<F>>): void => {
    for (const field of Object.keys(value)) {
      if (!(field in fields)) throw new LayoutError(`${name} has no field "${field}"`);
    }
    for (const [field, codec] of entries) {
      const item = value[field];
      if (item === undefined) continue;
      try {
        codec.write(view, at + offsets[field]!, item);
      } catch (error) {
        throw inField(`${name}.${field}`, error);
      }
    }
  };
  return {
    name,
    size,
    align,
    offsets: offsets as StructCodec<F>["offsets"],
    read(view, at) {
      const value: Record<string, unknown> = {};
      for (const [field, codec] of entries) value[field] = codec.read(view, at + offsets[field]!);
      return value as StructValue<F>;
    },
    write,
    encode(value) {
      const buffer = new Uint8Array(size);
      write(new DataView(buffer.buffer), 0, value);
      return buffer;
    },
  };
}

/** Puts the field's name before a LayoutError's message; other errors pass unchanged. */
export function inField(field: string, error: unknown): unknown {
  if (!(error instanceof LayoutError)) return error;
  return new LayoutError(`${field} ${error.message}`, { hint: error.hint, cause: error.cause });
}

/** The next multiple of a power of two. */
export function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

/** A DataView over exactly these bytes. */
export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

/** A value as an error message shows it. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return String(value);
}
