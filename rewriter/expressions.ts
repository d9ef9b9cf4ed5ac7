import type { Btf } from "../framework/object/btf.ts";
import { type Bindings, bindNames, type FunctionNode, type Variable } from "./bindings.ts";
import { type CType, type MemberType, pointee, scalar, unknown } from "./c-type.ts";
import type { Facts, TableFact } from "./facts.ts";
import type { SyntaxNode } from "./parser.ts";
import { TypeTable } from "./types.ts";

/** A member that a field expression names, and the record it is in. */
export interface FoundMember {
  readonly record: CType & { readonly kind: "record" };
  readonly name: string;
  /** Undefined when the record has no such member. */
  readonly member: MemberType | undefined;
}

const SPELLED_RESULTS: Readonly<Record<string, string>> = {
  bpf_get_current_task: "unsigned long long",
  bpf_get_current_task_btf: "struct task_struct *",
  bpf_task_from_pid: "struct task_struct *",
  bpf_sk_fullsock: "struct bpf_sock *",
  bpf_get_listener_sock: "struct bpf_sock *",
  bpf_sk_lookup_tcp: "struct bpf_sock *",
  bpf_sk_lookup_udp: "struct bpf_sock *",
  bpf_skc_lookup_tcp: "struct bpf_sock *",
  bpf_tcp_sock: "struct bpf_tcp_sock *",
  bpf_skc_to_tcp_sock: "struct tcp_sock *",
  bpf_skc_to_tcp6_sock: "struct tcp6_sock *",
  bpf_skc_to_udp6_sock: "struct udp6_sock *",
  bpf_sock_from_file: "struct socket *",
  bpf_task_pt_regs: "struct pt_regs *",
};

/** Methods that give a pointer to a table's value. */
const VALUE_METHODS = /^(?:(?:map_)?lookup\w*|\w+_storage_get|get_local_storage)$/;

/** Types of a source's expressions. */
export function expressionTypes(
  facts: Facts,
  tables: ReadonlyMap<string, TableFact>,
  kernelTypes: () => Btf | null,
): ExpressionTypes {
  const { root, text, normalized } = facts;
  const types = new TypeTable(root, text, kernelTypes, normalized.typeofs);
  const bindings = bindNames(root, (name) => types.isTypedef(name));
  return new ExpressionTypes(types, bindings, text, (name) => {
    const table = tables.get(name);
    return table === undefined ? undefined : types.spelled(table.value);
  });
}

/** Types of expressions, by C's rules, from what the source and the kernel declare. */
export class ExpressionTypes {
  readonly types: TypeTable;
  readonly bindings: Bindings;
  readonly #tableValue: (name: string) => CType | undefined;
  readonly #functions: ReadonlyMap<string, FunctionNode>;
  readonly #text: string;
  readonly #cache = new Map<SyntaxNode, CType>();
  readonly #members = new Map<SyntaxNode, FoundMember | null>();
  readonly #variables = new Map<Variable, CType>();
  /** Where the operand stands whose parts are judged, when it was parsed apart. */
  #at = -1;

