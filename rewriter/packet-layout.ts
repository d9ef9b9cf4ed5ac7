import type { Btf } from "../framework/object/btf.ts";
import type { SyntaxNode } from "./parser.ts";
import { declaredName } from "./types.ts";

/** What lies in a packet: a number, equal elements one behind the other, or a struct's members. */
export type PacketType =
  | { readonly kind: "number"; readonly bits: number }
  | { readonly kind: "array"; readonly bits: number; readonly of: PacketType }
  | { readonly kind: "record"; readonly bits: number; readonly members: ReadonlyMap<string, PacketMember> };

export interface PacketMember {
  readonly type: PacketType;
  /** Bits from the struct's start, in the order of the wire. */
  readonly offset: number;
  /** A bit field: C gives it no address. */
  readonly isBitField: boolean;
}

/** Bytes of C's own types and of the kernel's for numbers. */
const NUMBERS: readonly (readonly [RegExp, number])[] = [
  [/__int128/, 16],
  [/^(?:bool|_Bool)$|\bchar\b|^(?:__)?[us]8$|^u?int8_t$/, 1],
  [/\bshort\b|^(?:__)?(?:[us]|[bl]e)16$|^u?int16_t$|^__sum16$/, 2],
  [/\blong\b|^(?:__)?(?:[us]|[bl]e)64$|^u?int64_t$|^s?size_t$|^uintptr_t$/, 8],
  [/\bint\b|^(?:unsigned|signed)$|^(?:__)?(?:[us]|[bl]e)32$|^u?int32_t$|^__wsum$|^[pug]id_t$/, 4],
];

/** Layouts of a source's packet headers: every member follows the one before, bit fields bit by bit. */
export class PacketLayouts {
  readonly #btf: () => Btf | null;
  readonly #records = new Map<string, SyntaxNode>();
  readonly #typedefs = new Map<string, SyntaxNode>();
  readonly #known = new Map<number, PacketType | null>();

  constructor(root: SyntaxNode, btf: () => Btf | null) {
    this.#btf = btf;
    for (const node of root.descendantsOfType(["struct_specifier", "union_specifier"])) {
      const name = node.childForFieldName("name");
      if (name !== null && node.childForFieldName("body") !== null) this.#records.set(name.text, node);
    }
    for (const node of root.descendantsOfType("type_definition")) {
      for (const declarator of node.childrenForFieldName("declarator")) {
        const name = declaredName(declarator);
        if (name !== undefined) this.#typedefs.set(name.text, node);
      }
    }
  }

  /**
   * The layout of a struct or union that the source defines; null when a member's size is not to be told from the
   * text.
   */
  of(definition: SyntaxNode): PacketType | null {
    const known = this.#known.get(definition.id);
    if (known !== undefined) return known;
    this.#known.set(definition.id, null);
    const layout = this.#lay(definition);
    this.#known.set(definition.id, layout);
    return layout;
  }

