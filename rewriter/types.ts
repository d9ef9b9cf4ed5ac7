import type { Btf, BtfType } from "../framework/object/btf.ts";
import type { SyntaxNode } from "./parser.ts";

/** A C type as far as telling loads apart needs it. Sizes are the compiler's business. */
export type CType =
  | { readonly kind: "scalar" }
  | { readonly kind: "pointer"; readonly to: CType /** Marked __user. */; readonly isUser: boolean }
  | { readonly kind: "array"; readonly of: CType }
  | { readonly kind: "record"; readonly record: RecordType }
  | { readonly kind: "unknown" };

/** A struct or union. */
export interface RecordType {
  readonly name: string;
  /**
   * Whose definition it is; "context" for what a program's first parameter may point to, "packet" for a packet header
   * of the source's: a pointer to one is an offset.
   */
  readonly origin: "user" | "kernel" | "context" | "packet";
  /** Its definition in the source; none for the kernel's. */
  readonly definition?: SyntaxNode | undefined;
  /** A member by name, also inside anonymous members. */
  member(name: string): MemberType | undefined;
}

export interface MemberType {
  readonly type: CType;
  /** Where a bit field lies in its record; only kernel records tell. */
  readonly bits?: BitPlace | undefined;
}

export interface BitPlace {
  /** Bits from the record's start. */
  readonly offset: number;
  readonly size: number;
  readonly isSigned: boolean;
}

const scalar: CType = { kind: "scalar" };
const unknown: CType = { kind: "unknown" };

/** Records that the verifier lets programs read directly, through accesses it checks or rewrites. */
const CONTEXTS = new Set([
  "pt_regs",
  "__sk_buff",
  "xdp_md",
  "bpf_raw_tracepoint_args",
  "bpf_perf_event_data",
  "bpf_sock",
  "bpf_sock_ops",
  "bpf_sock_addr",
  "bpf_sockopt",
  "bpf_sysctl",
  "bpf_cgroup_dev_ctx",
  "bpf_sk_lookup",
  "bpf_tcp_sock",
  "bpf_user_pt_regs_t",
  "bpf_fib_lookup",
  "bpf_pidns_info",
  "bpf_perf_event_value",
  "bpf_spin_lock",
  "bpf_timer",
  "sk_msg_md",
  "sk_reuseport_md",
]);

/** How BPF_PACKET_HEADER ends, here and in sources that spell BCC's own definition out. */
const PACKET_MARK = /annotate\s*\(\s*"rx:packet"\s*\)|deprecated\s*\(\s*"packet"\s*\)/;

/** Attributes are blanks in the tree, so the mark is looked for in the text around the struct's body. */
function isPacketHeader(text: string, body: SyntaxNode): boolean {
  const semicolon = text.indexOf(";", body.endIndex);
  const behind = text.slice(body.endIndex, semicolon < 0 ? text.length : semicolon);
  return PACKET_MARK.test(behind) || PACKET_MARK.test(text.slice(body.parent?.startIndex, body.startIndex));
}

/** Types of a source: its own declarations, and the kernel's where it declares none. */
export class TypeTable {
  readonly #btf: () => Btf | null;
  readonly #text: string;
  readonly #records = new Map<string, SyntaxNode>();
  readonly #typedefs = new Map<string, SyntaxNode>();
  readonly #recordCache = new Map<string, CType>();

