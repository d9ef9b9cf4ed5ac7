import type { FunctionNode } from "../bindings.ts";
import { type BitPlace, type CType, pointee, type RecordType } from "../c-type.ts";
import type { Edit } from "../edits.ts";
import { isArrow } from "../expressions.ts";
import { isLibbpf } from "../facts.ts";
import { onOneLine, type Range } from "../lexer.ts";
import type { SyntaxNode } from "../parser.ts";
import { checked, external, type FunctionRole, from, Origins } from "../provenance.ts";
import type { TypeTable } from "../types.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";
import { isSystemCall } from "./probe-functions.ts";

/**
 * Loads through pointers that the verifier does not know become calls of a read helper.
 *
 * A load is the longest lvalue from one such pointer: `p->a.b[i]` reads once. Stores, operands of `&`, and operands of
 * `sizeof` stay as written; so do members that are arrays, which only give their address. libbpf's dialect has no
 * implicit reads.
 */
export function kernelReads({ facts, tables, expressions: typed }: PassInput): PassResult {
  if (isLibbpf(facts)) return { edits: [], diagnostics: [] };
  const { root, text } = facts;
  const expressions = typed();
  const { bindings } = expressions;
  const helpers = new Set(facts.functions.filter((fact) => fact.isHelper).map((fact) => fact.name));
  const roles = new Map(
    bindings.functions.map((found): [string, FunctionRole | undefined] => {
      const first = found.parameters[0];
      const type: CType = first === undefined ? { kind: "unknown" } : expressions.ofVariable(first);
      return [found.name, helpers.has(found.name) ? undefined : roleOf(found.name, type)];
    }),
  );
  const origins = new Origins(root, expressions, {
    isTable: (name) => tables.has(name),
    roleOf: (name) => roles.get(name),
  });
  const reads = new Reads(text, origins, surroundings(root, bindings.functions, roles));
  const { edits, diagnostics } = reads.find(root);
  const notes = [...reads.outside].flatMap((record) => layoutNote(record, expressions.types));
  return { edits, diagnostics: [...diagnostics, ...notes] };
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

/** What a function is called from, directly or by others. */
type Surroundings = "tracing" | "network" | "both";

/** Where each function runs. One that nothing calls is taken for a tracing program's. */
function surroundings(
  root: SyntaxNode,
  functions: readonly FunctionNode[],
  roles: ReadonlyMap<string, FunctionRole | undefined>,
): ReadonlyMap<SyntaxNode, Surroundings> {
  const callees = calleesOf(root, functions);
  const reached = { tracing: new Set<string>(), network: new Set<string>() };
  for (const [name, role] of roles) {
    if (role === undefined) continue;
    const set = role.context === "network" ? reached.network : reached.tracing;
    for (const queue = [name]; queue.length > 0; ) {
      const next = queue.pop()!;
      if (set.has(next)) continue;
      set.add(next);
      queue.push(...(callees.get(next) ?? []));
    }
  }
  return new Map(
    functions.map(({ name, node }) => {
      if (!reached.network.has(name)) return [node, "tracing"];
      return [node, reached.tracing.has(name) ? "both" : "network"];
    }),
  );
}

/** What each function calls, by name. In a text without some of its braces functions lie in one another. */
function calleesOf(
  root: SyntaxNode,
  functions: readonly FunctionNode[],
): ReadonlyMap<string, readonly string[]> {
  const names = new Map(functions.map(({ name, node }) => [node, name]));
  const callees = new Map<string, string[]>(functions.map(({ name }) => [name, []]));
  const around: SyntaxNode[] = [];
  for (const node of root.descendantsOfType(["function_definition", "call_expression"])) {
    while (around.length > 0 && around.at(-1)!.endIndex <= node.startIndex) around.pop();
    const name = around.length === 0 ? undefined : names.get(around.at(-1)!);
    if (node.type === "function_definition") around.push(node);
    else if (name !== undefined) callees.get(name)!.push(node.childForFieldName("function")?.text ?? "");
  }
  return callees;
}

type Reader = "__rx_load_kernel" | "__rx_load_user" | "__rx_load_any";

/** A structure that the source defines as the kernel has it, but otherwise: loads go by the source's. */
function layoutNote(record: RecordType, types: TypeTable): readonly PassDiagnostic[] {
  const kernel = record.name === "" ? undefined : types.kernelRecordOf(record.name);
  const at = record.definition?.childForFieldName("name");
  if (kernel === undefined || at === undefined || at === null) return [];
  const moved = record.names().find((name) => {
    const own = record.member(name)?.offset;
    const theirs = kernel.member(name)?.offset;
    return own !== undefined && theirs !== undefined && own !== theirs;
  });
  if (moved === undefined) return [];
  const [own, theirs] = [record, kernel].map((side) => placeInWords(side.member(moved)!.offset!));
  return [
    {
      ...rangeOf(at),
      severity: "note",
      code: "KERNEL_LAYOUT",
      message: `the kernel's struct ${record.name} has "${moved}" at ${theirs}, this one at ${own}; memory is read as this one says`,
      hint: "without a definition in the source, the running kernel's is used",
    },
  ];
}

function placeInWords(bit: number): string {
  return bit % 8 === 0 ? `byte ${bit / 8}` : `bit ${bit}`;
}

/** Calls whose arguments are looked at and not computed. */
const UNEVALUATED = /^__builtin_(?:constant_p|types_compatible_p|preserve_\w+|object_size)$/;

class Reads {
  /** Structures of the source's that are read from memory outside the program. */
  readonly outside = new Set<RecordType>();
  readonly #text: string;
  readonly #origins: Origins;
  readonly #surroundings: ReadonlyMap<SyntaxNode, Surroundings>;
  readonly #edits: Edit[] = [];
  readonly #diagnostics: PassDiagnostic[] = [];
  /** Where the current function runs. */
  #around: Surroundings = "tracing";

  constructor(text: string, origins: Origins, around: ReadonlyMap<SyntaxNode, Surroundings>) {
    this.#text = text;
    this.#origins = origins;
    this.#surroundings = around;
  }

  find(root: SyntaxNode): PassResult {
    let unevaluated = 0;
    for (const node of root.descendantsOfType(NODES)) {
      if (node.startIndex < unevaluated) continue;
      if (node.type === "function_definition") this.#around = this.#surroundings.get(node) ?? "tracing";
      else if (node.type === "call_expression") {
        const callee = node.childForFieldName("function")?.text ?? "";
        if (UNEVALUATED.test(callee)) unevaluated = node.endIndex;
        else if (REGISTER.test(callee)) this.#visitRegister(node);
      } else if (OPERATORS.has(node.type)) unevaluated = node.endIndex;
      else this.#visitAccess(node);
    }
    return { edits: this.#edits, diagnostics: this.#diagnostics };
  }

  /** `PT_REGS_PARM1(regs)` of registers that are not the context: those of a process in a system call. */
  #visitRegister(node: SyntaxNode): void {
    const registers = node.childForFieldName("arguments")?.namedChildren[0];
    const origin = registers === undefined ? 0 : this.#origins.of(registers);
    if ((origin & external) === 0 || (origin & checked) !== 0 || useOf(node) !== "value") return;
    this.#edits.push(wrap(node, `${this.#reader(origin)}(`));
  }

  #visitAccess(node: SyntaxNode): void {
    const pointer = pointerOf(node, this.#origins);
    if (pointer === undefined) return;
    const load = longestLvalue(node, this.#origins);
    const target = pointee(this.#origins.expressions.of(pointer));
    // A pointer to a packet header is an offset: those accesses are another pass's.
    if (target.kind === "record" && target.record.origin === "packet") return;
    const origin = this.#origins.of(pointer);
    const use = useOf(load);
    if (use === "store") return this.#checkStore(load, origin);
    if (use !== "value" || this.#origins.expressions.of(load).kind === "array") return;
    const reader = this.#readerOf(target, origin, load, node);
    const isOutside = reader !== undefined || (origin & from.trusted) !== 0;
    if (isOutside && target.kind === "record" && target.record.origin === "user")
      this.outside.add(target.record);
    if (reader !== undefined) this.#read(load, reader);
  }

  /** How to load through a pointer to `target`; undefined for what the verifier lets programs load. */
  #readerOf(target: CType, origin: number, load: SyntaxNode, root: SyntaxNode): Reader | undefined {
    const isOutside = (origin & external) !== 0;
    if ((origin & checked) !== 0) {
      if (isOutside) this.#mixed(load, origin);
      return undefined;
    }
    const isContext = target.kind === "record" && target.record.origin === "context";
    if (isContext && !isOutside) return undefined;
    if (this.#around !== "tracing" && !isOutside) return undefined;
    if (isOutside || origin === 0 || (origin & from.unknown) !== 0) return this.#reader(origin);
    if ((origin & from.trusted) === 0) return undefined;
    // The verifier follows members of the kernel's structures at places that it knows beforehand.
    if (target.kind === "unknown") return undefined;
    if (target.kind !== "record") return this.#reader(origin | from.either);
    return hasVariableIndex(load, root) ? this.#reader(origin) : undefined;
  }

  #reader(origin: number): Reader {
    const isUser = (origin & from.user) !== 0;
    const rest = origin & ~from.user;
    if (isUser && rest === 0) return "__rx_load_user";
    const isVague = (origin & (from.either | from.unknown)) !== 0 || origin === 0;
    // Network programs have no helper that tells by the address.
    if (this.#around !== "tracing") return isUser ? "__rx_load_user" : "__rx_load_kernel";
    return isUser || isVague ? "__rx_load_any" : "__rx_load_kernel";
  }

  #mixed(load: SyntaxNode, origin: number): void {
    const other = (origin & from.packet) !== 0 ? "packet bytes" : "the program's context";
    this.#diagnostics.push({
      ...rangeOf(load),
      severity: "warning",
      code: "MIXED_POINTER",
      message: `${this.#shown(load)} is loaded directly: its pointer may lead to ${other} as well as to memory outside the program`,
      hint: "use a variable or a function of its own for each, or read it with bpf_probe_read_kernel()",
    });
  }

  #checkStore(load: SyntaxNode, origin: number): void {
    if ((origin & external) === 0 || (origin & ~external) !== 0) return;
    const isUser = origin === from.user;
    const memory = isUser
      ? "memory of a process"
      : origin === from.kernel
        ? "kernel memory"
        : "memory outside the program";
    this.#diagnostics.push({
      ...rangeOf(load),
      severity: "error",
      code: "OUTSIDE_STORE",
      message: `${this.#shown(load)} is ${memory}, which programs cannot write to`,
      hint: isUser
        ? "write to a process with bpf_probe_write_user(), or change a copy in a local variable"
        : "change a copy in a local variable",
    });
  }

  #shown(node: SyntaxNode): string {
    return onOneLine(this.#text, rangeOf(node));
  }

  #read(load: SyntaxNode, reader: Reader): void {
    const found =
      load.type === "field_expression" ? this.#origins.expressions.memberOf(load)?.member : undefined;
    if (found?.bits === undefined) {
      this.#edits.push(wrap(load, `${reader}(`));
      return;
    }
    if (found.bits.offset === undefined) {
      this.#diagnostics.push({
        ...rangeOf(load),
        severity: "error",
        code: "BIT_FIELD_PLACE",
        message: `${this.#shown(load)} is a bit field, and where it lies cannot be told from its structure's definition`,
        hint: "copy the structure with bpf_probe_read_kernel() and take the field from the copy",
      });
      return;
    }
    this.#edits.push(...bitFieldEdits(load, reader, { ...found.bits, offset: found.bits.offset }));
  }
}

