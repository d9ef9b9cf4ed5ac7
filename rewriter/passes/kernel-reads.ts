import type { Edit } from "../edits.ts";
import { isLibbpf } from "../facts.ts";
import type { SyntaxNode } from "../parser.ts";
import { external, type FunctionRole, from, isArrow, Origins, pointee } from "../provenance.ts";
import { type BitPlace, type CType, TypeTable } from "../types.ts";
import type { PassInput, PassResult } from "./index.ts";
import { isSystemCall } from "./probe-functions.ts";

/**
 * Loads through pointers that the verifier does not know become calls of a read helper.
 *
 * A load is the longest lvalue from one such pointer: `p->a.b[i]` reads once. Stores, operands of `&`, and operands of
 * `sizeof` stay as written; so do members that are arrays, which only give their address. libbpf's dialect has no
 * implicit reads.
 */
export function kernelReads({ facts, tables, kernelTypes }: PassInput): PassResult {
  if (isLibbpf(facts)) return { edits: [], diagnostics: [] };
  const { root } = facts;
  const types = new TypeTable(root, facts.text, kernelTypes);
  const statics = new Set(facts.functions.filter((fact) => fact.isHelper).map((fact) => fact.name));
  const origins = new Origins(root, types, {
    tables: (name) => {
      const table = tables.get(name);
      return table === undefined ? undefined : types.spelled(table.value);
    },
    roleOf: (name, contextType) => (statics.has(name) ? undefined : roleOf(name, contextType)),
  });
  const edits: Edit[] = [];
  for (const node of root.descendantsOfType([
    "field_expression",
    "subscript_expression",
    "pointer_expression",
  ])) {
    const reader = readerFor(node, origins);
    if (reader === undefined) continue;
    const load = longestLvalue(node, origins);
    if (!isLoaded(load, origins)) continue;
    edits.push(...readEdits(load, reader, origins));
  }
  return { edits, diagnostics: [] };
}

const DIRECT = /^(?:kfunc|kretfunc|lsm|bpf_iter|kmod_ret)__/;
const NETWORK = /^(?:__sk_buff|xdp_md|bpf_sock\w*|sk_msg_md|bpf_sk_lookup|sk_reuseport_md)$/;

/** What a program runs on, by its name and the type of its context. */
function roleOf(name: string, contextType: CType): FunctionRole {
  const context = pointee(contextType);
  if (DIRECT.test(name)) return { context: "trusted", parameters: from.trusted };
  if (context.kind === "record" && NETWORK.test(context.record.name))
    return { context: "network", parameters: from.packet };
  return { context: "tracing", parameters: isSystemCall(name) ? from.user : from.either };
}

/** The read macro for an expression that dereferences a pointer from outside; undefined for all others. */
function readerFor(node: SyntaxNode, origins: Origins): string | undefined {
  const argument = node.childForFieldName("argument");
  if (argument === null) return undefined;
  if (node.type === "field_expression" && !isArrow(node)) return undefined;
  if (node.type === "pointer_expression" && node.children[0]?.type !== "*") return undefined;
  const { type, origin } = origins.judge(argument);
  if (type.kind === "array") return undefined;
  return readerOf(type, origin);
}

function readerOf(type: CType, origin: number): string | undefined {
  const target = pointee(type);
  const isKernelRecord = target.kind === "record" && target.record.origin === "kernel";
  if (target.kind === "record" && /^(?:context|packet)$/.test(target.record.origin)) return undefined;
  if ((origin & external) === 0) {
    // Nothing says where it comes from: a pointer to a kernel structure points into the kernel.
    return origin === 0 && isKernelRecord ? "__rx_load_kernel" : undefined;
  }
  // What may also be packet, context or trusted memory is loaded as the verifier allows it.
  if ((origin & (from.context | from.packet)) !== 0) return undefined;
  if ((origin & from.kernel) !== 0 && (origin & from.user) === 0) return "__rx_load_kernel";
  if ((origin & from.user) !== 0 && (origin & from.kernel) === 0) return "__rx_load_user";
  return isKernelRecord ? "__rx_load_kernel" : "__rx_load_any";
}

