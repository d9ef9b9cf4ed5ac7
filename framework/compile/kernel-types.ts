import { roundUp } from "../core/layout.ts";
import type { Btf, BtfMember, BtfType } from "../object/btf.ts";

/** What a source needs of the kernel's types. */
export interface TypeRequest {
  /** Tags behind struct, union or enum. */
  readonly tags: ReadonlySet<string>;
  /** Words that may be typedefs or enumerators. */
  readonly words: ReadonlySet<string>;
  /** Member names the source uses: a pointer member of such a name leads to a type that must be complete. */
  readonly members: ReadonlySet<string>;
  /** Tags the source or the base header defines itself: those win. */
  readonly definedTags: ReadonlySet<string>;
  /** Functions, variables, typedefs, enumerators and macros the source or the base header defines itself: those win. */
  readonly definedNames: ReadonlySet<string>;
}

type Record = BtfType & { kind: "struct" | "union" };
type Enumeration = BtfType & { kind: "enum" | "enum64" };

/** C keeps the words behind struct, union and enum apart from all other names. */
type Space = "tag" | "name";

/** Typedefs that are the compiler's own. */
const BUILTINS: ReadonlySet<string> = new Set(["__builtin_va_list"]);

/**
 * C declarations of the kernel types that a source reaches: what it names, what those hold by value, and what their
 * pointer members lead to when the source uses a member of that name. Everything else is declared without a body.
 *
 * Layouts are BTF's. A struct that C's own rules would lay out differently is written packed, with its padding.
 */
export function kernelTypes(btf: Btf, request: TypeRequest): string {
  return new Emitter(btf, request).emit();
}

class Emitter {
  readonly #btf: Btf;
  readonly #request: TypeRequest;
  readonly #out: string[] = [];
  /** Names given to records, enums and typedefs by type id. */
  readonly #names = new Map<number, string>();
  /** Type ids by the names they took; 0 for an enum. */
  readonly #taken = { tag: new Map<string, number>(), name: new Map<string, number>() };
  readonly #done = new Set<number>();
  readonly #forwarded = new Set<string>();
  readonly #enumerators = new Set<string>();
  readonly #pending: number[] = [];
  /** Alignments by resolved type id: records ask for those of all they hold, again and again. */
  readonly #aligns = new Map<number, number>();

  constructor(btf: Btf, request: TypeRequest) {
    this.#btf = btf;
    this.#request = request;
  }