  /**
   * @param text the text with its casts, of the same offsets as the tree's
   * @param tableValue the value type of a table by name; undefined for names that are no table
   */
  constructor(
    types: TypeTable,
    bindings: Bindings,
    text: string,
    tableValue: (name: string) => CType | undefined,
  ) {
    this.types = types;
    this.bindings = bindings;
    this.#text = text;
    this.#tableValue = tableValue;
    this.#functions = new Map([
      ...bindings.prototypes,
      ...bindings.functions.map((found): [string, FunctionNode] => [found.name, found]),
    ]);
    types.typeofOperand = (operand, at) => {
      const before = this.#at;
      this.#at = at;
      const type = this.of(operand);
      this.#at = before;
      return type;
    };
  }

  /** The type of an expression. Arrays stay arrays: whether they are used as addresses is the user's business. */
  of(node: SyntaxNode): CType {
    let type = this.#cache.get(node);
    if (type === undefined) {
      // What refers to itself has no type, and must not be asked for it again and again.
      this.#cache.set(node, unknown);
      type = this.#judge(node);
      this.#cache.set(node, type);
    }
    return type;
  }

  /** The type a variable was declared with. */
  ofVariable(variable: Variable): CType {
    let type = this.#variables.get(variable);
    if (type === undefined) {
      this.#variables.set(variable, unknown);
      const { declaration, declarator, initial } = variable;
      const isAuto = declaration.childForFieldName("type")?.text === "__auto_type";
      type =
        isAuto && initial !== null ? decayed(this.of(initial)) : this.types.declared(declaration, declarator);
      // A parameter declared as an array is a pointer.
      if (declaration.type === "parameter_declaration") type = decayed(type);
      this.#variables.set(variable, type);
    }
    return type;
  }

  /** The member that a field expression names; undefined when its record is not known. */
  memberOf(node: SyntaxNode): FoundMember | undefined {
    let found = this.#members.get(node);
    if (found === undefined) {
      found = this.#findMember(node) ?? null;
      this.#members.set(node, found);
    }
    return found ?? undefined;
  }

  #findMember(node: SyntaxNode): FoundMember | undefined {
    const argument = node.childForFieldName("argument");
    const field = node.childForFieldName("field");
    if (argument === null || field === null) return undefined;
    const type = this.of(argument);
    const record = isArrow(node) ? pointee(type) : type;
    if (record.kind !== "record") return undefined;
    return { record, name: field.text, member: record.record.member(field.text) };
  }

  /** The type that a sign stands for, where the text has a cast to a named type; undefined for a real sign. */
  castOf(node: SyntaxNode): CType | undefined {
    if (node.type !== "unary_expression" || node.source !== this.#source) return undefined;
    const cast = /^\(\s*(\w+)\s*\)/.exec(this.#text.slice(node.startIndex, node.startIndex + 200));
    return cast === null ? undefined : this.types.named(cast[1]!);
  }

  get #source(): string {
    return this.bindings.source;
  }

  #judge(node: SyntaxNode): CType {
    switch (node.type) {
      case "identifier":
        return this.#identifier(node);
      case "parenthesized_expression":
      case "comma_expression":
        return this.#last(node);
      case "expression_statement":
        return decayed(this.#last(node));
      case "compound_statement": {
        const last = node.namedChildren.at(-1);
        return last?.type === "expression_statement" ? this.of(last) : unknown;
      }
      case "cast_expression":
      case "compound_literal_expression": {
        const type = node.childForFieldName("type");
        return type === null ? unknown : this.types.declared(type, type.childForFieldName("declarator"));
      }
      case "field_expression":
        return this.memberOf(node)?.member?.type ?? unknown;
      case "subscript_expression":
        return this.#pointeeOf(this.indexed(node));
      case "pointer_expression":
        return this.#pointer(node);
      case "unary_expression":
        return this.castOf(node) ?? this.#sign(node);
      case "update_expression":
        return this.#argument(node);
      case "binary_expression":
        return this.#binary(node);
      case "conditional_expression":
        return this.#conditional(node);
      case "assignment_expression": {
        const left = node.childForFieldName("left");
        return left === null ? unknown : this.of(left);
      }
      case "call_expression":
        return this.#call(node);
      case "string_literal":
      case "concatenated_string":
        return { kind: "array", of: { kind: "scalar", size: 1, isSigned: true }, length: undefined };
      case "number_literal":
      case "char_literal":
      case "sizeof_expression":
      case "alignof_expression":
      case "offsetof_expression":
        return scalar;
      default:
        return unknown;
    }
  }

  #pointeeOf(node: SyntaxNode | null): CType {
    return node === null ? unknown : pointee(this.of(node));
  }

  #last(node: SyntaxNode): CType {
    const child = node.namedChildren.at(-1);
    return child === undefined ? unknown : this.of(child);
  }

  #argument(node: SyntaxNode): CType {
    const argument = node.childForFieldName("argument");
    return argument === null ? unknown : this.of(argument);
  }

  #identifier(node: SyntaxNode): CType {
    const variable =
      node.source === this.#source
        ? this.bindings.variable(node)
        : this.bindings.variableAt(node.text, this.#at);
    return variable === undefined ? unknown : this.ofVariable(variable);
  }

  /** What a subscript is taken of: C takes array and index in either order. */
  indexed(node: SyntaxNode): SyntaxNode | null {
    const argument = node.childForFieldName("argument");
    const index = node.childForFieldName("index");
    if (argument === null || index === null || this.of(argument).kind !== "scalar") return argument;
    return pointee(this.of(index)).kind === "unknown" ? argument : index;
  }

  #pointer(node: SyntaxNode): CType {
    const type = this.#argument(node);
    if (node.firstChild?.type === "*") return pointee(type);
    return { kind: "pointer", to: type, isUser: false };
  }

  #sign(node: SyntaxNode): CType {
    return node.firstChild?.type === "!" ? scalar : this.#argument(node);
  }

  #binary(node: SyntaxNode): CType {
    const left = node.childForFieldName("left");
    const right = node.childForFieldName("right");
    const operator = node.childForFieldName("operator")?.type ?? "";
    if (isComparison(operator)) return scalar;
    if (left === null || right === null) return unknown;
    const a = decayed(this.of(left));
    const b = decayed(this.of(right));
    if (a.kind === "pointer") return operator === "-" && b.kind === "pointer" ? scalar : a;
    if (b.kind === "pointer") return b;
    return a.kind === "scalar" && b.kind === "scalar" ? scalar : unknown;
  }

  #conditional(node: SyntaxNode): CType {
    const condition = node.childForFieldName("condition");
    const consequence = node.childForFieldName("consequence") ?? condition;
    const alternative = node.childForFieldName("alternative");
    const a = consequence === null ? unknown : decayed(this.of(consequence));
    const b = alternative === null ? unknown : decayed(this.of(alternative));
    // Null, or a pointer to anything, takes the other's type.
    const isVague = a.kind === "scalar" || (a.kind === "pointer" && a.to.kind === "unknown");
    return a.kind === "unknown" || (isVague && b.kind !== "unknown") ? b : a;
  }

  #call(node: SyntaxNode): CType {
    const callee = node.childForFieldName("function");
    if (callee?.type === "field_expression") return this.#methodCall(callee);
    const name = callee?.text ?? "";
    const own = this.#functions.get(name);
    if (own !== undefined) return resultType(this.types, own);
    const spelled = SPELLED_RESULTS[name];
    if (spelled !== undefined) return this.types.spelled(spelled);
    return name.startsWith("PT_REGS_") ? { kind: "scalar", size: 8, isSigned: false } : unknown;
  }

  #methodCall(callee: SyntaxNode): CType {
    const receiver = callee.childForFieldName("argument")?.text ?? "";
    const method = callee.childForFieldName("field")?.text ?? "";
    const value = this.#tableValue(receiver);
    if (value === undefined) return unknown;
    if (VALUE_METHODS.test(method)) return { kind: "pointer", to: value, isUser: false };
    return method === "ringbuf_reserve" ? { kind: "pointer", to: unknown, isUser: false } : scalar;
  }
}

/** Whether an operator gives a truth value. */
export function isComparison(operator: string): boolean {
  return /^(?:[=!<>]=|[<>]|&&|\|\|)$/.test(operator);
}

/** Whether a field expression goes through a pointer. */
export function isArrow(node: SyntaxNode): boolean {
  const operator = node.childForFieldName("operator");
  return operator === null ? node.children.some((child) => child.type === "->") : operator.type === "->";
}

/** What an array becomes when its value is asked for. */
export function decayed(type: CType): CType {
  return type.kind === "array" ? { kind: "pointer", to: type.of, isUser: false } : type;
}

function resultType(types: TypeTable, { node, declarator }: FunctionNode): CType {
  let type = types.declared(node, null);
  for (
    let at: SyntaxNode | null = declarator;
    at?.type === "pointer_declarator";
    at = at.childForFieldName("declarator")
  )
    type = { kind: "pointer", to: type, isUser: false };
  return type;
}
