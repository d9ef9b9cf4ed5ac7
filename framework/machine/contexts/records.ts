import { UsageError } from "../../core/errors.ts";
import { show, viewOf } from "../../core/layout.ts";
import type { Btf, BtfMember } from "../../object/btf.ts";
import type { ProgramSpec } from "../../object/object-spec.ts";

/** A value of a field: a number, a text for an array of characters, bytes, or the numbers of an array. */
export type FieldValue = number | bigint | string | Uint8Array | readonly (number | bigint)[];

/** Fields of a record by name. */
export type Fields = Readonly<Record<string, FieldValue>>;

/** A tracepoint's texts of any length are behind its record; the field says where: BCC's and the kernel's prefixes. */
const DATA_LOCATION = ["data_loc_", "__data_loc_"];

/**
 * The bytes of the record that a program's parameter points to, with fields by name and the others zero.
 * @throws UsageError for a field that the record lacks, or a program whose types say nothing about it
 */
export function recordOf(spec: ProgramSpec, fields: Fields): Uint8Array {
  const id = contextType(spec);
  const type = id === undefined ? undefined : spec.btf!.type(id);
  if (type?.kind !== "struct") {
    throw new UsageError(`program "${spec.name}" does not say what its context is`, {
      hint: "give the context as bytes",
    });
  }
  const btf = spec.btf!;
  const bytes = [...new Uint8Array(type.size)];
  const members = membersOf(btf, type.members, 0);
  for (const [name, value] of Object.entries(fields)) {
    const prefix = DATA_LOCATION.find((candidate) => members.has(candidate + name));
    const member = members.get(name) ?? members.get(`${prefix}${name}`);
    if (member === undefined) {
      throw new UsageError(`the context of "${spec.name}" has no field "${name}"`, {
        hint: `fields are ${[...members.keys()].join(", ")}`,
      });
    }
    const text = typeof value === "string" ? new TextEncoder().encode(`${value}\0`) : value;
    if (
      text instanceof Uint8Array &&
      (prefix !== undefined || DATA_LOCATION.some((each) => name.startsWith(each)))
    ) {
      put(bytes, member, (text.length << 16) | bytes.length);
      bytes.push(...text);
    } else
      put(
        bytes,
        member,
        typeof value === "string" && text instanceof Uint8Array ? text.subarray(0, member.size) : value,
      );
  }
  return Uint8Array.from(bytes);
}

interface Place {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  /** Bytes of an item, for arrays. */
  readonly item: number;
}

function membersOf(btf: Btf, members: readonly BtfMember[], base: number): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  for (const { name, type, bitOffset } of members) {
    const offset = base + bitOffset / 8;
    const own = btf.type(btf.resolve(type));
    if (name === "" && (own.kind === "struct" || own.kind === "union")) {
      for (const [inner, place] of membersOf(btf, own.members, offset)) places.set(inner, place);
    } else {
      const size = btf.sizeOf(type);
      places.set(name, { name, offset, size, item: own.kind === "array" ? btf.sizeOf(own.element) : size });
    }
  }
  return places;
}

function put(bytes: number[], place: Place, value: FieldValue): void {
  const { name, offset, size, item } = place;
  if (value instanceof Uint8Array) {
    if (value.length > size) throw new UsageError(`field "${name}" takes ${size} bytes, not ${value.length}`);
    for (const [index, byte] of value.entries()) bytes[offset + index] = byte;
    return;
  }
  const numbers = Array.isArray(value) ? value : [value];
  if (numbers.length * item > size) throw new UsageError(`field "${name}" takes ${size / item} numbers`);
  for (const [index, number] of numbers.entries()) {
    if (typeof number === "string") throw new UsageError(`field "${name}" is no text, as ${show(number)} is`);
    const whole = new Uint8Array(8);
    viewOf(whole).setBigInt64(0, BigInt.asIntN(64, BigInt(number)), true);
    for (let byte = 0; byte < Math.min(item, 8); byte++) bytes[offset + index * item + byte] = whole[byte]!;
  }
}

/** The type that a program's first parameter points to. */
function contextType({ btf, funcInfo }: ProgramSpec): number | undefined {
  if (btf === null || funcInfo.length < 8) return undefined;
  const main = btf.type(viewOf(funcInfo).getUint32(4, true));
  const proto = main.kind === "func" ? btf.type(main.type) : undefined;
  const first = proto?.kind === "func_proto" ? proto.params[0] : undefined;
  if (first === undefined) return undefined;
  const pointer = btf.type(btf.resolve(first.type));
  return pointer.kind === "ptr" ? btf.resolve(pointer.type) : undefined;
}
