import type { Btf, BtfMember, BtfType } from "./btf.ts";

/** One field of a struct or union, where it is in the outermost record. */
export interface RecordField {
  readonly name: string;
  /** Type id, qualifiers and typedefs looked through. */
  readonly type: number;
  /** Type id as it was declared. */
  readonly declaredType: number;
  /** Bits from the record's start. */
  readonly bitOffset: number;
  /** Bits of a bit field; 0 for a whole member. */
  readonly bits: number;
}

/** A record's fields in declaration order, with those of anonymous structs and unions in place of the members. */
export function recordFields(btf: Btf, members: readonly BtfMember[], base = 0): readonly RecordField[] {
  return members.flatMap((member): readonly RecordField[] => {
    const id = btf.resolve(member.type);
    const type = btf.type(id);
    const bitOffset = base + member.bitOffset;
    if (member.name === "") {
      if (type.kind !== "struct" && type.kind !== "union") return [];
      return recordFields(btf, type.members, bitOffset);
    }
    return [
      {
        name: member.name,
        type: id,
        declaredType: member.type,
        bitOffset,
        bits: 0,
        ...narrowed(member, type, base),
      },
    ];
  });
}

/** Whether a field is an array without a length, which ends a record of open size. */
export function isFlexible(btf: Btf, field: RecordField): boolean {
  const type = btf.type(field.type);
  return type.kind === "array" && type.length === 0;
}

/** Whether a type is a record that ends, however deep inside, with an array without a length. */
export function isOpenRecord(btf: Btf, typeId: number): boolean {
  const type = btf.type(btf.resolve(typeId));
  if (type.kind !== "struct" && type.kind !== "union") return false;
  return recordFields(btf, type.members).some(
    (field) => field.bits === 0 && (isFlexible(btf, field) || isOpenRecord(btf, field.type)),
  );
}

/** Where a bit field's bits are. Older compilers put offset and width on the int type. */
function narrowed(member: BtfMember, type: BtfType, base: number): Partial<RecordField> {
  if (member.bitSize !== 0) return { bits: member.bitSize };
  if (type.kind !== "int" || (type.bitOffset === 0 && type.bits === type.size * 8)) return {};
  if (type.bool && member.bitOffset % 8 === 0) return {};
  return { bitOffset: base + member.bitOffset + type.bitOffset, bits: type.bits };
}
