import type { Btf, BtfMember, BtfType } from "../framework/object/btf.ts";
import { type CType, type MemberType, type RecordType, unknown } from "./c-type.ts";
import type { Range } from "./lexer.ts";
import { normalize } from "./normalize.ts";
import { parseC, type SyntaxNode } from "./parser.ts";
import { attributesOf, layoutOf, NO_LAYOUT, type PlacedField } from "./record-layout.ts";
import { TypeofOperands } from "./typeof-operands.ts";

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

function isContext(tag: string): boolean {
  return CONTEXTS.has(tag) || tag.startsWith("tracepoint__") || tag.startsWith("bpf_iter__");
}

/** How BPF_PACKET_HEADER ends, here and in sources that spell BCC's own definition out. */
const PACKET_MARK = /annotate\s*\(\s*"rx:packet"\s*\)|deprecated\s*\(\s*"packet"\s*\)/;

/** Gives the type of the expression in a `typeof`, at an offset of the source. */
export type TypeofOperand = (operand: SyntaxNode, at: number) => CType;

/** Types of a source: its own declarations, and the kernel's where it declares none. */
export class TypeTable {
  /** Types of `typeof` operands; unknown until somebody who can type expressions sets it. */
  typeofOperand: TypeofOperand = () => unknown;
  readonly #btf: () => Btf | null;
  readonly #text: string;
  readonly #source: string;
  readonly #typeofs: ReadonlyMap<number, Range>;
  #operands: TypeofOperands | undefined;
  readonly #records = new Map<string, SyntaxNode>();
  readonly #typedefs = new Map<string, SyntaxNode>();
  readonly #named = new Map<string, CType>();
  readonly #byTag = new Map<string, CType>();
  readonly #userRecords = new Map<SyntaxNode, RecordType>();
  readonly #kernelRecords = new Map<number, CType>();
  readonly #spelled = new Map<string, CType>();

  /** @param text the text with its qualifiers, of the same offsets as the tree's */
  constructor(
    root: SyntaxNode,
    text: string,
    btf: () => Btf | null,
    typeofs: ReadonlyMap<number, Range> = new Map(),
  ) {
    this.#btf = btf;
    this.#text = text;
    this.#source = root.source;
    this.#typeofs = typeofs;
    this.#collect(root);
  }