const ACCESSES = ["field_expression", "subscript_expression", "pointer_expression"];
const OPERATORS = new Set(["sizeof_expression", "alignof_expression", "offsetof_expression"]);
const REGISTER = /^PT_REGS_(?!SYSCALL_)(?!\w*_CORE)/;
const NODES = [...ACCESSES, ...OPERATORS, "call_expression", "function_definition"];

function rangeOf({ startIndex, endIndex }: SyntaxNode): Range {
  return { start: startIndex, end: endIndex };
}

function wrap(node: SyntaxNode, before: string): Edit {
  return { kind: "wrap", ...rangeOf(node), before, after: ")" };
}

/** The pointer that an expression dereferences; undefined for all other expressions. */
function pointerOf(node: SyntaxNode, origins: Origins): SyntaxNode | undefined {
  const argument =
    node.type === "subscript_expression"
      ? origins.expressions.indexed(node)
      : node.childForFieldName("argument");
  if (argument === null) return undefined;
  if (node.type === "field_expression" && !isArrow(node)) return undefined;
  if (node.type === "pointer_expression" && node.firstChild?.type !== "*") return undefined;
  const { kind } = origins.expressions.of(argument);
  // An array is where its elements are; a number is no pointer, so this is a product that was misread, or no C.
  if (kind === "scalar" || kind === "record") return undefined;
  return kind === "array" && node.type !== "pointer_expression" && !isArrow(node)
    ? arrayRoot(argument, origins)
    : argument;
}