  /** @param text the text with its qualifiers, of the same offsets as the tree's */
  constructor(root: SyntaxNode, text: string, btf: () => Btf | null) {
    this.#btf = btf;
    this.#text = text;
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

  /** The type that a declaration gives to one of its declarators; `node` has the specifiers. */
  declared(node: SyntaxNode, declarator: SyntaxNode | null): CType {
    const base = this.#specified(node.childForFieldName("type"));
    const isUser = /\b__user\b/.test(this.#text.slice(node.startIndex, (declarator ?? node).endIndex));
    return declarator === null ? base : shaped(base, declarator, isUser);
  }

  /** A type as text, for instance a table's value: a word or a tag, and stars. */
  spelled(text: string): CType {
    const match =
      /^(?:const\s+|volatile\s+)*(struct|union|enum)?\s*(\w+)(?:\s+\w+)*\s*((?:\*\s*(?:const\s*)?)*)$/.exec(
        text.trim(),
      );
    if (match === null) return unknown;
    const base =
      match[1] === "enum"
        ? scalar
        : match[1] === undefined
          ? this.#named(match[2]!)
          : this.#record(match[2]!);
    const stars = match[3]!.split("*").length - 1;
    let type = base;
    for (let i = 0; i < stars; i++) type = { kind: "pointer", to: type, isUser: false };
    return type;
  }

  #specified(node: SyntaxNode | null): CType {
    switch (node?.type) {
      case "primitive_type":
      case "sized_type_specifier":
      case "enum_specifier":
        return node.text === "void" ? unknown : scalar;
      case "type_identifier":
        return this.#named(node.text);
      case "struct_specifier":
      case "union_specifier": {
        const name = node.childForFieldName("name");
        if (name !== null) return this.#record(name.text);
        const body = node.childForFieldName("body");
        return body === null ? unknown : { kind: "record", record: this.#userRecord("", body) };
      }
      default:
        return unknown;
    }
  }

  #named(name: string): CType {
    const definition = this.#typedefs.get(name);
    if (definition !== undefined) {
      const declarator = definition
        .childrenForFieldName("declarator")
        .find((candidate) => declaredName(candidate)?.text === name);
      // A typedef that names itself would never end; C refuses it, but it is parsed before C sees it.
      this.#typedefs.delete(name);
      const type = this.declared(definition, declarator ?? null);
      this.#typedefs.set(name, definition);
      return type;
    }
    if (SCALARS.test(name)) return scalar;
    const btf = this.#btf();
    const id = btf?.find(name, "typedef") ?? 0;
    return btf === null || id === 0 ? unknown : this.#kernelType(btf, id);
  }

  #record(tag: string): CType {
    let type = this.#recordCache.get(tag);
    if (type === undefined) {
      type = this.#findRecord(tag);
      this.#recordCache.set(tag, type);
    }
    return type;
  }

  #findRecord(tag: string): CType {
    const own = this.#records.get(tag);
    const body = own?.childForFieldName("body");
    if (body !== null && body !== undefined) return { kind: "record", record: this.#userRecord(tag, body) };
    if (tag.startsWith("tracepoint__") || tag.startsWith("bpf_iter__")) {
      return { kind: "record", record: { name: tag, origin: "context", member: () => ({ type: unknown }) } };
    }
    const btf = this.#btf();
    const id = btf?.find(tag, "struct", "union") ?? 0;
    return btf === null || id === 0 ? unknown : this.#kernelType(btf, id);
  }

  #userRecord(name: string, body: SyntaxNode): RecordType {
    let members: Map<string, MemberType> | undefined;
    const definition = body.parent ?? undefined;
    const own = isPacketHeader(this.#text, body) ? "packet" : "user";
    return {
      name,
      origin: CONTEXTS.has(name) ? "context" : own,
      definition,
      member: (wanted) => {
        members ??= this.#userMembers(body);
        return members.get(wanted);
      },
    };
  }

  #userMembers(body: SyntaxNode): Map<string, MemberType> {
    const members = new Map<string, MemberType>();
    for (const field of body.namedChildren) {
      if (field.type !== "field_declaration") continue;
      const declarators = field.childrenForFieldName("declarator");
      for (const declarator of declarators) {
        const name = declaredName(declarator);
        if (name !== undefined) members.set(name.text, { type: this.declared(field, declarator) });
      }
      const inner =
        declarators.length === 0 ? field.childForFieldName("type")?.childForFieldName("body") : null;
      if (inner !== null && inner !== undefined) {
        for (const [name, member] of this.#userMembers(inner)) members.set(name, member);
      }
    }
    return members;
  }

