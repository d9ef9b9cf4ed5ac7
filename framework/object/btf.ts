import { ObjectError } from "../core/errors.ts";
import { btfSections, indexTypes, wordsPerEntry } from "./btf-sections.ts";
import type { BtfStrings } from "./btf-strings.ts";
import { type BtfKind, type BtfMember, type BtfType, btfKinds } from "./btf-types.ts";
import { describeType } from "./describe-type.ts";

export type { BtfKind, BtfMember, BtfType } from "./btf-types.ts";

const ENUM = 6;
const ENUM64 = 19;

/** Longest chain of qualifiers, arrays or nested structs followed; the kernel stops at 32 (MAX_RESOLVE_DEPTH). */
const MOST_DEPTH = 64;

/** Qualifiers and other names of a type, which `resolve` looks through. */
const transparent = new Set<number>([8, 9, 10, 11, 18]);

const VOID: BtfType = { kind: "void" };

/** Type ids by the offset of their name in the string section, in id order. */
interface NameIndex {
  readonly names: Uint32Array;
  readonly ids: Uint32Array;
}

/**
 * BTF type information (a `.BTF` section, or the kernel's own types). Only the position of each type is recorded at
 * first; types and names are decoded when asked for.
 */
export class Btf {
  /** What the constructor was given. */
  readonly bytes: Uint8Array;
  /** 1, or the base's `endId` for split BTF. */
  readonly firstId: number;
  /** Ids are `firstId <= id < endId`; smaller ones are the base's, 0 is void. */
  readonly endId: number;
  readonly #base: Btf | undefined;
  /** Where the type section starts in `bytes`. */
  readonly #firstByte: number;
  /** The type section as words. */
  readonly #words: Uint32Array;
  /** Where each type starts in `#words`, by id - firstId. */
  readonly #starts: Uint32Array;
  readonly #strings: BtfStrings;
  /** String offsets below this one are the base's. */
  readonly #firstString: number;
  readonly #decoded = new Map<number, BtfType>();
  readonly #aligns = new Map<number, number>();
  #typeNames: Uint32Array | undefined;
  #enumerators: NameIndex | undefined;

  /**
   * @param base the kernel's types, for split BTF of a module
   * @throws ObjectError when header or type section do not hold together
   */
  constructor(bytes: Uint8Array, base?: Btf) {
    const { firstByte, types, strings } = btfSections(bytes);
    this.bytes = bytes;
    this.#base = base;
    this.#firstByte = firstByte;
    this.#words = types;
    this.#strings = strings;
    this.#firstString = base === undefined ? 0 : base.#firstString + base.#strings.length;
    this.#starts = indexTypes(types);
    this.firstId = base?.endId ?? 1;
    this.endId = this.firstId + this.#starts.length;
    if (base === undefined && strings.length === 0) {
      throw new ObjectError("cannot read BTF: its string section is empty");
    }
  }