  emit(): string {
    const { tags, words, definedTags, definedNames } = this.#request;
    for (const tag of tags) {
      const id = definedTags.has(tag) ? 0 : this.#btf.find(tag, "struct", "union", "enum", "enum64");
      if (id === 0) continue;
      this.#pending.push(id);
      // Another type of that name that is reached first must not take it.
      if (/^(?:struct|union)$/.test(this.#btf.kindOf(id))) this.#nameOf(id, tag, "tag");
    }
    for (const word of words) {
      if (definedNames.has(word)) continue;
      const id = this.#btf.find(word, "typedef");
      if (id !== 0) {
        this.#pending.push(id);
        this.#nameOf(id, word, "name");
      }
      const enumerator = id === 0 ? this.#btf.findEnumerator(word) : undefined;
      if (enumerator !== undefined) this.#pending.push(enumerator.type);
    }
    for (let id = this.#pending.pop(); id !== undefined; id = this.#pending.pop()) this.#complete(id);
    return this.#out.join("\n");
  }

  /** Writes a type and all it holds by value, once. */
  #complete(id: number): void {
    const type = this.#btf.type(id);
    if (this.#done.has(id)) {
      // A typedef may have been written for pointers alone, with its record only declared.
      if (type.kind === "typedef") this.#declareFor(type.type);
      return;
    }
    // A record may point to itself by its typedef, so the typedef comes first.
    if (type.kind === "typedef" && this.#declareRecordName(id)) return this.#declareFor(type.type);
    this.#done.add(id);
    switch (type.kind) {
      case "struct":
      case "union":
        if (type.name === "") return this.#completeMembers(type);
        this.#completeMembers(type);
        this.#out.push(`${this.#tagOf(id, type)} ${this.#bodyOf(type)};`);
        this.#forwarded.add(this.#tagOf(id, type));
        return;
      case "enum":
      case "enum64":
        return this.#writeEnum(type);
      case "typedef":
        return this.#writeTypedef(id, type);
      case "const":
      case "volatile":
      case "restrict":
      case "type_tag":
        return this.#complete(type.type);
      case "array":
        return this.#complete(type.element);
      default:
        return;
    }
  }

  #completeMembers(type: Record): void {
    for (const member of type.members) {
      this.#declareFor(member.type);
      if (this.#request.members.has(member.name)) this.#follow(member.type);
    }
  }

  /** Makes complete what a type holds by value, and known what it points to. */
  #declareFor(id: number): void {
    const type = this.#btf.type(id);
    switch (type.kind) {
      case "ptr":
        return this.#declarePointee(type.type);
      case "func_proto":
        return;
      case "struct":
      case "union":
        if (type.name === "") return this.#completeMembers(type);
        return this.#complete(id);
      case "enum":
      case "enum64":
        // Members of enum types are written as integers, so that a small or renamed enum keeps its size.
        return;
      default:
        return this.#complete(id);
    }
  }

  #declarePointee(id: number): void {
    const target = this.#skipQualifiers(id);
    const type = this.#btf.type(target);
    if (type.kind === "ptr") this.#declarePointee(type.type);
    else if ((type.kind === "struct" || type.kind === "union") && type.name === "")
      this.#completeMembers(type);
    else if (type.kind === "struct" || type.kind === "union" || type.kind === "fwd") this.#forward(target);
    else if (type.kind === "typedef") {
      if (!this.#declareRecordName(target)) this.#complete(target);
    } else if (type.kind === "array") this.#declareFor(target);
  }

  /** Declares the typedef of a named record, which need not be complete for that. False for other typedefs. */
  #declareRecordName(id: number): boolean {
    const record = this.#btf.resolve(id);
    const type = this.#btf.type(record);
    const typedef = this.#btf.type(id);
    if ((type.kind !== "struct" && type.kind !== "union") || type.name === "" || typedef.kind !== "typedef")
      return false;
    this.#forward(record);
    if (!this.#done.has(id)) {
      this.#done.add(id);
      this.#out.push(`typedef ${this.#tagOf(record, type)} ${this.#nameOf(id, typedef.name, "name")};`);
    }
    return true;
  }

  /** A member the source uses: what it points to becomes complete. */
  #follow(id: number): void {
    const target = this.#btf.resolve(id);
    const type = this.#btf.type(target);
    if (type.kind === "array") this.#follow(type.element);
    if (type.kind !== "ptr") return;
    const pointee = this.#btf.resolve(type.type);
    if (this.#isSourceTag(pointee)) return;
    const pointeeType = this.#btf.type(pointee);
    if (pointeeType.kind === "ptr") this.#follow(pointee);
    else if (pointeeType.kind === "struct" || pointeeType.kind === "union") this.#pending.push(pointee);
    else if (pointeeType.kind === "fwd") {
      const full = this.#btf.find(pointeeType.name, "struct", "union");
      if (full !== 0) this.#pending.push(full);
    }
  }

  #forward(id: number): void {
    const type = this.#btf.type(id);
    if (type.kind === "fwd") {
      this.#forwardTag(`${type.union ? "union" : "struct"} ${type.name}`);
    } else if (type.kind === "struct" || type.kind === "union") {
      if (type.name !== "") this.#forwardTag(this.#pointedTag(id, type));
    }
  }

