import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import { LayoutError } from "../../framework/core/errors.ts";
import { type Codec, show } from "../../framework/core/layout.ts";
import { atField } from "./field-path.ts";
import { compileReader, type InlineCodec, sourceOf } from "./inline-codec.ts";
import type { OpenCodec, PieceReader } from "./open-record.ts";

/** One member of a record, at the offset BTF gives it. */
export interface Field {
  readonly name: string;
  /** Bytes from the record's start. */
  readonly offset: number;
  readonly codec: Codec<unknown>;
}

/** The field of a record that goes on behind the record's size. */
export interface Tail {
  readonly name: string;
  /** Bytes from the record's start. */
  readonly offset: number;
  /** Bytes of it that are always there. */
  readonly least: number;
  readonly read: PieceReader;
}

/** What a record's codec was made of. */
export interface RecordParts {
  readonly fields: readonly Field[];
  readonly tail: Tail | undefined;
}

/** The parts of the record codecs made so far. */
const partsOfCodec = new WeakMap<Codec<unknown>, RecordParts>();

/** The parts of a codec that `recordCodec` made; undefined for others. */
export function partsOfRecord(codec: Codec<unknown>): RecordParts | undefined {
  return partsOfCodec.get(codec);
}

/** What a struct or union reads as. */
export type RecordValue = Record<string, unknown>;

/** Records with more fields than this are called, not put in line, by the records around them. */
const mostInlined = 16;

/**
 * A struct or union: an object with one property per field, always in the same order.
 *
 * Fields left out in writing, or undefined, are zero, and so is padding. Fields of a union overlap: reading gives all of
 * them, writing applies those given in declaration order, so give one.
 *
 * The reader is generated code, made at the first read: one object literal over direct DataView calls, which is several
 * times faster than a loop over the fields.
 */
export function recordCodec(
  what: string,
  layout: {
    readonly size: number;
    readonly align: number;
    readonly fields: readonly Field[];
    readonly tail?: Tail | undefined;
  },
): InlineCodec<RecordValue> {
  const { size, align, fields, tail } = layout;
  const names = new Set(fields.map((field) => field.name));
  const literal = (at: string, bind: (value: unknown) => string): string => {
    const members = fields.map(
      (field) => `${propertyName(field.name)}: ${sourceOf(field.codec, plus(at, field.offset), bind)}`,
    );
    return `{ ${members.join(", ")} }`;
  };
  let reader: ((view: DataView, at: number) => RecordValue) | undefined;
  const codec: InlineCodec<RecordValue> = {
    size,
    align,
    read(view, at) {
      reader ??= compileReader<RecordValue>((bind) => literal("at", bind));
      return reader(view, at);
    },
    write(view, at, value) {
      checkNames(what, value, names);
      new Uint8Array(view.buffer, view.byteOffset + at, size).fill(0);
      for (const { name, offset, codec: member } of fields) {
        const item = Object.hasOwn(value, name) ? value[name] : undefined;
        if (item === undefined) continue;
        try {
          member.write(view, at + offset, item);
        } catch (error) {
          throw atField(name, error);
        }
      }
    },
    source: (at, bind) =>
      fields.length > mostInlined ? `${bind(codec)}.read(view, ${at})` : literal(at, bind),
  };
  const whole = tail === undefined ? codec : openRecord(codec, tail);
  partsOfCodec.set(whole, { fields, tail });
  return whole;
}

/** The record as an event has it, whose length tells how long its last field is. */
function openRecord(
  codec: InlineCodec<RecordValue>,
  { name, offset, least, read }: Tail,
): InlineCodec<RecordValue> {
  const open: InlineCodec<RecordValue> & OpenCodec<RecordValue> = {
    ...codec,
    least: offset + least,
    readUpTo: (view, at, length) => ({
      ...codec.read(view, at),
      [name]: read(view, at + offset, length - offset),
    }),
  };
  return open;
}

/** A name as an object literal takes it. Only in brackets does `__proto__` make a property instead of a prototype. */
function propertyName(name: string): string {
  return name === "__proto__" ? '["__proto__"]' : JSON.stringify(name);
}

function plus(at: string, offset: number): string {
  return offset === 0 ? at : `${at} + ${offset}`;
}

function checkNames(what: string, value: RecordValue, names: ReadonlySet<string>): void {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw new LayoutError(`must be an object with the fields of ${what}, not ${show(value)}`);
  }
  for (const name of Object.keys(value)) {
    if (names.has(name)) continue;
    const hint = didYouMean(nearestNames(name, names)) ?? `fields are ${[...names].join(", ")}`;
    throw atField(name, new LayoutError(`is not a field of ${what}`, { hint }));
  }
}
