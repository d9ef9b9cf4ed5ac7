import { LayoutError } from "../../framework/core/errors.ts";
import { bytes, type Codec, show } from "../../framework/core/layout.ts";
import type { Btf, BtfMember, BtfType } from "../../framework/object/btf.ts";
import { isFlexible, type RecordField, recordFields } from "../../framework/object/record-fields.ts";
import { bitField } from "./bit-field.ts";
import { enumCodec } from "./enumeration.ts";
import { atField } from "./field-path.ts";
import { bytesReader, isOpen, itemsReader, type PieceReader, textReader } from "./open-record.ts";
import { type Field, recordCodec, type Tail } from "./record.ts";
import { bool, floats, integerOf } from "./scalars.ts";
import { textArray } from "./text-array.ts";

/** Codecs made so far: a type's reader, and the texts it remembers, are shared by everything that holds the type. */
const made = new WeakMap<Btf, Map<number, Codec<unknown>>>();

/**
 * The codec of a BTF type. Offsets and sizes are always BTF's own, so packed and padded records come out as the
 * compiler laid them out.
 *
 * | C | JavaScript |
 * | --- | --- |
 * | integers and enums of up to 32 bits, float, double | number |
 * | 64-bit and 128-bit integers, pointers | bigint |
 * | bool | boolean |
 * | char[N] | string, up to the first NUL |
 * | u8[N] | Uint8Array, copied |
 * | other arrays | array |
 * | struct, union | object; anonymous members' fields appear in the record around them |
 *
 * Enums are written as numbers or as their enumerators' names. A flexible array at a record's end is empty in what
 * has one size, as values of tables have; in events it has what the record's length leaves (`OpenCodec`).
 * @throws LayoutError for what has no bytes: void, functions, types that are only declared
 */
export function codecOf(btf: Btf, typeId: number): Codec<unknown> {
  const id = btf.resolve(typeId);
  let known = made.get(btf);
  if (known === undefined) {
    known = new Map();
    made.set(btf, known);
  }
  let codec = known.get(id);
  if (codec === undefined) {
    codec = make(btf, id);
    known.set(id, codec);
  }
  return codec;
}

function make(btf: Btf, id: number): Codec<unknown> {
  const type = btf.type(id);
  switch (type.kind) {
    case "int":
      return type.bool ? bool : required(integerOf(type.size, type.signed), btf, id);
    case "enum":
    case "enum64":
      return enumCodec(required(integerOf(type.size, type.signed), btf, id), type);
    case "float":
      return required(floats.get(type.size), btf, id);
    case "ptr":
      return required(integerOf(8, false), btf, id);
    case "array":
      return arrayCodec(btf, type);
    case "struct":
    case "union":
      return recordCodec(nameOfRecord(btf, id), {
        size: type.size,
        align: btf.alignOf(id),
        fields: fieldsOf(btf, type.members),
        tail: tailOf(btf, type.members),
      });
    case "datasec":
      return recordCodec(`section ${type.name}`, {
        size: Math.max(type.size, ...type.variables.map(({ offset, size }) => offset + size)),
        align: 8,
        fields: type.variables.map((variable) => ({
          name: btf.nameOf(variable.type),
          offset: variable.offset,
          codec: codecOf(btf, variable.type),
        })),
      });
    case "var":
      return codecOf(btf, type.type);
    default:
      throw unreadable(btf, id);
  }
}

function required(codec: Codec<unknown> | undefined, btf: Btf, id: number): Codec<unknown> {
  if (codec === undefined) throw unreadable(btf, id);
  return codec;
}

function unreadable(btf: Btf, id: number): LayoutError {
  const type = btf.type(id);
  const why =
    type.kind === "fwd" ? "it is declared but never defined" : `a ${type.kind} of ${btf.sizeOf(id)} bytes`;
  return new LayoutError(`cannot make values of type "${btf.describe(id)}": ${why}`, {
    hint: "give the table its key or value type by hand",
  });
}

function nameOfRecord(btf: Btf, id: number): string {
  return btf.nameOf(id) === "" ? `an anonymous ${btf.kindOf(id)}` : btf.describe(id);
}

function arrayCodec(btf: Btf, type: Extract<BtfType, { kind: "array" }>): Codec<unknown> {
  const element = btf.type(btf.resolve(type.element));
  if (element.kind === "int" && element.size === 1 && !element.bool) {
    // Plain char is text whatever its sign; "unsigned char" is bytes; "signed char" is small numbers.
    if (element.name === "char") return textArray(type.length);
    if (!element.signed) return bytes(type.length);
  }
  const item = codecOf(btf, type.element);
  const { length } = type;
  return {
    size: item.size * length,
    align: item.align,
    read(view, at) {
      const items: unknown[] = [];
      for (let i = 0; i < length; i++) items.push(item.read(view, at + i * item.size));
      return items;
    },
    write(view, at, value) {
      if (!isList(value) || value.length !== length) {
        throw new LayoutError(`must be an array of ${length} items, not ${show(value)}`);
      }
      for (let i = 0; i < length; i++) {
        try {
          item.write(view, at + i * item.size, value[i]);
        } catch (error) {
          throw atField(`[${i}]`, error);
        }
      }
    },
  };
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** The field that has whatever bytes follow a record's size; undefined for a record of one size. */
function tailOf(btf: Btf, members: readonly BtfMember[]): Tail | undefined {
  for (const field of recordFields(btf, members)) {
    if (field.bits !== 0) continue;
    const place = { name: field.name, offset: field.bitOffset / 8 };
    if (isFlexible(btf, field)) {
      const read = flexibleReader(btf, field);
      if (read !== undefined) return { ...place, least: 0, read };
      continue;
    }
    const codec = codecOf(btf, field.type);
    if (!isOpen(codec)) continue;
    return { ...place, least: codec.least, read: (view, at, length) => codec.readUpTo(view, at, length) };
  }
  return undefined;
}

function flexibleReader(btf: Btf, { type: id }: RecordField): PieceReader | undefined {
  const type = btf.type(id);
  if (type.kind !== "array") return undefined;
  const element = btf.type(btf.resolve(type.element));
  if (element.kind === "int" && element.size === 1 && !element.bool) {
    if (element.name === "char") return textReader;
    if (!element.signed) return bytesReader;
  }
  const item = codecOf(btf, type.element);
  return item.size === 0 ? undefined : itemsReader(item);
}

/** A record's fields in declaration order, with those of anonymous members in place of the members. */
function fieldsOf(btf: Btf, members: readonly BtfMember[]): readonly Field[] {
  return recordFields(btf, members).map((field) => {
    try {
      return fieldOf(btf, field);
    } catch (error) {
      throw atField(field.name, error);
    }
  });
}

function fieldOf(btf: Btf, { name, type: id, bitOffset, bits }: RecordField): Field {
  if (bits === 0) return { name, offset: bitOffset / 8, codec: codecOf(btf, id) };
  const type = btf.type(id);
  const isBool = type.kind === "int" && type.bool;
  const isEnum = type.kind === "enum" || type.kind === "enum64";
  const isSigned = (type.kind === "int" || isEnum) && type.signed;
  const codec = bitField({
    shift: bitOffset % 8,
    bits,
    as: isBool ? "boolean" : isSigned ? "signed" : "unsigned",
    big: btf.sizeOf(id) > 4,
  });
  return { name, offset: Math.floor(bitOffset / 8), codec: isEnum ? enumCodec(codec, type) : codec };
}