/** Elements of an array that is a member belong to the member's own lvalue, which has been seen already. */
function arrayRoot(array: SyntaxNode, origins: Origins): SyntaxNode | undefined {
  const isLvalue = ["identifier", ...ACCESSES, "parenthesized_expression"].includes(array.type);
  return isLvalue || origins.expressions.of(array).kind !== "array" ? undefined : array;
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
      (parent.type === "subscript_expression" && isArgument && origins.expressions.of(at).kind === "array");
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

/** Whether an lvalue has an index, between its root and its end, that is no plain number. */
function hasVariableIndex(load: SyntaxNode, root: SyntaxNode): boolean {
  for (
    let at: SyntaxNode | null = load;
    at !== null;
    at = at.childForFieldName("argument") ?? at.namedChildren[0] ?? null
  ) {
    const index = at.type === "subscript_expression" ? at.childForFieldName("index") : null;
    if (index !== null && index.type !== "number_literal") return true;
    if (at === root) return false;
  }
  return false;
}

/** What happens to an lvalue: its value is asked for, or it is changed, or it only says where something is. */
function useOf(node: SyntaxNode): "value" | "store" | "none" {
  let at = node;
  let parent = at.parent;
  while (parent?.type === "parenthesized_expression") {
    at = parent;
    parent = at.parent;
  }
  switch (parent?.type) {
    case undefined:
      return "none";
    case "pointer_expression":
      return parent.firstChild?.type === "&" ? "none" : "value";
    case "assignment_expression":
      return parent.childForFieldName("left")?.id === at.id ? "store" : "value";
    case "update_expression":
    case "gnu_asm_output_operand":
      return "store";
    case "expression_statement":
      // The value of a statement expression is its last statement's.
      return isBlockValue(parent) ? "value" : "none";
    case "call_expression":
      return parent.childForFieldName("function")?.id === at.id ? "none" : "value";
    default:
      return "value";
  }
}

function isBlockValue(statement: SyntaxNode): boolean {
  const block = statement.parent;
  return (
    block?.parent?.type === "parenthesized_expression" && block.namedChildren.at(-1)?.id === statement.id
  );
}

/**
 * A bit field has no address: the bytes that hold it are read from the record's address, and the field is shifted out.
 * `p->flag` becomes `__rx_bits(reader, (p), ...)` and `p->in.flag` `__rx_bits(reader, &(p->in), ...)`.
 */
function bitFieldEdits(
  load: SyntaxNode,
  reader: Reader,
  bits: BitPlace & { readonly offset: number },
): readonly Edit[] {
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
