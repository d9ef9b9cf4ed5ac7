import { ObjectError } from "../core/errors.ts";
import { BtfStrings } from "./btf-strings.ts";

/** One member of a struct or union. */
export interface BtfMember {
  /** "" for an anonymous struct or union inside another. */
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** 0: not a bit field. */
  readonly bitSize: number;
}

/** One decoded type; `type`, `element`, `index` and `returns` are ids, 0 being void. */
export type BtfType =
  | { readonly kind: "void" }
  | {
      readonly kind: "int";
      readonly name: string;
      readonly size: number;
      readonly bits: number;
      readonly bitOffset: number;
      readonly signed: boolean;
      readonly char: boolean;
      readonly bool: boolean;
    }
  | { readonly kind: "float"; readonly name: string; readonly size: number }
  | { readonly kind: "ptr" | "const" | "volatile" | "restrict"; readonly type: number }
  | { readonly kind: "typedef" | "type_tag"; readonly name: string; readonly type: number }
  | { readonly kind: "array"; readonly element: number; readonly index: number; readonly length: number }
  | {
      readonly kind: "struct" | "union";
      readonly name: string;
      readonly size: number;
      readonly members: readonly BtfMember[];
    }
  | {
      readonly kind: "enum" | "enum64";
      readonly name: string;
      readonly size: number;
      readonly signed: boolean;
      readonly values: readonly { readonly name: string; readonly value: bigint }[];
    }
  | { readonly kind: "fwd"; readonly name: string; readonly union: boolean }
  | { readonly kind: "func"; readonly name: string; readonly type: number; readonly linkage: number }
  | {
      readonly kind: "func_proto";
      readonly returns: number;
      readonly params: readonly { readonly name: string; readonly type: number }[];
    }
  | { readonly kind: "var"; readonly name: string; readonly type: number; readonly linkage: number }
  | {
      readonly kind: "datasec";
      readonly name: string;
      readonly size: number;
      readonly variables: readonly {
        readonly type: number;
        readonly offset: number;
        readonly size: number;
      }[];
    }
  | { readonly kind: "decl_tag"; readonly name: string; readonly type: number; readonly component: number };

export type BtfKind = BtfType["kind"];

/** Kinds by their number in include/uapi/linux/btf.h. */
const kinds = [
  "void",
  "int",
  "ptr",
  "array",
  "struct",
  "union",
  "enum",
  "fwd",
  "typedef",
  "volatile",
  "const",
  "restrict",
  "func",
  "func_proto",
  "var",
  "datasec",
  "float",
  "decl_tag",
  "type_tag",
  "enum64",
] as const satisfies readonly BtfKind[];

/** 32-bit words of a type by kind: a fixed number, and one for each of the `vlen` entries. */
const fixedWords = Uint8Array.of(0, 4, 3, 6, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3, 4, 3, 3);
const entryWords = Uint8Array.of(0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3);

const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;
const ENUM = 6;
const ENUM64 = 19;

/** Longest chain of qualifiers, arrays or nested structs followed; the kernel stops at 32 (MAX_RESOLVE_DEPTH). */
const MOST_DEPTH = 64;

