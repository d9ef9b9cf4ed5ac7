import { viewOf } from "../core/layout.ts";
import type { Btf, BtfMember } from "./btf.ts";
import type { BtfExt, SectionRecords } from "./btf-ext.ts";
import { type Elf, malformed } from "./elf.ts";

/** What a record asks for: `enum bpf_core_relo_kind` of linux/bpf.h, by number. */
const questions = [
  "field offset",
  "field size",
  "field exists",
  "field signed",
  "field left shift",
  "field right shift",
  "local type id",
  "type id",
  "type exists",
  "type size",
  "enumerator exists",
  "enumerator value",
  "type matches",
] as const;

type Question = (typeof questions)[number];

/** The answer to a record: what goes into the instruction, or null when the kernel has no such thing. */
interface Answer {
  readonly value: bigint | null;
  /** Bytes that a load or store of the field has to move; undefined leaves the instruction's own. */
  readonly width?: number | undefined;
}

/** A field as found in one BTF. */
interface Field {
  readonly bitOffset: number;
  /** The field's type. */
  readonly type: number;
  /** 0: not a bit field. */
  readonly bitSize: number;
}

/** One step from a type to a field in it: into a named member, or to an element. */
type Step = { readonly member: string; readonly type: number } | { readonly index: number };

/** A path from a type to a field, and where it ends in the local types. */
interface Path {
  readonly steps: readonly Step[];
  readonly field: Field;
}

const INSN_BYTES = 8;
const CLASS_LD = 0;
const CLASS_LDX = 1;
const CLASS_ST = 2;
const CLASS_STX = 3;
const CLASS_ALU = 4;
const CLASS_ALU64 = 7;
const CALL = 0x85;
const SOURCE_REGISTER = 0x08;
const SIZE_MASK = 0x18;
/** The BPF_SIZE bits of loads and stores, by bytes. */
const sizeBits: Readonly<Record<number, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };

/**
 * A helper that no kernel has. An access to something the kernel lacks becomes a call of it: harmless where it is
 * never reached, refused with this recognisable number where it is. The number is libbpf's, known from its logs.
 */
const UNREACHABLE_HELPER = 0xbad2310;

const MOST_DEPTH = 32;
const MOST_OFFSET = 0x7fff;

/**
 * Adapts instructions to the kernel's own types (CO-RE): offsets and sizes of fields, presence of fields, types and
 * enumerators.
 *
 * @param kernelTypes called once, when the object has such records; nothing is changed without it
 * @returns changed copies of the instructions, by section name
 * @throws ObjectError when a record does not fit the object's types or the instruction it is for
 */
export function relocateFields(
  elf: Elf,
  ext: BtfExt,
  local: Btf | null,
  kernelTypes: (() => Btf) | undefined,
): ReadonlyMap<string, Uint8Array> {
  const patched = new Map<string, Uint8Array>();
  if (local === null || kernelTypes === undefined || ext.relocations.size === 0) return patched;
  const resolver = new Resolver(local, kernelTypes());
  for (const [name, records] of ext.relocations) {
    const section = elf.section(name);
    if (section === undefined)
      throw malformed(`its types have records for section "${name}", which is not there`);
    const insns = new Uint8Array(section.data);
    relocateSection(name, insns, records, resolver, local);
    patched.set(name, insns);
  }
  return patched;
}

function relocateSection(
  name: string,
  insns: Uint8Array,
  records: SectionRecords,
  resolver: Resolver,
  local: Btf,
): void {
  const { words, wordsPerRecord } = records;
  for (let i = 0; i < words.length; i += wordsPerRecord) {
    const offset = words[i]!;
    const question = questions[words[i + 3]!];
    if (question === undefined)
      throw malformed(`a record for section "${name}" is of unknown kind ${words[i + 3]}`);
    if (offset % INSN_BYTES !== 0 || offset + INSN_BYTES > insns.length) {
      throw malformed(`a record for section "${name}" is at byte ${offset}, where no instruction is`);
    }
    const answer = resolver.answer(question, words[i + 1]!, local.string(words[i + 2]!));
    if (!patch(insns, offset, answer)) {
      throw malformed(`section "${name}", instruction ${offset / INSN_BYTES} cannot take the ${question}`);
    }
  }
}

