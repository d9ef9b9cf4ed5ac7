import type { Codec } from "../../framework/core/layout.ts";

/** A codec of records that end with an array without a length: how many items there are, only their bytes tell. */
export interface OpenCodec<T> extends Codec<T> {
  /** Bytes of a record without items: less than `size` where that has padding behind the last field. */
  readonly least: number;
  /** Reads a record of `length` bytes, at least `least`; bytes behind the last whole item are left out. */
  readUpTo(view: DataView, at: number, length: number): T;
}

/** Whether records may be longer than the codec's size, and how much longer matters. */
export function isOpen<T>(codec: Codec<T>): codec is OpenCodec<T> {
  return "readUpTo" in codec;
}

/** Reads a value from a piece of a record. */
export type PieceReader = (view: DataView, at: number, length: number) => unknown;

/** As many items as there is room for. */
export function itemsReader(item: Codec<unknown>): PieceReader {
  return (view, at, length) => {
    const items: unknown[] = [];
    for (let end = item.size; end <= length; end += item.size)
      items.push(item.read(view, at + end - item.size));
    return items;
  };
}

/** All bytes, copied. */
export const bytesReader: PieceReader = (view, at, length) =>
  new Uint8Array(view.buffer, view.byteOffset + at, length).slice();

/** Text up to the first NUL, or all of it. */
export const textReader: PieceReader = (view, at, length) => {
  const bytes = Buffer.from(view.buffer, view.byteOffset + at, length);
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? length : end);
};