/** Parameters that a description shows at most; damaged types could have 65,535, of functions that have as many. */
const MOST_PARAMS = 12;

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
    const { firstByte, types, strings } = splitSections(bytes);
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
    return kinds[this.#kindNumber(id)]!;
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
    return this.#declare(id, "", 0);
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
    const kind = kinds[(info >>> 24) & 0x1f]!;
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
      const step = entryWords[kind]!;
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

  /** A C declaration of `name` with this type; "" as name gives the bare type. */
  #declare(id: number, declarator: string, depth: number): string {
    if (depth >= MOST_DEPTH) return "…";
    const type = this.type(id);
    const behind = (word: string) => (declarator === "" ? word : `${word} ${declarator}`);
    switch (type.kind) {
      case "void":
        return behind("void");
      case "ptr": {
        const target = this.kindOf(type.type);
        const inner = target === "array" || target === "func_proto" ? `(*${declarator})` : `*${declarator}`;
        return this.#declare(type.type, inner, depth + 1);
      }
      case "array": {
        const bounds = `${declarator}[${type.length}]`;
        const text = this.#declare(type.element, bounds, depth + 1);
        return declarator === "" ? text.replace(` ${bounds}`, bounds) : text;
      }
      case "func_proto": {
        const params = type.params
          .slice(0, MOST_PARAMS)
          .map((param) => this.#declare(param.type, "", depth + MOST_DEPTH / 4));
        return this.#declare(type.returns, `${declarator}(${params.join(", ")})`, depth + 1);
      }
      case "const":
      case "volatile":
      case "restrict":
        if (this.kindOf(type.type) === "ptr") return this.#declare(type.type, behind(type.kind), depth + 1);
        return `${type.kind} ${this.#declare(type.type, declarator, depth + 1)}`;
      case "type_tag":
        return this.#declare(type.type, declarator, depth + 1);
      case "struct":
      case "union":
      case "enum":
        return behind(`${type.kind} ${type.name === "" ? "{…}" : type.name}`);
      case "enum64":
        return behind(`enum ${type.name === "" ? "{…}" : type.name}`);
      case "fwd":
        return behind(`${type.union ? "union" : "struct"} ${type.name}`);
      case "func":
      case "var":
        return this.#declare(type.type, type.name, depth + 1);
      default:
        return behind(type.name);
    }
  }
}

function cyclic(id: number): ObjectError {
  return new ObjectError(
    `cannot read BTF: type ${id} contains itself, or is nested deeper than ${MOST_DEPTH} levels`,
  );
}

/** Reads the header (include/uapi/linux/btf.h, struct btf_header) and cuts the two sections out. */
function splitSections(bytes: Uint8Array): { firstByte: number; types: Uint32Array; strings: BtfStrings } {
  const fail = (why: string) => new ObjectError(`cannot read BTF: ${why}`);
  if (bytes.length < HEADER_BYTES) throw fail(`${bytes.length} bytes are fewer than its header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint16(0, true);
  if (magic === 0x9feb) throw fail("it is big-endian, only little-endian is supported");
  if (magic !== MAGIC) throw fail(`its magic number is 0x${magic.toString(16)}, not 0x${MAGIC.toString(16)}`);
  if (bytes[2] !== 1) throw fail(`its version is ${bytes[2]}, not 1`);
  const headerLength = view.getUint32(4, true);
  const section = (field: number, what: string): { start: number; length: number } => {
    const start = headerLength + view.getUint32(field, true);
    const length = view.getUint32(field + 4, true);
    if (headerLength < HEADER_BYTES || start + length > bytes.length) {
      throw fail(`its ${what} section ends past the ${bytes.length} bytes given`);
    }
    return { start, length };
  };
  const types = section(8, "type");
  const strings = section(16, "string");
  if (types.start % 4 !== 0 || types.length % 4 !== 0)
    throw fail("its type section is not made of 32-bit words");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + strings.start, strings.length);
  return {
    firstByte: types.start,
    types: wordsAt(bytes, types.start, types.length),
    strings: new BtfStrings(text),
  };
}

/** The bytes as little-endian words: a view where alignment allows, else a copy. */
function wordsAt(bytes: Uint8Array, start: number, length: number): Uint32Array {
  const offset = bytes.byteOffset + start;
  if (offset % 4 === 0) return new Uint32Array(bytes.buffer, offset, length / 4);
  return new Uint32Array(new Uint8Array(bytes.subarray(start, start + length)).buffer);
}

/** The word each type starts at. */
function indexTypes(words: Uint32Array): Uint32Array {
  const length = words.length;
  const knownKinds = kinds.length;
  const starts = new Uint32Array(Math.ceil(length / 3));
  let count = 0;
  let at = 0;
  while (at + 3 <= length) {
    const info = words[at + 1]!;
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind >= knownKinds) {
      throw new ObjectError(`cannot read BTF: type ${count + 1} is of unknown kind ${kind}`, {
        hint: "it was written by a compiler newer than this library",
      });
    }
    starts[count++] = at;
    at += fixedWords[kind]! + (info & 0xffff) * entryWords[kind]!;
  }
  if (at !== length) throw new ObjectError(`cannot read BTF: type ${count} ends past the type section`);
  return starts.subarray(0, count);
}