/** Writes an answer into an instruction; false when the instruction has no room for it. */
function patch(insns: Uint8Array, at: number, { value, width }: Answer): boolean {
  const view = viewOf(insns);
  const opcode = insns[at]!;
  if (value === null) {
    poison(insns, at);
    if (opcode === 0x18 && at + 2 * INSN_BYTES <= insns.length) poison(insns, at + INSN_BYTES);
    return true;
  }
  switch (opcode & 7) {
    case CLASS_ALU:
    case CLASS_ALU64:
      if ((opcode & SOURCE_REGISTER) !== 0) return false;
      view.setInt32(at + 4, Number(BigInt.asIntN(32, value)), true);
      return true;
    case CLASS_LDX:
    case CLASS_ST:
    case CLASS_STX: {
      if (value > MOST_OFFSET) return false;
      view.setInt16(at + 2, Number(value), true);
      if (width === undefined) return true;
      const bits = sizeBits[width];
      if (bits === undefined) return false;
      insns[at] = (opcode & ~SIZE_MASK) | bits;
      return true;
    }
    case CLASS_LD:
      if (opcode !== 0x18 || at + 2 * INSN_BYTES > insns.length) return false;
      view.setUint32(at + 4, Number(BigInt.asUintN(32, value)), true);
      view.setUint32(at + 12, Number(BigInt.asUintN(32, value >> 32n)), true);
      return true;
    default:
      return false;
  }
}

function poison(insns: Uint8Array, at: number): void {
  insns.fill(0, at, at + INSN_BYTES);
  insns[at] = CALL;
  viewOf(insns).setInt32(at + 4, UNREACHABLE_HELPER, true);
}

/** Answers records by comparing the object's types with the kernel's. */
class Resolver {
  readonly #local: Btf;
  readonly #kernel: Btf;
  /** The kernel's types of the same name and kind, by local id. */
  readonly #candidates = new Map<number, readonly number[]>();

  constructor(local: Btf, kernel: Btf) {
    this.#local = local;
    this.#kernel = kernel;
  }

