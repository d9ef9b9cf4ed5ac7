import { LayoutError } from "../../framework/core/errors.ts";
import { bytes, type Codec, show } from "../../framework/core/layout.ts";
import type { Btf, BtfMember, BtfType } from "../../framework/object/btf.ts";
import { bitField } from "./bit-field.ts";
import { atField } from "./field-path.ts";
import { type Field, recordCodec } from "./record.ts";
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
 * A flexible array at a record's end reads as an empty array: a codec has one size.
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
      return required(integerOf(type.size, type.signed), btf, id);
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
        fields: fieldsOf(btf, type.members, 0),
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

/** A record's fields in declaration order, with those of anonymous members in place of the members. */
function fieldsOf(btf: Btf, members: readonly BtfMember[], base: number): readonly Field[] {
  return members.flatMap((member): readonly Field[] => {
    const id = btf.resolve(member.type);
    const type = btf.type(id);
    if (member.name === "") {
      if (type.kind !== "struct" && type.kind !== "union") return [];
      return fieldsOf(btf, type.members, base + member.bitOffset / 8);
    }
    try {
      return [fieldOf(btf, member, base)];
    } catch (error) {
      throw atField(member.name, error);
    }
  });
}

function fieldOf(btf: Btf, member: BtfMember, base: number): Field {
  const id = btf.resolve(member.type);
  const type = btf.type(id);
  const bits = bitsOf(member, type);
  if (bits === undefined) {
    return { name: member.name, offset: base + member.bitOffset / 8, codec: codecOf(btf, id) };
  }
  const isBool = type.kind === "int" && type.bool;
  const isSigned = (type.kind === "int" || type.kind === "enum" || type.kind === "enum64") && type.signed;
  return {
    name: member.name,
    offset: base + Math.floor(bits.from / 8),
    codec: bitField({
      shift: bits.from % 8,
      bits: bits.count,
      as: isBool ? "boolean" : isSigned ? "signed" : "unsigned",
      big: btf.sizeOf(id) > 4,
    }),
  };
}

/** Where a bit field's bits are, or undefined for a whole member. Older compilers put the width on the int type. */
function bitsOf(
  member: BtfMember,
  type: BtfType,
): { readonly from: number; readonly count: number } | undefined {
  if (member.bitSize !== 0) return { from: member.bitOffset, count: member.bitSize };
  if (type.kind !== "int" || (type.bitOffset === 0 && type.bits === type.size * 8)) return undefined;
  if (type.bool && member.bitOffset % 8 === 0) return undefined;
  return { from: member.bitOffset + type.bitOffset, count: type.bits };
}