  #kernelType(btf: Btf, id: number): CType {
    const type = btf.type(id);
    switch (type.kind) {
      case "ptr":
        return this.#kernelPointer(btf, type.type);
      case "array":
        return { kind: "array", of: this.#kernelType(btf, type.element) };
      case "struct":
      case "union":
        return { kind: "record", record: this.#kernelRecord(btf, id, type) };
      case "fwd":
        return this.#record(type.name);
      case "typedef":
      case "const":
      case "volatile":
      case "restrict":
      case "type_tag":
        return this.#kernelType(btf, type.type);
      case "int":
      case "float":
      case "enum":
      case "enum64":
        return scalar;
      default:
        return unknown;
    }
  }

  /** The pointee is looked at on demand: kernel types point at one another in circles. */
  #kernelPointer(btf: Btf, pointee: number): CType {
    const table = this;
    let isUser = false;
    for (let at = btf.type(pointee); at.kind === "type_tag"; at = btf.type(at.type))
      isUser ||= at.name === "user";
    let to: CType | undefined;
    return {
      kind: "pointer",
      isUser,
      get to() {
        to ??= table.#kernelType(btf, pointee);
        return to;
      },
    };
  }

  #kernelRecord(btf: Btf, id: number, type: BtfType & { readonly kind: "struct" | "union" }): RecordType {
    const name = btf.nameOf(id);
    return {
      name,
      origin: CONTEXTS.has(name) ? "context" : "kernel",
      member: (wanted) => this.#kernelMember(btf, type.members, wanted, 0),
    };
  }

  #kernelMember(
    btf: Btf,
    members: (BtfType & { readonly kind: "struct" })["members"],
    wanted: string,
    base: number,
  ): MemberType | undefined {
    for (const { name, type, bitOffset, bitSize } of members) {
      if (name === wanted) {
        const bits =
          bitSize === 0
            ? undefined
            : { offset: base + bitOffset, size: bitSize, isSigned: isSigned(btf, type) };
        return { type: this.#kernelType(btf, type), bits };
      }
      const inner = name === "" ? btf.type(btf.resolve(type)) : undefined;
      if (inner?.kind === "struct" || inner?.kind === "union") {
        const found = this.#kernelMember(btf, inner.members, wanted, base + bitOffset);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }
}

const SCALARS =
  /^(?:(?:__)?[us](?:8|16|32|64)|u?int\d+_t|bool|s?size_t|[pug]id_t|__[bl]e(?:16|32|64)|uintptr_t)$/;

function isSigned(btf: Btf, id: number): boolean {
  const type = btf.type(btf.resolve(id));
  return (type.kind === "int" || type.kind === "enum") && type.signed;
}

/** Adds a declarator's pointers and arrays to a base type. */
function shaped(base: CType, declarator: SyntaxNode, isUser: boolean): CType {
  const inner = declarator.childForFieldName("declarator");
  switch (declarator.type) {
    case "pointer_declarator":
    case "abstract_pointer_declarator": {
      const pointer: CType = { kind: "pointer", to: base, isUser };
      return inner === null ? pointer : shaped(pointer, inner, isUser);
    }
    case "array_declarator":
    case "abstract_array_declarator": {
      const array: CType = { kind: "array", of: base };
      return inner === null ? array : shaped(array, inner, isUser);
    }
    case "function_declarator":
    case "abstract_function_declarator":
      return unknown;
    case "parenthesized_declarator":
    case "abstract_parenthesized_declarator":
    case "attributed_declarator": {
      const child = declarator.namedChildren.find(
        (node) => node.type.endsWith("declarator") || node.type === "identifier",
      );
      return child === undefined ? base : shaped(base, child, isUser);
    }
    case "init_declarator":
      return inner === null ? base : shaped(base, inner, isUser);
    default:
      return base;
  }
}

/** The identifier inside a declarator. */
export function declaredName(node: SyntaxNode): SyntaxNode | undefined {
  let at: SyntaxNode | null = node;
  while (at !== null) {
    if (at.type === "identifier" || at.type === "type_identifier" || at.type === "field_identifier")
      return at;
    const inner: SyntaxNode | null = at.childForFieldName("declarator");
    at = inner ?? at.namedChildren.find((child) => /(?:declarator|identifier)$/.test(child.type)) ?? null;
  }
  return undefined;
}