  #lay(definition: SyntaxNode): PacketType | null {
    const isUnion = definition.type === "union_specifier";
    const members = new Map<string, PacketMember>();
    let end = 0;
    let most = 0;
    for (const field of definition.childForFieldName("body")?.namedChildren ?? []) {
      if (field.type !== "field_declaration") continue;
      const base = this.#specified(field.childForFieldName("type"));
      if (base === null) return null;
      for (const { declarator, bits } of declaratorsOf(field)) {
        const type = declarator === null ? base : this.#shaped(base, declarator);
        if (type === null || bits === null) return null;
        const unit = bits === undefined ? 8 : bits === 0 ? base.bits : 1;
        const offset = isUnion ? 0 : Math.ceil(end / unit) * unit;
        const placed: PacketType = bits === undefined ? type : { kind: "number", bits };
        end = offset + placed.bits;
        most = Math.max(most, end);
        const name = declarator === null ? "" : (declaredName(declarator)?.text ?? "");
        if (name !== "") members.set(name, { type: placed, offset, isBitField: bits !== undefined });
        else if (placed.kind === "record") {
          for (const [inner, member] of placed.members)
            members.set(inner, { ...member, offset: offset + member.offset });
        }
      }
    }
    return { kind: "record", bits: Math.ceil(most / 8) * 8, members };
  }

  #specified(node: SyntaxNode | null): PacketType | null {
    switch (node?.type) {
      case "primitive_type":
      case "sized_type_specifier":
        return numberOf(node.text);
      case "enum_specifier":
        return { kind: "number", bits: 32 };
      case "type_identifier":
        return this.#named(node.text);
      case "struct_specifier":
      case "union_specifier":
        return this.#record(node);
      default:
        return null;
    }
  }

  #record(node: SyntaxNode): PacketType | null {
    if (node.childForFieldName("body") !== null) return this.of(node);
    const tag = node.childForFieldName("name")?.text ?? "";
    const own = this.#records.get(tag);
    return own === undefined ? this.#kernelType(tag, "struct", "union") : this.of(own);
  }

  #named(name: string): PacketType | null {
    const definition = this.#typedefs.get(name);
    if (definition === undefined) return numberOf(name) ?? this.#kernelType(name, "typedef");
    const declarator = definition
      .childrenForFieldName("declarator")
      .find((candidate) => declaredName(candidate)?.text === name);
    // One that names itself would never end.
    this.#typedefs.delete(name);
    const base = this.#specified(definition.childForFieldName("type"));
    this.#typedefs.set(name, definition);
    return base === null || declarator === undefined ? base : this.#shaped(base, declarator);
  }

  /** A type of the kernel's is as long as the kernel says; its members are not for packets. */
  #kernelType(name: string, ...kinds: readonly ("struct" | "union" | "typedef")[]): PacketType | null {
    const btf = this.#btf();
    const id = btf?.find(name, ...kinds) ?? 0;
    if (btf === null || id === 0) return null;
    const kind = btf.kindOf(btf.resolve(id));
    const bits = btf.sizeOf(id) * 8;
    return kind === "int" || kind === "enum"
      ? { kind: "number", bits }
      : { kind: "record", bits, members: new Map() };
  }

  /** Adds a declarator's arrays to a type. Pointers are no part of a packet. */
  #shaped(base: PacketType, declarator: SyntaxNode): PacketType | null {
    if (declarator.type === "array_declarator") {
      const size = declarator.childForFieldName("size");
      const length = size === null ? 0 : constantOf(size);
      const inner = declarator.childForFieldName("declarator");
      if (length === null || inner === null) return null;
      return this.#shaped({ kind: "array", bits: base.bits * length, of: base }, inner);
    }
    return declarator.type === "pointer_declarator" || declarator.type === "function_declarator"
      ? null
      : base;
  }
}

function numberOf(text: string): PacketType | null {
  const found = NUMBERS.find(([pattern]) => pattern.test(text));
  return found === undefined ? null : { kind: "number", bits: found[1] * 8 };
}

/** The declarators of a member's declaration with their bits: undefined for no bit field, null for an unknown width. */
function declaratorsOf(
  field: SyntaxNode,
): readonly { readonly declarator: SyntaxNode | null; readonly bits: number | null | undefined }[] {
  const type = field.childForFieldName("type");
  const found: { declarator: SyntaxNode | null; bits: number | null | undefined }[] = [];
  for (const child of field.namedChildren) {
    if (child.id === type?.id) continue;
    if (child.type === "bitfield_clause") {
      const width = child.namedChildren[0];
      const bits = width === undefined ? null : constantOf(width);
      const last = found.at(-1);
      if (last === undefined) found.push({ declarator: null, bits });
      else last.bits = bits;
    } else if (/(?:declarator|identifier)$/.test(child.type)) {
      found.push({ declarator: child, bits: undefined });
    }
  }
  return found.length === 0 ? [{ declarator: null, bits: undefined }] : found;
}

/** The value of an integer constant expression without names; null for all else. */
function constantOf(node: SyntaxNode): number | null {
  if (node.type === "number_literal") {
    const digits = node.text.replace(/[uUlL]+$/, "");
    const value = /^0\d/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
    return Number.isInteger(value) ? value : null;
  }
  if (node.type === "parenthesized_expression")
    return node.namedChildren.length === 1 ? constantOf(node.namedChildren[0]!) : null;
  if (node.type !== "binary_expression") return null;
  const left = node.childForFieldName("left");
  const right = node.childForFieldName("right");
  const a = left === null ? null : constantOf(left);
  const b = right === null ? null : constantOf(right);
  const operation = operations[node.childForFieldName("operator")?.type ?? ""];
  return a === null || b === null || operation === undefined ? null : operation(a, b);
}

const operations: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => Math.trunc(a / b),
  "<<": (a, b) => a * 2 ** b,
};