  #collect(root: SyntaxNode): void {
    for (const node of root.descendantsOfType(["struct_specifier", "union_specifier", "type_definition"])) {
      if (node.type === "type_definition") {
        for (const declarator of node.childrenForFieldName("declarator")) {
          const name = declaredName(declarator);
          if (name !== undefined) this.#typedefs.set(name.text, node);
        }
        continue;
      }
      const name = node.childForFieldName("name");
      if (name !== null && node.childForFieldName("body") !== null) this.#records.set(name.text, node);
    }
  }

  /** Whether a name is a type: the source's typedef, or a number's usual one. */
  isTypedef(name: string): boolean {
    return this.#typedefs.has(name) || scalarNames.has(name);
  }

  /** Tags that the source defines itself, each with its record. */
  ownRecords(): ReadonlyMap<string, SyntaxNode> {
    return this.#records;
  }

  /** The kernel's record of a tag, whatever the source says of it; undefined when there is none. */
  kernelRecordOf(tag: string): RecordType | undefined {
    const btf = this.#btf();
    const id = btf?.find(tag, "struct", "union") ?? 0;
    if (btf === null || id === 0) return undefined;
    const type = this.#kernelById(btf, id);
    return type.kind === "record" ? type.record : undefined;
  }

  /** The type that a declaration gives to one of its declarators; `node` has the specifiers. */
  declared(node: SyntaxNode, declarator: SyntaxNode | null): CType {
    const base = this.#specified(node.childForFieldName("type"));
    const isUser =
      node.source === this.#source &&
      /\b__user\b/.test(this.#text.slice(node.startIndex, (declarator ?? node).endIndex));
    return declarator === null ? base : this.#shaped(base, declarator, isUser);
  }

  /** A type as text, for instance a table's value. */
  spelled(text: string): CType {
    let type = this.#spelled.get(text);
    if (type === undefined) {
      const { root } = parseC(`${normalize(text).text} x;`);
      const node = root.descendantsOfType("declaration")[0];
      const declarator = node?.childForFieldName("declarator");
      type = node === undefined ? unknown : this.declared(node, declarator ?? null);
      this.#spelled.set(text, type);
    }
    return type;
  }

  /** The type of a typedef's or a number's name, as in a cast; unknown for all others. */
  named(name: string): CType {
    let type = this.#named.get(name);
    if (type === undefined) {
      // A typedef that names itself would never end; C refuses it, but it is parsed before C sees it.
      this.#named.set(name, unknown);
      type = this.#findNamed(name);
      this.#named.set(name, type);
    }
    return type;
  }

  #findNamed(name: string): CType {
    const definition = this.#typedefs.get(name);
    if (definition !== undefined) {
      const declarator = definition
        .childrenForFieldName("declarator")
        .find((candidate) => declaredName(candidate)?.text === name);
      return this.declared(definition, declarator ?? null);
    }
    const number = scalarNames.get(name);
    if (number !== undefined) return number;
    const btf = this.#btf();
    const id = btf?.find(name, "typedef") ?? 0;
    return btf === null || id === 0 ? unknown : this.#kernelType(btf, id);
  }

  #specified(node: SyntaxNode | null): CType {
    switch (node?.type) {
      case "primitive_type":
        return this.#typedefs.has(node.text) ? this.named(node.text) : numberOf(node.text);
      case "sized_type_specifier":
        return numberOf(node.text);
      case "enum_specifier":
        return { kind: "scalar", size: 4, isSigned: false };
      case "type_identifier":
        return this.#identified(node);
      case "struct_specifier":
      case "union_specifier": {
        const name = node.childForFieldName("name");
        const body = node.childForFieldName("body");
        if (name !== null && (body === null || node.source === this.#source)) return this.#tagged(name.text);
        return body === null ? unknown : { kind: "record", record: this.#userRecord(node) };
      }
      default:
        return unknown;
    }
  }

  #identified(node: SyntaxNode): CType {
    const operand = node.source === this.#source ? this.#typeofs.get(node.startIndex) : undefined;
    if (operand === undefined) return this.named(node.text);
    this.#operands ??= new TypeofOperands(this.#text, [...this.#typeofs.values()]);
    const size = this.#operands.parsed(operand);
    const type = size?.childForFieldName("type");
    if (type !== null && type !== undefined) return this.declared(type, type.childForFieldName("declarator"));
    const value = size?.childForFieldName("value");
    return value === null || value === undefined ? unknown : this.typeofOperand(value, operand.start);
  }

  #tagged(tag: string): CType {
    let type = this.#byTag.get(tag);
    if (type === undefined) {
      type = this.#findTagged(tag);
      this.#byTag.set(tag, type);
    }
    return type;
  }

  #findTagged(tag: string): CType {
    const own = this.#records.get(tag);
    if (own !== undefined) return { kind: "record", record: this.#userRecord(own) };
    const isNotKernels = tag.startsWith("tracepoint__") || tag.startsWith("bpf_iter__");
    const record = isNotKernels ? undefined : this.kernelRecordOf(tag);
    if (record !== undefined) return { kind: "record", record };
    if (!isContext(tag)) return unknown;
    const member = () => ({ type: unknown, offset: undefined });
    return {
      kind: "record",
      record: {
        name: tag,
        origin: "context",
        size: undefined,
        align: undefined,
        member,
        names: () => [],
      },
    };
  }

  #userRecord(node: SyntaxNode): RecordType {
    const known = this.#userRecords.get(node);
    if (known !== undefined) return known;
    const name = node.childForFieldName("name")?.text ?? "";
    let layout: ReturnType<typeof layoutOf> | undefined;
    const laidOut = () => {
      if (layout !== undefined) return layout;
      // One that holds itself has no layout, and must not be asked for it again and again.
      layout = NO_LAYOUT;
      layout = layoutOf(this.#fieldsOf(node), {
        isUnion: node.type === "union_specifier",
        ...(node.source === this.#source ? attributesOf(this.#text, node) : {}),
      });
      return layout;
    };
    const record: RecordType = {
      name,
      origin: isContext(name) ? "context" : this.#isPacketHeader(node) ? "packet" : "user",
      definition: node,
      get size() {
        return laidOut().size;
      },
      get align() {
        return laidOut().align;
      },
      member: (wanted) => laidOut().members.get(wanted),
      names: () => laidOut().order,
    };
    this.#userRecords.set(node, record);
    return record;
  }

  /** Attributes are blanks in the tree, so the mark is looked for in the text around the struct's body. */
  #isPacketHeader(node: SyntaxNode): boolean {
    const body = node.childForFieldName("body");
    if (body === null || node.source !== this.#source) return false;
    const semicolon = this.#text.indexOf(";", body.endIndex);
    const behind = this.#text.slice(body.endIndex, semicolon < 0 ? this.#text.length : semicolon);
    return PACKET_MARK.test(behind) || PACKET_MARK.test(this.#text.slice(node.startIndex, body.startIndex));
  }

  #fieldsOf(record: SyntaxNode): readonly PlacedField[] {
    const fields: PlacedField[] = [];
    for (const node of record.childForFieldName("body")?.namedChildren ?? []) {
      if (node.type !== "field_declaration") continue;
      let isPlain = true;
      for (const [index, child] of node.children.entries()) {
        if (child.field !== "declarator") continue;
        isPlain = false;
        const clause = node.children[index + 1];
        const width = clause?.type === "bitfield_clause" ? constantOf(clause.namedChildren[0]) : null;
        fields.push({
          name: declaredName(child)?.text ?? "",
          type: this.declared(node, child),
          width,
        });
      }
      // Without a name the members are the outer record's own.
      if (isPlain) fields.push({ name: "", type: this.declared(node, null), width: null });
    }
    return fields;
  }

  #kernelById(btf: Btf, id: number): CType {
    let type = this.#kernelRecords.get(id);
    if (type === undefined) {
      const found = btf.type(id);
      if (found.kind !== "struct" && found.kind !== "union") return unknown;
      type = { kind: "record", record: this.#kernelRecord(btf, id, found) };
      this.#kernelRecords.set(id, type);
    }
    return type;
  }

  #kernelType(btf: Btf, id: number): CType {
    const type = btf.type(id);
    switch (type.kind) {
      case "ptr":
        return this.#kernelPointer(btf, type.type);
      case "array":
        return { kind: "array", of: this.#kernelType(btf, type.element), length: type.length };
      case "struct":
      case "union":
        return this.#kernelById(btf, id);
      case "fwd":
        return this.#tagged(type.name);
      case "typedef":
      case "const":
      case "volatile":
      case "restrict":
      case "type_tag":
        return this.#kernelType(btf, type.type);
      case "int":
        return { kind: "scalar", size: type.size, isSigned: type.signed };
      case "float":
        return { kind: "scalar", size: type.size, isSigned: true };
      case "enum":
      case "enum64":
        return { kind: "scalar", size: type.size, isSigned: type.signed };
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
        to ??= table.#kernelPointee(btf, pointee);
        return to;
      },
    };
  }

  /** A tag that the source defines means the source's definition, also where the kernel's types point to it. */
  #kernelPointee(btf: Btf, id: number): CType {
    const target = btf.resolve(id);
    const kind = btf.kindOf(target);
    const isRecord = kind === "struct" || kind === "union" || kind === "fwd";
    const tag = isRecord ? btf.nameOf(target) : "";
    return this.#records.has(tag) ? this.#tagged(tag) : this.#kernelType(btf, id);
  }

  #kernelRecord(btf: Btf, id: number, type: BtfType & { readonly kind: "struct" | "union" }): RecordType {
    const name = btf.nameOf(id);
    return {
      name,
      origin: isContext(name) ? "context" : "kernel",
      size: type.size,
      align: btf.alignOf(id),
      member: (wanted) => this.#kernelMember(btf, type.members, wanted, 0),
      names: () => type.members.map((member) => member.name),
    };
  }

  #kernelMember(
    btf: Btf,
    members: readonly BtfMember[],
    wanted: string,
    base: number,
  ): MemberType | undefined {
    for (const { name, type, bitOffset, bitSize } of members) {
      const offset = base + bitOffset;
      if (name === wanted) {
        const bits = bitSize === 0 ? undefined : { offset, size: bitSize, isSigned: isSigned(btf, type) };
        return { type: this.#kernelType(btf, type), offset, bits };
      }
      const inner = name === "" ? btf.type(btf.resolve(type)) : undefined;
      if (inner?.kind === "struct" || inner?.kind === "union") {
        const found = this.#kernelMember(btf, inner.members, wanted, offset);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  /** Adds a declarator's pointers and arrays to a base type. */
  #shaped(base: CType, declarator: SyntaxNode, isUser: boolean): CType {
    const inner = declarator.childForFieldName("declarator");
    switch (declarator.type) {
      case "pointer_declarator":
      case "abstract_pointer_declarator": {
        const pointer: CType = { kind: "pointer", to: base, isUser };
        return inner === null ? pointer : this.#shaped(pointer, inner, isUser);
      }
      case "array_declarator":
      case "abstract_array_declarator": {
        const length = constantOf(declarator.childForFieldName("size") ?? undefined);
        const array: CType = { kind: "array", of: base, length: length ?? undefined };
        return inner === null ? array : this.#shaped(array, inner, isUser);
      }
      case "function_declarator":
      case "abstract_function_declarator":
        // A pointer to a function is a pointer; what it returns nobody asks, for programs cannot call it.
        return inner === null || inner.type === "identifier" ? unknown : this.#shaped(unknown, inner, isUser);
      case "parenthesized_declarator":
      case "abstract_parenthesized_declarator":
      case "attributed_declarator": {
        const child = declarator.namedChildren.find(
          (node) => node.type.endsWith("declarator") || node.type === "identifier",
        );
        return child === undefined ? base : this.#shaped(base, child, isUser);
      }
      case "init_declarator":
        return inner === null ? base : this.#shaped(base, inner, isUser);
      default:
        return base;
    }
  }
}

const SIZES: readonly (readonly [RegExp, number])[] = [
  [/__int128/, 16],
  [/\blong\b|\bdouble\b|_t\b/, 8],
  [/\bchar\b|\bbool\b|_Bool/, 1],
  [/\bshort\b/, 2],
  [/./, 4],
];

/** A number by the words of its type. */
function numberOf(words: string): CType {
  if (words === "void") return unknown;
  const known = scalarNames.get(words);
  if (known !== undefined) return known;
  const size = SIZES.find(([pattern]) => pattern.test(words))?.[1] ?? 0;
  return { kind: "scalar", size, isSigned: !/\bunsigned\b|\bbool\b|_Bool/.test(words) };
}

/** Names of numbers that every source may use, with their types. */
const scalarNames: ReadonlyMap<string, CType> = new Map(
  [8, 16, 32, 64].flatMap((bits): [string, CType][] => {
    const signed: CType = { kind: "scalar", size: bits / 8, isSigned: true };
    const unsigned: CType = { kind: "scalar", size: bits / 8, isSigned: false };
    return [
      [`s${bits}`, signed],
      [`__s${bits}`, signed],
      [`int${bits}_t`, signed],
      [`u${bits}`, unsigned],
      [`__u${bits}`, unsigned],
      [`uint${bits}_t`, unsigned],
      [`__be${bits}`, unsigned],
      [`__le${bits}`, unsigned],
      ...(bits === 32
        ? ([
            ["pid_t", signed],
            ["uid_t", unsigned],
            ["gid_t", unsigned],
          ] as [string, CType][])
        : []),
      ...(bits === 64
        ? ([
            ["ssize_t", signed],
            ["size_t", unsigned],
            ["uintptr_t", unsigned],
          ] as [string, CType][])
        : []),
    ];
  }),
);

function isSigned(btf: Btf, id: number): boolean {
  const type = btf.type(btf.resolve(id));
  return (type.kind === "int" || type.kind === "enum") && type.signed;
}

/** The value of a number; null for what would have to be computed. */
function constantOf(node: SyntaxNode | undefined): number | null {
  if (node?.type !== "number_literal") return null;
  const value = Number(node.text.replace(/[uUlL]+$/, ""));
  return Number.isSafeInteger(value) ? value : null;
}

/** The identifier inside a declarator. */
export function declaredName(node: SyntaxNode): SyntaxNode | undefined {
  let at: SyntaxNode | null = node;
  while (at !== null) {
    if (/^(?:identifier|type_identifier|field_identifier|primitive_type)$/.test(at.type)) return at;
    const inner: SyntaxNode | null = at.childForFieldName("declarator");
    at = inner ?? at.namedChildren.find((child) => /(?:declarator|identifier)$/.test(child.type)) ?? null;
  }
  return undefined;
}