  /** The type with this id, decoded once. */
  type(id: number): BtfType {
    const known = this.#decoded.get(id);
    if (known !== undefined) return known;
    if (id === 0) return VOID;
    if (id < this.firstId && this.#base !== undefined) return this.#base.type(id);
    const decoded = this.#decode(this.#start(id));
    this.#decoded.set(id, decoded);
    return decoded;
  }

  /** The kind of a type, without decoding it. */
  kindOf(id: number): BtfKind {
    return btfKinds[this.#kindNumber(id)]!;
  }

  /** The type behind typedefs, const, volatile, restrict and type tags. */
  resolve(id: number): number {
    let current = id;
    for (let depth = 0; transparent.has(this.#kindNumber(current)); depth++) {
      if (depth >= MOST_DEPTH) throw cyclic(id);
      current = this.#word(current, 2);
    }
    return current;
  }

  /** Bytes a value takes: 8 for pointers, 0 for void, functions and types only announced. */
  sizeOf(id: number): number {
    return this.#sizeOf(id, 0);
  }

  /** Alignment in bytes as C's rules give it; 1 for packed structs and for what has no size. */
  alignOf(id: number): number {
    return this.#alignOf(id, 0);
  }

  /** The first type of this name, of one of these kinds when any are given; 0 when there is none. */
  find(name: string, ...wanted: BtfKind[]): number {
    const inBase = this.#base?.find(name, ...wanted) ?? 0;
    if (inBase !== 0) return inBase;
    for (const id of this.#named(name)) {
      if (wanted.length === 0 || wanted.includes(this.kindOf(id))) return id;
    }
    return 0;
  }

  /** Every type of this name, of one of these kinds when any are given, in id order. */
  findAll(name: string, ...wanted: BtfKind[]): readonly number[] {
    const found = [...(this.#base?.findAll(name, ...wanted) ?? [])];
    for (const id of this.#named(name)) {
      if (wanted.length === 0 || wanted.includes(this.kindOf(id))) found.push(id);
    }
    return found;
  }

  /** The first enumerator of this name in any enum, and the enum it is in. */
  findEnumerator(name: string): { readonly type: number; readonly value: bigint } | undefined {
    const inBase = this.#base?.findEnumerator(name);
    if (inBase !== undefined) return inBase;
    this.#enumerators ??= this.#indexEnumerators();
    for (const offset of this.#offsetsOf(name)) {
      const at = this.#enumerators.names.indexOf(offset);
      if (at < 0) continue;
      const type = this.#enumerators.ids[at]!;
      const decoded = this.type(type);
      if (decoded.kind !== "enum" && decoded.kind !== "enum64") continue;
      const found = decoded.values.find((item) => item.name === name);
      if (found !== undefined) return { type, value: found.value };
    }
    return undefined;
  }

  /** The type's own name, "" when it has none. */
  nameOf(id: number): string {
    return id === 0 ? "" : this.string(this.#word(id, 0));
  }

  /** The string at an offset into the string section, as records of .BTF.ext refer to it. */
  string(offset: number): string {
    if (offset < this.#firstString) return this.#base!.string(offset);
    return this.#strings.at(offset - this.#firstString);
  }

  /** Where the record of a type (struct btf_type) starts in `bytes`, for those who change it in place. */
  offsetOf(id: number): number {
    return this.#firstByte + this.#start(id) * 4;
  }

  /** The type as C spells it, for messages: "struct data_t *", "char[16]", "u32". */
  describe(id: number): string {
    return describeType(this, id);
  }

  #start(id: number): number {
    const start = this.#starts[id - this.firstId];
    if (start === undefined) throw new ObjectError(`cannot read BTF: there is no type ${id}`);
    return start;
  }

  #word(id: number, index: number): number {
    if (id < this.firstId && this.#base !== undefined) return this.#base.#word(id, index);
    return this.#words[this.#start(id) + index]!;
  }

  #kindNumber(id: number): number {
    return id === 0 ? 0 : (this.#word(id, 1) >>> 24) & 0x1f;
  }

  #decode(start: number): BtfType {
    const words = this.#words;
    const name = this.string(words[start]!);
    const info = words[start + 1]!;
    const third = words[start + 2]!;
    const kind = btfKinds[(info >>> 24) & 0x1f]!;
    const flag = info >>> 31 !== 0;
    const count = info & 0xffff;
    const rest = start + 3;
    switch (kind) {
      case "void":
        return VOID;
      case "int": {
        const details = words[rest]!;
        const encoding = (details >>> 24) & 0xf;
        return {
          kind,
          name,
          size: third,
          bits: details & 0xff,
          bitOffset: (details >>> 16) & 0xff,
          signed: (encoding & 1) !== 0,
          char: (encoding & 2) !== 0,
          bool: (encoding & 4) !== 0,
        };
      }
      case "float":
        return { kind, name, size: third };
      case "ptr":
      case "const":
      case "volatile":
      case "restrict":
        return { kind, type: third };
      case "typedef":
      case "type_tag":
        return { kind, name, type: third };
      case "array":
        return { kind, element: words[rest]!, index: words[rest + 1]!, length: words[rest + 2]! };
      case "struct":
      case "union":
        return { kind, name, size: third, members: this.#members(rest, count, flag) };
      case "enum":
      case "enum64":
        return { kind, name, size: third, signed: flag, values: this.#values(rest, count, kind, flag) };
      case "fwd":
        return { kind, name, union: flag };
      case "func":
        return { kind, name, type: third, linkage: count };
      case "func_proto":
        return { kind, returns: third, params: this.#params(rest, count) };
      case "var":
        return { kind, name, type: third, linkage: words[rest]! };
      case "datasec":
        return { kind, name, size: third, variables: this.#variables(rest, count) };
      case "decl_tag":
        return { kind, name, type: third, component: words[rest]! | 0 };
    }
  }

  #members(at: number, count: number, hasBitFields: boolean): BtfMember[] {
    const members: BtfMember[] = [];
    for (let i = at; i < at + count * 3; i += 3) {
      const offset = this.#words[i + 2]!;
      members.push({
        name: this.string(this.#words[i]!),
        type: this.#words[i + 1]!,
        bitOffset: hasBitFields ? offset & 0xffffff : offset,
        bitSize: hasBitFields ? offset >>> 24 : 0,
      });
    }
    return members;
  }

  #values(
    at: number,
    count: number,
    kind: "enum" | "enum64",
    signed: boolean,
  ): { name: string; value: bigint }[] {
    const values: { name: string; value: bigint }[] = [];
    const step = kind === "enum" ? 2 : 3;
    for (let i = at; i < at + count * step; i += step) {
      const low = this.#words[i + 1]!;
      const high = kind === "enum" ? (signed ? low >> 31 : 0) : this.#words[i + 2]!;
      const whole = (BigInt(high) << 32n) | BigInt(low);
      values.push({ name: this.string(this.#words[i]!), value: signed ? BigInt.asIntN(64, whole) : whole });
    }
    return values;
  }

  #params(at: number, count: number): { name: string; type: number }[] {
    const params: { name: string; type: number }[] = [];
    for (let i = at; i < at + count * 2; i += 2) {
      params.push({ name: this.string(this.#words[i]!), type: this.#words[i + 1]! });
    }
    return params;
  }

  #variables(at: number, count: number): { type: number; offset: number; size: number }[] {
    const variables: { type: number; offset: number; size: number }[] = [];
    for (let i = at; i < at + count * 3; i += 3) {
      variables.push({ type: this.#words[i]!, offset: this.#words[i + 1]!, size: this.#words[i + 2]! });
    }
    return variables;
  }

  #sizeOf(id: number, depth: number): number {
    const target = this.resolve(id);
    const kind = this.kindOf(target);
    switch (kind) {
      case "ptr":
        return 8;
      case "int":
      case "float":
      case "struct":
      case "union":
      case "enum":
      case "enum64":
      case "datasec":
        return this.#word(target, 2);
      case "array":
      case "var": {
        if (depth >= MOST_DEPTH) throw cyclic(id);
        if (kind === "var") return this.#sizeOf(this.#word(target, 2), depth + 1);
        return this.#sizeOf(this.#word(target, 3), depth + 1) * this.#word(target, 5);
      }
      default:
        return 0;
    }
  }

  #alignOf(id: number, depth: number): number {
    const target = this.resolve(id);
    const known = this.#aligns.get(target);
    if (known !== undefined) return known;
    if (depth >= MOST_DEPTH) throw cyclic(id);
    const align = this.#computeAlign(target, depth);
    this.#aligns.set(target, align);
    return align;
  }

  #computeAlign(target: number, depth: number): number {
    const type = this.type(target);
    switch (type.kind) {
      case "ptr":
        return 8;
      case "int":
      case "float":
      case "enum":
      case "enum64":
        return Math.max(1, type.size);
      case "array":
        return this.#alignOf(type.element, depth + 1);
      case "var":
        return this.#alignOf(type.type, depth + 1);
      case "struct":
      case "union": {
        let most = 1;
        for (const member of type.members) {
          const align = this.#alignOf(member.type, depth + 1);
          if (member.bitSize === 0 && member.bitOffset % (align * 8) !== 0) return 1;
          most = Math.max(most, align);
        }
        return type.size % most === 0 ? most : 1;
      }
      default:
        return 1;
    }
  }

  /** Own types of this name, in id order. */
  *#named(name: string): Generator<number, undefined> {
    this.#typeNames ??= this.#collectTypeNames();
    for (const offset of this.#offsetsOf(name)) {
      for (let at = this.#typeNames.indexOf(offset); at >= 0; at = this.#typeNames.indexOf(offset, at + 1)) {
        yield this.firstId + at;
      }
    }
  }

  #collectTypeNames(): Uint32Array {
    const starts = this.#starts;
    const words = this.#words;
    const names = new Uint32Array(starts.length);
    for (let i = 0; i < starts.length; i++) names[i] = words[starts[i]!]!;
    return names;
  }

  #indexEnumerators(): NameIndex {
    const words = this.#words;
    const starts = this.#starts;
    const names: number[] = [];
    const ids: number[] = [];
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i]!;
      const info = words[start + 1]!;
      const kind = (info >>> 24) & 0x1f;
      if (kind !== ENUM && kind !== ENUM64) continue;
      const step = wordsPerEntry(kind);
      const end = start + 3 + (info & 0xffff) * step;
      for (let at = start + 3; at < end; at += step) {
        names.push(words[at]!);
        ids.push(this.firstId + i);
      }
    }
    return { names: Uint32Array.from(names), ids: Uint32Array.from(ids) };
  }

  /** Where a name stands in the string sections; a module's types also use names of the base. */
  *#offsetsOf(name: string): Generator<number, undefined> {
    if (this.#base !== undefined) yield* this.#base.#offsetsOf(name);
    for (const offset of this.#strings.offsetsOf(name)) yield this.#firstString + offset;
  }
}

function cyclic(id: number): ObjectError {
  return new ObjectError(
    `cannot read BTF: type ${id} contains itself, or is nested deeper than ${MOST_DEPTH} levels`,
  );
}