  /** Whether a type is a record whose tag the source defines. */
  #isSourceTag(id: number): boolean {
    const type = this.#btf.type(id);
    return (type.kind === "struct" || type.kind === "union") && this.#request.definedTags.has(type.name);
  }

  /** A record's tag behind a pointer: the source's definition of a tag is the one that pointers lead to. */
  #pointedTag(id: number, type: Record): string {
    return this.#isSourceTag(id) ? `${type.kind} ${type.name}` : this.#tagOf(id, type);
  }

  #forwardTag(tag: string): void {
    if (this.#forwarded.has(tag)) return;
    this.#forwarded.add(tag);
    this.#out.push(`${tag};`);
  }

  #tagOf(id: number, type: Record): string {
    return `${type.kind} ${this.#nameOf(id, type.name, "tag")}`;
  }

  /** A name that is free: the type's own, or a marked one when the source or another type of that name took it. */
  #nameOf(id: number, own: string, space: Space): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const taken = this.#taken[space];
    let name = own;
    for (let n = 2; (name === own && this.#isDefined(own, space)) || taken.has(name); n++) {
      const holder = taken.get(name);
      if (holder !== undefined && this.#sameShape(holder, id)) break;
      name = `${own}___${n}`;
    }
    if (!taken.has(name)) taken.set(name, id);
    else this.#done.add(id);
    this.#names.set(id, name);
    return name;
  }

  /** Whether the source, the base header or the compiler gives a name its meaning. */
  #isDefined(name: string, space: Space): boolean {
    const { definedTags, definedNames } = this.#request;
    return space === "tag" ? definedTags.has(name) : definedNames.has(name) || BUILTINS.has(name);
  }

  /** Whether two entries of one name cannot be told apart in C: the same kind, size and places of members. */
  #sameShape(a: number, b: number): boolean {
    const first = this.#btf.type(a);
    const second = this.#btf.type(b);
    if ((first.kind !== "struct" && first.kind !== "union") || first.kind !== second.kind) return a === b;
    if (first.size !== second.size || first.members.length !== second.members.length) return false;
    return first.members.every(({ name, bitOffset, bitSize }, index) => {
      const other = second.members[index]!;
      return name === other.name && bitOffset === other.bitOffset && bitSize === other.bitSize;
    });
  }

  #writeEnum(type: Enumeration): void {
    const fresh = type.values.filter(
      ({ name }) => !this.#enumerators.has(name) && !this.#request.definedNames.has(name),
    );
    const named = type.name !== "" && !this.#isDefined(type.name, "tag") && !this.#taken.tag.has(type.name);
    if (fresh.length === 0 && !named) return;
    for (const { name } of fresh) this.#enumerators.add(name);
    const values = fresh.map(({ name, value }) => `${name} = ${literal(value)}`).join(", ");
    if (named) this.#taken.tag.set(type.name, 0);
    const packed = type.size < 4 ? " __attribute__((packed))" : "";
    const body = fresh.length === 0 ? "" : ` { ${values} }${packed}`;
    if (body !== "") this.#out.push(`enum${named ? ` ${type.name}` : ""}${body};`);
  }

  #writeTypedef(id: number, type: { readonly name: string; readonly type: number }): void {
    const target = this.#btf.type(type.type);
    if (target.kind === "enum" || target.kind === "enum64") {
      this.#writeEnum(target);
      this.#out.push(
        `typedef ${integerOf(target.size, target.signed)} ${this.#nameOf(id, type.name, "name")};`,
      );
      return;
    }
    this.#declareFor(type.type);
    this.#out.push(`typedef ${this.#declare(type.type, this.#nameOf(id, type.name, "name"))};`);
  }

  #bodyOf(type: Record): string {
    return this.#isNatural(type) ? this.#naturalBody(type) : this.#exactBody(type);
  }

  #naturalBody(type: Record): string {
    return `{ ${type.members.map((member) => `${this.#memberOf(member)};`).join(" ")} }`;
  }

  /** Every bit stated: padding before each member and at the end. */
  #exactBody(type: Record): string {
    const parts: string[] = [];
    let bit = 0;
    for (const member of type.members) {
      if (type.kind === "struct") {
        if (member.bitOffset < bit) continue;
        parts.push(...paddingBits(member.bitOffset - bit));
      }
      parts.push(`${this.#memberOf(member)};`);
      bit = member.bitOffset + (member.bitSize === 0 ? this.#btf.sizeOf(member.type) * 8 : member.bitSize);
    }
    if (type.kind === "struct") parts.push(...paddingBits(type.size * 8 - bit));
    return `{ ${parts.join(" ")} } __attribute__((packed, aligned(${alignOfPacked(type)})))`;
  }

  #memberOf(member: BtfMember): string {
    const target = this.#btf.type(this.#skipQualifiers(member.type));
    if ((target.kind === "struct" || target.kind === "union") && target.name === "") {
      return `${target.kind} ${this.#bodyOf(target)} ${member.name}`.trimEnd();
    }
    const declared = this.#declare(member.type, member.name);
    return member.bitSize === 0 ? declared : `${declared} : ${member.bitSize}`;
  }

  /** A declaration of `name` with a type, in C's inside-out order. */
  #declare(id: number, name: string): string {
    const type = this.#btf.type(id);
    switch (type.kind) {
      case "void":
        return `void ${name}`.trimEnd();
      case "int":
        return `${intName(type)} ${name}`.trimEnd();
      case "float":
        return `${type.name} ${name}`.trimEnd();
      case "struct":
      case "union":
        if (type.name === "") return `${type.kind} ${this.#bodyOf(type)} ${name}`.trimEnd();
        return `${this.#tagOf(id, type)} ${name}`.trimEnd();
      case "fwd":
        return `${type.union ? "union" : "struct"} ${type.name} ${name}`.trimEnd();
      case "enum":
      case "enum64":
        return `${integerOf(type.size, type.signed)} ${name}`.trimEnd();
      case "typedef":
        return `${this.#nameOf(id, type.name, "name")} ${name}`.trimEnd();
      case "ptr":
        return this.#declarePointer(type.type, name);
      case "array":
        return this.#declare(type.element, `${name}[${type.length}]`);
      case "const":
      case "volatile":
      case "restrict":
        return this.#declareQualified(type, name);
      case "type_tag":
        return this.#declare(type.type, name);
      default:
        return `void *${name}`;
    }
  }

  #declareQualified(type: { readonly kind: string; readonly type: number }, name: string): string {
    const inner = this.#btf.type(type.type);
    // restrict says nothing about layout, and const members would forbid whole-struct assignment.
    if (type.kind !== "volatile" || inner.kind === "ptr") return this.#declare(type.type, name);
    return `volatile ${this.#declare(type.type, name)}`;
  }

  #declarePointer(target: number, name: string): string {
    const pointee = this.#btf.type(this.#skipQualifiers(target));
    // A pointer to a function keeps its size; nothing here calls through one.
    if (pointee.kind === "func_proto") return `void *${name}`;
    const isConst = this.#btf.type(target).kind === "const";
    if (
      (pointee.kind === "struct" || pointee.kind === "union") &&
      this.#isSourceTag(this.#skipQualifiers(target))
    )
      return `${isConst ? "const " : ""}${pointee.kind} ${pointee.name} *${name}`;
    const inner = pointee.kind === "array" ? `(*${name})` : `*${name}`;
    return `${isConst ? "const " : ""}${this.#declare(target, inner)}`;
  }

  #skipQualifiers(id: number): number {
    for (let at = id; ; ) {
      const type = this.#btf.type(at);
      if (
        type.kind !== "const" &&
        type.kind !== "volatile" &&
        type.kind !== "restrict" &&
        type.kind !== "type_tag"
      ) {
        return at;
      }
      at = type.type;
    }
  }

  /** Whether C's own rules give BTF's offsets and size. */
  #isNatural(type: Record): boolean {
    let bit = 0;
    let align = 1;
    for (const member of type.members) {
      const size = this.#btf.sizeOf(member.type);
      const memberAlign = this.#alignOf(member.type);
      align = Math.max(align, memberAlign);
      if (type.kind === "union") {
        if (member.bitOffset !== 0) return false;
        bit = Math.max(bit, size * 8);
      } else if (member.bitSize === 0) {
        bit = roundUp(bit, memberAlign * 8);
        if (bit !== member.bitOffset) return false;
        bit += size * 8;
      } else {
        const unit = size * 8;
        if (Math.floor(bit / unit) !== Math.floor((bit + member.bitSize - 1) / unit))
          bit = roundUp(bit, unit);
        if (bit !== member.bitOffset) return false;
        bit += member.bitSize;
      }
    }
    return roundUp(bit / 8, align) === type.size;
  }

  /** The alignment that what is written here gets: records written packed align by their size. */
  #alignOf(id: number): number {
    const target = this.#btf.resolve(id);
    let align = this.#aligns.get(target);
    if (align === undefined) {
      align = this.#computeAlign(target);
      this.#aligns.set(target, align);
    }
    return align;
  }

  #computeAlign(id: number): number {
    const type = this.#btf.type(id);
    switch (type.kind) {
      case "array":
        return this.#alignOf(type.element);
      case "struct":
      case "union":
        if (!this.#isNatural(type)) return alignOfPacked(type);
        return Math.max(1, ...type.members.map((member) => this.#alignOf(member.type)));
      default:
        return Math.max(1, this.#btf.alignOf(id));
    }
  }
}

/** The largest alignment that keeps the size. */
function alignOfPacked(type: Record): number {
  return [8, 4, 2].find((candidate) => type.size % candidate === 0) ?? 1;
}

function paddingBits(bits: number): readonly string[] {
  const parts: string[] = [];
  const toByte = bits % 8;
  if (toByte !== 0) parts.push(`unsigned char : ${toByte};`);
  const left = (bits - toByte) / 8;
  for (let rest = left * 8; rest > 0; rest -= 64) parts.push(`unsigned long long : ${Math.min(64, rest)};`);
  return parts;
}

function intName(type: BtfType & { kind: "int" }): string {
  if (type.size === 16) return type.signed ? "__int128" : "unsigned __int128";
  return type.name;
}

function integerOf(size: number, signed: boolean): string {
  return `${signed ? "__s" : "__u"}${size * 8}`;
}

function literal(value: bigint): string {
  if (value === -(2n ** 63n)) return "(-9223372036854775807LL - 1)";
  if (value < 0n) return value >= -(2n ** 31n) ? `${value}` : `${value}LL`;
  if (value < 2n ** 31n) return `${value}`;
  return value < 2n ** 63n ? `${value}LL` : `${value}ULL`;
}
