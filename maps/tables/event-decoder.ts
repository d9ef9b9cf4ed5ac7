import { LayoutError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import type { MapSpec } from "../../framework/object/object-spec.ts";
import { codecOf } from "../codecs/from-btf.ts";

/** Makes an event of `length` bytes at an offset. Copies: the bytes may change afterwards. */
export type RecordDecoder<T> = (view: DataView, at: number, length: number) => T;

/**
 * The decoder of a table's records: by the given codec, else by the type its programs submit. Records of a table without
 * a known type come as copied bytes.
 *
 * Where programs submit several types, a record's length tells them apart; what no or several types fit is read as the
 * last one, as BCC does.
 */
export function eventDecoder(spec: MapSpec, given: Codec<unknown> | undefined): RecordDecoder<unknown> {
  const { btf } = spec;
  const codecs =
    given !== undefined ? [given] : btf === null ? [] : spec.eventTypes.map((id) => codecOf(btf, id));
  const last = codecs.at(-1);
  if (last === undefined)
    return (view, at, length) => new Uint8Array(view.buffer, view.byteOffset + at, length).slice();
  if (codecs.length === 1) return checked(spec.name, last);
  const decoders = codecs.map((codec) => checked(spec.name, codec));
  return (view, at, length) => {
    const fits = codecs.filter((codec) => codec.size === length || perfLength(codec.size) === length);
    const chosen = fits.length === 1 ? codecs.indexOf(fits[0]!) : codecs.length - 1;
    return decoders[chosen]!(view, at, length);
  };
}

/**
 * The length a perf buffer gives a record: it pads the record with its own length field of 4 bytes to a multiple of 8
 * (perf_prepare_sample in kernel/events/core.c).
 */
function perfLength(size: number): number {
  return Math.ceil((size + 4) / 8) * 8 - 4;
}

function checked(table: string, codec: Codec<unknown>): RecordDecoder<unknown> {
  const { size } = codec;
  return (view, at, length) => {
    if (length < size) throw tooShort(table, length, size);
    return codec.read(view, at);
  };
}

function tooShort(table: string, length: number, size: number): LayoutError {
  return new LayoutError(`a record of "${table}" has ${length} bytes, and its type takes ${size}`, {
    hint: "give perf_submit or ringbuf_output the size of the whole struct",
  });
}
