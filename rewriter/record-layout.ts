import { alignOf, type CType, type MemberType, sizeOf } from "./c-type.ts";
import type { SyntaxNode } from "./parser.ts";

/** A field in the order of its record. */
export interface PlacedField {
  /** "" for anonymous members and for padding. */
  readonly name: string;
  readonly type: CType;
  /** Bits of a bit field; null for all others. */
  readonly width: number | null;
}

/** Where the members of a record lie; undefined where the source does not say in a way that can be computed here. */
export interface RecordLayout {
  readonly size: number | undefined;
  readonly align: number | undefined;
  readonly members: ReadonlyMap<string, MemberType>;
  /** Names in the order of the text. */
  readonly order: readonly string[];
}

/** Of a record whose members are not known. */
export const NO_LAYOUT: RecordLayout = { size: undefined, align: undefined, members: new Map(), order: [] };

/** What decides a layout besides the fields. */
export interface LayoutRules {
  readonly isUnion: boolean;
  readonly isPacked?: boolean;
  /** Something of it has an alignment of its own, which is not computed here. */
  readonly isAligned?: boolean;
}

/** Lays out a record as the compiler does for BPF: bit fields from the lowest bit, none across its type's alignment. */
export function layoutOf(
  fields: readonly PlacedField[],
  { isUnion, isPacked = false, isAligned = false }: LayoutRules,
): RecordLayout {
  const members = new Map<string, MemberType>();
  let bit: number | undefined = 0;
  let end: number | undefined = 0;
  let align: number | undefined = 1;
  for (const field of fields) {
    const size = sizeOf(field.type);
    const ownAlign = isAligned ? undefined : isPacked ? 1 : alignOf(field.type);
    if (isUnion) bit = 0;
    const start = placeOf(field, bit, size, ownAlign);
    addMembers(members, field, start);
    const length = field.width ?? (size === undefined ? undefined : size * 8);
    bit = start === undefined || length === undefined ? undefined : start + length;
    end = bit === undefined || end === undefined ? undefined : Math.max(end, bit);
    // Unnamed bit fields move what follows and align nothing.
    if (field.width !== null && field.name === "") continue;
    align = align === undefined || ownAlign === undefined ? undefined : Math.max(align, ownAlign);
  }
  const size = end === undefined || align === undefined ? undefined : roundUp(Math.ceil(end / 8), align);
  return {
    size,
    align,
    members,
    order: fields.flatMap((field) => (field.width !== null && field.name === "" ? [] : [field.name])),
  };
}

function placeOf(
  { width }: PlacedField,
  bit: number | undefined,
  size: number | undefined,
  align: number | undefined,
): number | undefined {
  if (bit === undefined || align === undefined) return undefined;
  if (width === null) return roundUp(bit, align * 8);
  if (size === undefined) return undefined;
  const unit = size * 8;
  if (width === 0) return roundUp(bit, unit);
  const crosses = Math.floor(bit / unit) !== Math.floor((bit + width - 1) / unit);
  return crosses && align !== 1 ? roundUp(bit, unit) : bit;
}

function addMembers(
  members: Map<string, MemberType>,
  { name, type, width }: PlacedField,
  start: number | undefined,
): void {
  if (name !== "") {
    const isSigned = type.kind === "scalar" && type.isSigned;
    const bits = width === null ? undefined : { offset: start, size: width, isSigned };
    members.set(name, { type, offset: start, bits });
    return;
  }
  if (type.kind !== "record" || width !== null) return;
  for (const inner of type.record.names()) {
    const member = type.record.member(inner);
    if (member === undefined) continue;
    const move = (offset: number | undefined) =>
      offset === undefined || start === undefined ? undefined : offset + start;
    const bits = member.bits === undefined ? undefined : { ...member.bits, offset: move(member.bits.offset) };
    members.set(inner, { type: member.type, offset: move(member.offset), bits });
  }
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** The words of a record's definition that change its layout. */
export function attributesOf(
  text: string,
  record: SyntaxNode,
): { readonly isPacked: boolean; readonly isAligned: boolean } {
  const body = record.childForFieldName("body");
  const end = body === null ? record.endIndex : body.endIndex;
  const rest = text.slice(end).search(/[;{]/);
  const words = text.slice(record.startIndex, rest < 0 ? end : end + rest);
  return {
    isPacked: /\b(?:__)?packed(?:__)?\b/.test(words),
    isAligned: /\b(?:__)?aligned(?:__)?\b/.test(words),
  };
}
