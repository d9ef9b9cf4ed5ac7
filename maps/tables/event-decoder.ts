import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import { LayoutError, UsageError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import { perfLength } from "../../framework/object/event-lengths.ts";
import type { MapSpec } from "../../framework/object/object-spec.ts";
import { type Lease, type ViewMaker, viewMakerOf } from "../codecs/event-view.ts";
import { codecOf } from "../codecs/from-btf.ts";
import { compileReader, sourceOf } from "../codecs/inline-codec.ts";
import { isOpen } from "../codecs/open-record.ts";

/** Makes an event of `length` bytes at an offset. Copies: the bytes may change afterwards. */
export type RecordDecoder<T> = (view: DataView, at: number, length: number) => T;

/** What a decoder gives for a record of a type that was not asked for. */
export const skipped: unique symbol = Symbol("skipped");

/** Makes a view of a record of `length` bytes at an offset of the lease's memory. */
export type RecordViewer = (lease: Lease, at: number, length: number) => object | typeof skipped;

/** How the records of a table are told apart and decoded. */
export interface EventDecoding {
  /** Decodes a record as it comes. */
  readonly decode: RecordDecoder<unknown>;
  /** Bytes before each event that say which type it is, and that nobody sees: 8, or 0 where lengths tell. */
  readonly hidden: number;
  /** Decodes the event of a record, without the hidden bytes, where that is not what `decode` does. */
  readonly variant?: (view: DataView, at: number, length: number) => RecordDecoder<unknown>;
  /**
   * Decodes records of one type, named as in C with or without "struct", and gives `skipped` for others.
   * @throws UsageError for a type that no program submits
   */
  only(type: string): RecordDecoder<unknown>;
  /**
   * Views of records, of all types or one.
   * @throws UsageError for a type that no program submits, and for events without fields
   */
  views(type?: string): RecordViewer;
}

/**
 * The decoder of a table's records: by the given codec, else by the type its programs submit. Records of a table without
 * a known type come as copied bytes.
 *
 * Where programs submit several types, hidden bytes or a record's length tell them apart; what no or several types fit
 * is read as the last one, as BCC does.
 */
export function eventDecoding(spec: MapSpec, given: Codec<unknown> | undefined): EventDecoding {
  const { btf, name, eventTags } = spec;
  const types = given !== undefined || btf === null ? [] : spec.eventTypes;
  const codecs = given !== undefined ? [given] : types.map((id) => codecOf(btf!, id));
  const decoders = codecs.map((codec) => checked(name, codec));
  const last = decoders.length - 1;
  const hidden = given === undefined && eventTags !== undefined ? TAG_BYTES : 0;
  const byTag = new Map([...(eventTags ?? [])].map(([tag, id]) => [tag, indexOfType(spec, id)]));

  const typeOf = (view: DataView, at: number, length: number): number => {
    if (hidden > 0) return byTag.get(view.getUint32(at, true)) ?? last;
    const fits = codecs.filter((codec) => codec.size === length || perfLength(codec.size) === length);
    return fits.length === 1 ? codecs.indexOf(fits[0]!) : last;
  };
  const decode: RecordDecoder<unknown> =
    codecs.length === 0
      ? copied
      : codecs.length === 1
        ? decoders[0]!
        : (view, at, length) => decoders[typeOf(view, at, length)]!(view, at + hidden, length - hidden);
  const indexOf = (type: string): number => {
    const names = types.map((id) => btf!.describe(id));
    const wanted = names.findIndex(
      (known) => known === type || known.replace(/^(?:struct|union) /, "") === type,
    );
    if (wanted >= 0) return wanted;
    const hint = didYouMean(nearestNames(type, names)) ?? `types are ${names.join(", ") || "not known"}`;
    throw new UsageError(`no program submits events of type "${type}" to "${name}"`, { hint });
  };
  const only = (type: string): RecordDecoder<unknown> => {
    const wanted = indexOf(type);
    if (codecs.length === 1) return decode;
    return (view, at, length) =>
      typeOf(view, at, length) === wanted ? decoders[wanted]!(view, at + hidden, length - hidden) : skipped;
  };
  const views = (type?: string): RecordViewer => {
    const wanted = type === undefined ? undefined : indexOf(type);
    const viewers = codecs.map((codec, index) =>
      wanted === undefined || wanted === index ? viewer(name, codec, btf?.describe(types[index] ?? 0)) : null,
    );
    if (viewers.length === 0) throw noFields(name, "bytes of an unknown type");
    if (viewers.length === 1) return viewers[0]!;
    return (lease, at, length) =>
      viewers[typeOf(lease.view, at, length)]?.(lease, at + hidden, length - hidden) ?? skipped;
  };
  if (hidden === 0) return { decode, hidden, only, views };
  const variant = (view: DataView, at: number, length: number) => decoders[typeOf(view, at, length)]!;
  return { decode, hidden, only, views, variant };
}

function viewer(table: string, codec: Codec<unknown>, type: string | undefined): RecordViewer {
  const least = isOpen(codec) ? codec.least : codec.size;
  const make: ViewMaker | undefined = viewMakerOf(codec);
  if (make === undefined) throw noFields(table, type ?? "the type that was given");
  if (!isOpen(codec)) {
    return (lease, at, length) => {
      if (length < least) throw tooShort(table, length, least);
      return make(lease, at);
    };
  }
  return (lease, at, length) => {
    if (length < least) throw tooShort(table, length, least);
    lease.length = length;
    return make(lease, at);
  };
}

function noFields(table: string, type: string): UsageError {
  return new UsageError(`events of "${table}" have no fields to view: they are ${type}`, {
    hint: "use events(), or submit a struct",
  });
}

/** A call's number is a 64-bit word. */
const TAG_BYTES = 8;

function indexOfType({ btf, eventTypes }: MapSpec, id: number): number {
  return eventTypes.findIndex((known) => btf!.resolve(known) === btf!.resolve(id));
}

const copied: RecordDecoder<Uint8Array> = (view, at, length) =>
  new Uint8Array(view.buffer, view.byteOffset + at, length).slice();

function checked(table: string, codec: Codec<unknown>): RecordDecoder<unknown> {
  const { size } = codec;
  if (isOpen(codec)) {
    const { least } = codec;
    return (view, at, length) => {
      if (length < least) throw tooShort(table, length, least);
      return codec.readUpTo(view, at, length);
    };
  }
  let read: ((view: DataView, at: number) => unknown) | undefined;
  return (view, at, length) => {
    if (length < size) throw tooShort(table, length, size);
    // Code of this table's own: a reader that other tables use as well is slower for each.
    read ??= compileReader((bind) => sourceOf(codec, "at", bind));
    return read(view, at);
  };
}

function tooShort(table: string, length: number, size: number): LayoutError {
  return new LayoutError(`a record of "${table}" has ${length} bytes, and its type takes ${size}`, {
    hint: "give perf_submit or ringbuf_output the size of the whole struct",
  });
}