  answer(question: Question, type: number, access: string): Answer {
    switch (question) {
      case "local type id":
        return { value: BigInt(type) };
      case "type id":
        return { value: BigInt(this.#matchingType(type)) };
      case "type size":
        return { value: BigInt(this.#kernel.sizeOf(this.#matchingType(type))) };
      case "type exists":
      case "type matches":
        return { value: this.#matchingType(type) === 0 ? 0n : 1n };
      case "enumerator exists":
        return { value: this.#enumerator(type, access) === null ? 0n : 1n };
      case "enumerator value":
        return { value: this.#enumerator(type, access) };
      default:
        return this.#answerField(question, this.#localPath(type, access), type);
    }
  }

  #candidatesFor(type: number): readonly number[] {
    const known = this.#candidates.get(type);
    if (known !== undefined) return known;
    const kind = this.#local.kindOf(type);
    const name = essentialName(this.#local.nameOf(type));
    const kinds = kind === "enum" || kind === "enum64" ? (["enum", "enum64"] as const) : ([kind] as const);
    const found = name === "" ? [] : this.#kernel.findAll(name, ...kinds);
    this.#candidates.set(type, found);
    return found;
  }

  #matchingType(type: number): number {
    return this.#candidatesFor(type).find((id) => this.#areCompatible(type, id, 0)) ?? 0;
  }

  /** The kernel's value of the enumerator that `access` numbers in the local enum. */
  #enumerator(type: number, access: string): bigint | null {
    const local = this.#local.type(this.#local.resolve(type));
    const wanted =
      local.kind === "enum" || local.kind === "enum64" ? local.values[Number(access)] : undefined;
    if (wanted === undefined)
      throw malformed(`a record refers to enumerator ${access} of ${this.#local.describe(type)}`);
    const name = essentialName(wanted.name);
    for (const id of this.#candidatesFor(type)) {
      const target = this.#kernel.type(this.#kernel.resolve(id));
      if (target.kind !== "enum" && target.kind !== "enum64") continue;
      const found = target.values.find((item) => essentialName(item.name) === name);
      if (found !== undefined) return found.value;
    }
    return null;
  }

  #answerField(question: Question, path: Path, type: number): Answer {
    const field = this.#findField(type, path.steps);
    if (question === "field exists") return { value: field === null ? 0n : 1n };
    if (field === null) return { value: null };
    const place = loadable(this.#kernel, field);
    switch (question) {
      case "field size":
        return { value: BigInt(place.bytes) };
      case "field offset":
        return this.#offsetAnswer(place, field, path.field);
      case "field signed":
        return { value: isSigned(this.#kernel, field.type) ? 1n : 0n };
      case "field left shift":
        return { value: BigInt(64 - (field.bitOffset + place.bits - place.byteOffset * 8)) };
      default:
        return { value: BigInt(64 - place.bits) };
    }
  }

  /**
   * A load of a field that has another size in the kernel moves that many bytes, as long as zeros fill the rest
   * correctly: pointers and unsigned integers.
   */
  #offsetAnswer(place: LoadPlace, field: Field, local: Field): Answer {
    const value = BigInt(place.byteOffset);
    if (field.bitSize !== 0 || local.bitSize !== 0) return { value };
    const bytes = this.#local.sizeOf(local.type);
    if (bytes === place.bytes) return { value };
    const ours = this.#local.type(this.#local.resolve(local.type));
    const theirs = this.#kernel.type(this.#kernel.resolve(field.type));
    if (ours.kind === "ptr" && theirs.kind === "ptr") return { value, width: place.bytes };
    if (ours.kind !== "int" || theirs.kind !== "int") return { value };
    return ours.signed || theirs.signed ? { value: null } : { value, width: place.bytes };
  }

  /** Follows an access string such as "0:2:1" through the object's own types. */
  #localPath(type: number, access: string): Path {
    const wrong = () => malformed(`access "${access}" does not fit ${this.#local.describe(type)}`);
    if (!/^\d{1,9}(:\d{1,9}){0,63}$/.test(access)) throw wrong();
    const [first = 0, ...indices] = access.split(":").map(Number);
    const steps: Step[] = [{ index: first }];
    let field: Field = elementField(this.#local, 0, type, first);
    for (const index of indices) {
      const container = this.#local.type(this.#local.resolve(field.type));
      if (container.kind === "array") {
        field = elementField(this.#local, field.bitOffset, container.element, index);
        steps.push({ index });
      } else {
        const member = "members" in container ? container.members[index] : undefined;
        if (member === undefined) throw wrong();
        field = memberField(field.bitOffset, member);
        if (member.name !== "") steps.push({ member: member.name, type: member.type });
      }
    }
    return { steps, field };
  }

  /** The same field in the first of the kernel's types that has it. */
  #findField(type: number, steps: readonly Step[]): Field | null {
    for (const candidate of this.#candidatesFor(type)) {
      const field = this.#followSteps(candidate, steps);
      if (field !== null) return field;
    }
    return null;
  }

  #followSteps(candidate: number, [first, ...steps]: readonly Step[]): Field | null {
    const root = first !== undefined && "index" in first ? first.index : 0;
    let field: Field | null = elementField(this.#kernel, 0, candidate, root);
    for (const step of steps) {
      if (field === null) return null;
      if ("member" in step) {
        field = this.#findMember(field, step.member, 0);
        if (field !== null && !this.#areFieldsCompatible(step.type, field.type, 0)) return null;
      } else {
        const array = this.#kernel.type(this.#kernel.resolve(field.type));
        if (array.kind !== "array" || (array.length !== 0 && step.index >= array.length)) return null;
        field = elementField(this.#kernel, field.bitOffset, array.element, step.index);
      }
    }
    return field;
  }

  /** A member by name, also inside unnamed structs and unions. */
  #findMember(outer: Field, name: string, depth: number): Field | null {
    const container = this.#kernel.type(this.#kernel.resolve(outer.type));
    if (!("members" in container) || depth > MOST_DEPTH) return null;
    for (const member of container.members) {
      const field = memberField(outer.bitOffset, member);
      if (member.name === name) return field;
      const inner = member.name === "" ? this.#findMember(field, name, depth + 1) : null;
      if (inner !== null) return inner;
    }
    return null;
  }

  /** Whether a field of the local type can stand for one of the kernel's. */
  #areFieldsCompatible(local: number, target: number, depth: number): boolean {
    const ours = this.#local.type(this.#local.resolve(local));
    const theirs = this.#kernel.type(this.#kernel.resolve(target));
    if ("members" in ours && "members" in theirs) return true;
    if ("values" in ours && "values" in theirs) return haveSameName(ours.name, theirs.name);
    if (ours.kind === "fwd" && theirs.kind === "fwd") return haveSameName(ours.name, theirs.name);
    if (ours.kind === "array" && theirs.kind === "array") {
      return depth < MOST_DEPTH && this.#areFieldsCompatible(ours.element, theirs.element, depth + 1);
    }
    return ours.kind === theirs.kind && (ours.kind === "int" || ours.kind === "ptr" || ours.kind === "float");
  }

  /** Whether two types of the same name are the same in kind, and what they point at too. */
  #areCompatible(local: number, target: number, depth: number): boolean {
    const ours = this.#local.type(this.#local.resolve(local));
    const theirs = this.#kernel.type(this.#kernel.resolve(target));
    if (depth > MOST_DEPTH) return false;
    const compare = (a: number, b: number) => this.#areCompatible(a, b, depth + 1);
    if ("values" in ours && "values" in theirs) return true;
    if (ours.kind === "ptr" && theirs.kind === "ptr") return compare(ours.type, theirs.type);
    if (ours.kind === "array" && theirs.kind === "array") return compare(ours.element, theirs.element);
    if (ours.kind === "func_proto" && theirs.kind === "func_proto") {
      const params = theirs.params;
      return (
        ours.params.length === params.length &&
        ours.params.every((param, i) => compare(param.type, params[i]!.type)) &&
        compare(ours.returns, theirs.returns)
      );
    }
    return ours.kind === theirs.kind;
  }
}

function elementField(btf: Btf, bitOffset: number, element: number, index: number): Field {
  return {
    bitOffset: bitOffset + index * btf.sizeOf(element) * 8,
    type: element,
    bitSize: 0,
  };
}

function memberField(bitOffset: number, member: BtfMember): Field {
  return {
    bitOffset: bitOffset + member.bitOffset,
    type: member.type,
    bitSize: member.bitSize,
  };
}

/** Where to load from to get at a field. */
interface LoadPlace {
  readonly byteOffset: number;
  readonly bytes: number;
  readonly bits: number;
}

/** For a bit field: the smallest aligned integer, of its type's size or wider, that holds all of it. */
function loadable(btf: Btf, { bitOffset, bitSize, type }: Field): LoadPlace {
  let bytes = btf.sizeOf(type);
  if (bitSize === 0) return { byteOffset: Math.floor(bitOffset / 8), bytes, bits: bytes * 8 };
  if (bytes === 0) throw malformed("a bit field is of a type without a size");
  const start = () => Math.floor(bitOffset / 8 / bytes) * bytes;
  while (bitOffset + bitSize > (start() + bytes) * 8 && bytes < 8) bytes *= 2;
  return { byteOffset: start(), bytes, bits: bitSize };
}

function isSigned(btf: Btf, id: number): boolean {
  const type = btf.type(btf.resolve(id));
  return "signed" in type && type.signed;
}

/** A name without the `___suffix` that tells several versions of one kernel type apart. */
function essentialName(name: string): string {
  return name.replace(/^(.*[^_])___[^_].*$/, "$1");
}

function haveSameName(local: string, target: string): boolean {
  return local === "" || target === "" || essentialName(local) === essentialName(target);
}