/** Climbs from a dereference to the whole lvalue: members and elements of what it reaches without another pointer. */
function longestLvalue(node: SyntaxNode, origins: Origins): SyntaxNode {
  let at = node;
  for (let parent = at.parent; parent !== null; parent = at.parent) {
    const isArgument = parent.childForFieldName("argument")?.id === at.id;
    const climbs =
      (parent.type === "parenthesized_expression" &&
        parent.namedChildren.length === 1 &&
        isLvalueUse(parent)) ||
      (parent.type === "field_expression" && isArgument && !isArrow(parent)) ||
      (parent.type === "subscript_expression" && isArgument && origins.judge(at).type.kind === "array");
    if (!climbs) return at;
    at = parent;
  }
  return at;
}

/** Brackets belong to the lvalue when a member or element is taken of them. */
function isLvalueUse(brackets: SyntaxNode): boolean {
  const parent = brackets.parent;
  return (
    parent?.childForFieldName("argument")?.id === brackets.id &&
    /^(?:field|subscript)_expression$/.test(parent.type)
  );
}

/** Whether the lvalue's value is asked for. */
function isLoaded(node: SyntaxNode, origins: Origins): boolean {
  if (origins.judge(node).type.kind === "array") return false;
  let at = node;
  let parent = at.parent;
  while (parent?.type === "parenthesized_expression") {
    at = parent;
    parent = at.parent;
  }
  if (parent === null) return false;
  switch (parent.type) {
    case "pointer_expression":
      return parent.children[0]?.type !== "&";
    case "assignment_expression":
      return parent.childForFieldName("left")?.id !== at.id;
    case "update_expression":
    case "sizeof_expression":
    case "expression_statement":
      // The value of a statement expression is its last statement's.
      return parent.type === "expression_statement" && isBlockValue(parent);
    case "call_expression":
      return parent.childForFieldName("function")?.id !== at.id;
    default:
      return true;
  }
}

function isBlockValue(statement: SyntaxNode): boolean {
  const block = statement.parent;
  return (
    block?.parent?.type === "parenthesized_expression" && block.namedChildren.at(-1)?.id === statement.id
  );
}

function readEdits(load: SyntaxNode, reader: string, origins: Origins): readonly Edit[] {
  const bits = bitFieldOf(load, origins);
  if (bits === undefined) {
    return [{ kind: "wrap", start: load.startIndex, end: load.endIndex, before: `${reader}(`, after: ")" }];
  }
  return bitFieldEdits(load, reader, bits);
}

function bitFieldOf(load: SyntaxNode, origins: Origins): BitPlace | undefined {
  if (load.type !== "field_expression") return undefined;
  const found = origins.memberOf(load);
  return found?.record.record.member(found.name)?.bits;
}

/**
 * A bit field has no address: the bytes that hold it are read from the record's address, and the field is shifted out.
 * `p->flag` becomes `__rx_bits(reader, (p), ...)` and `p->in.flag` `__rx_bits(reader, &(p->in), ...)`.
 */
function bitFieldEdits(load: SyntaxNode, reader: string, bits: BitPlace): readonly Edit[] {
  const argument = load.childForFieldName("argument")!;
  const firstByte = bits.offset >> 3;
  const bytes = ((bits.offset + bits.size + 7) >> 3) - firstByte;
  const shift = bits.offset - firstByte * 8;
  const name = bits.isSigned ? "__rx_signed_bits" : "__rx_bits";
  const address = isArrow(load) ? "(" : "&(";
  return [
    {
      kind: "wrap",
      start: argument.startIndex,
      end: argument.endIndex,
      before: `${name}(${reader}_bytes, ${address}`,
      after: ")",
    },
    {
      kind: "replace",
      start: argument.endIndex,
      end: load.endIndex,
      text: `, ${firstByte}, ${bytes}, ${shift}, ${bits.size})`,
    },
  ];
}
