import { UsageError } from "../../core/errors.ts";
import { show, viewOf } from "../../core/layout.ts";
import type { Btf, BtfMember } from "../../object/btf.ts";
import type { ProgramSpec } from "../../object/object-spec.ts";
import type { ArgumentValue, Fields, FieldValue } from "../../runtime/events.ts";
import type { GivenMemory } from "../given-memory.ts";

/** Bytes of a record of which nothing is known and nothing was asked. */
const UNKNOWN_BYTES = 512;

/** A tracepoint's texts of any length are behind its record; the field says where: BCC's and the kernel's prefixes. */
const DATA_LOCATION = ["data_loc_", "__data_loc_"];

/**
 * The bytes of the record that a program's parameter points to, with fields by name and the others zero.
 * @param memory takes what fields that are pointers point to
 * @throws UsageError for a field that the record lacks, or a program whose types say nothing about it
 */
export function recordOf(spec: ProgramSpec, fields: Fields, memory: GivenMemory): Uint8Array {
  const id = contextType(spec);
  const isStruct = id !== undefined && spec.btf!.type(id).kind === "struct";
  if (!isStruct && Object.keys(fields).length === 0) return new Uint8Array(UNKNOWN_BYTES);
  if (!isStruct) {
    throw new UsageError(`program "${spec.name}" does not say what its context is`, {
      hint: "give the context as bytes",
    });
  }
  return recordWith(spec.btf!, id, { fields, memory }, (name, members) => {
    throw new UsageError(`the context of "${spec.name}" has no field "${name}"`, {
      hint: `fields are ${members.join(", ")}`,
    });
  });
}

/**
 * The bytes of a record of a struct, with fields by name and the others zero.
 * @param onMissing told of each field that the struct lacks, with those it has
 */
export function recordWith(
  btf: Btf,
  id: number,
  { fields, memory }: { readonly fields: Fields; readonly memory: GivenMemory },
  onMissing: (name: string, members: readonly string[]) => void = () => {},
): Uint8Array {
  const type = btf.type(id);
  if (type.kind !== "struct") return new Uint8Array(0);
  const bytes = [...new Uint8Array(type.size)];
  const members = membersOf(btf, type.members, 0);
  for (const [name, value] of Object.entries(fields)) {
    const prefix = DATA_LOCATION.find((candidate) => members.has(candidate + name));
    const member = members.get(name) ?? members.get(`${prefix}${name}`);
    if (member === undefined) {
      onMissing(name, [...members.keys()]);
      continue;
    }
    const text = typeof value === "string" ? new TextEncoder().encode(`${value}\0`) : value;
    const isElsewhere = prefix !== undefined || DATA_LOCATION.some((each) => name.startsWith(each));
    if (text instanceof Uint8Array && isElsewhere) {
      put(bytes, member, (text.length << 16) | bytes.length);
      bytes.push(...text);
    } else if (text instanceof Uint8Array && !member.isAddress) {
      put(bytes, member, bytesWithin(text, member.size, typeof value === "string"));
    } else put(bytes, member, numbersOf(member, value, memory));
  }
  return Uint8Array.from(bytes);
}

function numbersOf({ name, isAddress }: Place, value: FieldValue, memory: GivenMemory): readonly bigint[] {
  const values = isList(value) ? value : [value];
  return values.map((each) => {
    if (isAddress || typeof each === "number" || typeof each === "bigint") return memory.number(each);
    throw new UsageError(`field "${name}" is a number, not ${show(each)}`);
  });
}

function isList(value: FieldValue): value is readonly ArgumentValue[] {
  return Array.isArray(value);
}

/** A text for an array of characters is cut, and its last byte is zero. */
function bytesWithin(bytes: Uint8Array, size: number, isText: boolean): Uint8Array {
  if (!isText || bytes.length <= size) return bytes;
  const cut = bytes.slice(0, size);
  cut[size - 1] = 0;
  return cut;
}

interface Place {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  /** Bytes of an item, for arrays. */
  readonly item: number;
  /** Whether its items can hold addresses: pointers, or as wide as one. */
  readonly isAddress: boolean;
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
      const item = own.kind === "array" ? btf.sizeOf(own.element) : size;
      places.set(name, { name, offset, size, item, isAddress: item === 8 });
    }
  }
  return places;
}

function put(bytes: number[], place: Place, value: number | Uint8Array | readonly bigint[]): void {
  const { name, offset, size, item } = place;
  if (value instanceof Uint8Array) {
    if (value.length > size) throw new UsageError(`field "${name}" takes ${size} bytes, not ${value.length}`);
    for (const [index, byte] of value.entries()) bytes[offset + index] = byte;
    return;
  }
  const numbers = typeof value === "number" ? [BigInt(value)] : value;
  if (numbers.length * item > size) throw new UsageError(`field "${name}" takes ${size / item} numbers`);
  for (const [index, number] of numbers.entries()) {
    const whole = new Uint8Array(8);
    viewOf(whole).setBigInt64(0, BigInt.asIntN(64, number), true);
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
