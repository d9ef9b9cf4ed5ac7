// Longer than most files: one class judges every kind of expression, and its cases call one another.
import type { SyntaxNode } from "./parser.ts";
import { type CType, declaredName, type TypeTable } from "./types.ts";

/** Where a value may come from, as a set of bits: a value can have come several ways. */
export const from = {
  /** The program's stack or a global: loads are direct. */
  stack: 1,
  /** A table's value or a ring-buffer record: loads are direct, pointers found in it are not. */
  map: 2,
  /** The program's context. */
  context: 4,
  /** Packet bytes. */
  packet: 8,
  /** A pointer the verifier knows the type of. */
  trusted: 16,
  kernel: 32,
  user: 64,
  /** Kernel or user memory: a register, whose meaning depends on the probe. */
  either: 128,
} as const;

/** Origins that only a read helper can load from. */
export const external = from.kernel | from.user | from.either;

/** What an expression is: its type, and where its value may come from. */
export interface Judgement {
  readonly type: CType;
  readonly origin: number;
}

/** How a function runs, as far as its parameters tell. */
export interface FunctionRole {
  /** What its first parameter is. */
  readonly context: "tracing" | "network" | "trusted" | "none";
  /** Where further parameters come from. */
  readonly parameters: number;
}

interface Variable {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly type: CType;
  origin: number;
}

interface FunctionInfo {
  readonly node: SyntaxNode;
  readonly parameters: readonly (Variable | undefined)[];
  readonly returnType: CType;
  readonly role: FunctionRole | undefined;
  result: number;
}

const unknown: CType = { kind: "unknown" };
const scalar: CType = { kind: "scalar" };
const nothing: Judgement = { type: unknown, origin: 0 };

/** Assignments reach each other in circles; a handful of rounds settles every source, and the sets only grow. */
const MOST_ROUNDS = 12;

/** Helpers whose pointer the verifier knows the type of. */
const TRUSTED_RESULT =
  /^bpf_(?:get_current_task_btf|sk_fullsock|tcp_sock|sk_lookup_\w+|skc_\w+|get_listener_sock|sock_from_file|task_pt_regs|rdonly_cast)$/;
const MAP_RESULT =
  /^bpf_(?:map_lookup\w*|\w+_storage_get|ringbuf_reserve|get_local_storage|per_cpu_ptr|this_cpu_ptr)$/;
const MAP_METHOD = /^(?:lookup\w*|\w+_storage_get|ringbuf_reserve|get_local_storage)$/;
const READ_HELPER = /^bpf_probe_read(_kernel|_user)?(?:_str)?$/;
const NETWORK = /^(?:__sk_buff|xdp_md|bpf_sock_ops|sk_msg_md|bpf_sock_addr|bpf_sk_lookup|sk_reuseport_md)$/;
const PACKET_MEMBERS = /^data(?:_end|_meta)?$/;

/** Finds for every expression of a source its type and origin. Assignments count wherever they stand in a function. */
export class Origins {
  readonly #types: TypeTable;
  readonly #tables: (name: string) => CType | undefined;
  readonly #variables: Variable[] = [];
  readonly #byName = new Map<string, Variable[]>();
  readonly #functions = new Map<string, FunctionInfo>();
  /** Origins stored into members of the source's own records, by "record.member". */
  readonly #members = new Map<string, number>();
  #cache = new Map<number, Judgement>();
  #changed = false;

  /**
   * @param tables the value type of a table by name; undefined for names that are no table
   * @param roleOf what a function that is a program runs on; undefined for functions that others call
   */
  constructor(
    root: SyntaxNode,
    types: TypeTable,
    options: {
      readonly tables: (name: string) => CType | undefined;
      readonly roleOf: (name: string, contextType: CType) => FunctionRole | undefined;
    },
  ) {
    this.#types = types;
    this.#tables = options.tables;
    for (const node of root.descendantsOfType("function_definition")) this.#addFunction(node, options.roleOf);
    for (const node of root.descendantsOfType("declaration")) this.#addDeclaration(node);
    const stores = this.#storesOf(root);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      this.#changed = false;
      this.#cache = new Map();
      for (const store of stores) store();
      if (!this.#changed) break;
    }
    this.#cache = new Map();
  }

  /** Type and origin of an expression. */
  judge(node: SyntaxNode): Judgement {
    const known = this.#cache.get(node.id);
    if (known !== undefined) return known;
    this.#cache.set(node.id, nothing);
    const judged = this.#judge(node);
    this.#cache.set(node.id, judged);
    return judged;
  }

  /** The member that a field expression names, with its record; undefined when the types do not say. */
  memberOf(
    node: SyntaxNode,
  ): { readonly record: CType & { kind: "record" }; readonly name: string } | undefined {
    const argument = node.childForFieldName("argument");
    const field = node.childForFieldName("field");
    if (argument === null || field === null) return undefined;
    const { type } = this.judge(argument);
    const record = isArrow(node) ? pointee(type) : type;
    return record.kind === "record" ? { record, name: field.text } : undefined;
  }

  #judge(node: SyntaxNode): Judgement {
    switch (node.type) {
      case "identifier":
        return this.#identifier(node);
      case "parenthesized_expression":
        return this.#last(node);
      case "compound_statement":
        return this.#blockValue(node);
      case "expression_statement":
      case "comma_expression":
        return this.#last(node);
      case "cast_expression":
        return this.#cast(node);
      case "field_expression":
        return this.#field(node);
      case "subscript_expression":
        return this.#subscript(node);
      case "pointer_expression":
        return this.#pointer(node);
      case "unary_expression":
      case "update_expression":
        return { type: scalar, origin: this.#origin(node.childForFieldName("argument")) };
      case "binary_expression":
        return this.#binary(node);
      case "conditional_expression":
        return this.#conditional(node);
      case "assignment_expression": {
        const left = node.childForFieldName("left");
        const right = node.childForFieldName("right");
        return { type: left === null ? unknown : this.judge(left).type, origin: this.#origin(right) };
      }
      case "call_expression":
        return this.#call(node);
      case "string_literal":
      case "concatenated_string":
        return { type: { kind: "pointer", to: scalar, isUser: false }, origin: from.stack };
      case "number_literal":
      case "char_literal":
      case "sizeof_expression":
        return { type: scalar, origin: 0 };
      case "compound_literal_expression": {
        const type = node.childForFieldName("type");
        return { type: type === null ? unknown : this.#typeName(type), origin: from.stack };
      }
      default:
        return nothing;
    }
  }

  #origin(node: SyntaxNode | null): number {
    return node === null ? 0 : this.judge(node).origin;
  }

  #last(node: SyntaxNode): Judgement {
    const child = node.namedChildren.at(-1);
    return child === undefined ? nothing : this.judge(child);
  }

  /** A statement expression has the value of its last statement. */
  #blockValue(node: SyntaxNode): Judgement {
    const last = node.namedChildren.at(-1);
    return last?.type === "expression_statement" ? this.judge(last) : nothing;
  }

  #identifier(node: SyntaxNode): Judgement {
    const variable = this.#variable(node.text, node.startIndex);
    if (variable === undefined) return nothing;
    const { type } = variable;
    // Arrays and records are memory of the program's own; pointers and numbers carry what was assigned to them.
    return type.kind === "array" || type.kind === "record"
      ? { type, origin: from.stack }
      : { type, origin: variable.origin };
  }

  #variable(name: string, at: number): Variable | undefined {
    let best: Variable | undefined;
    for (const variable of this.#byName.get(name) ?? []) {
      if (variable.start <= at && at < variable.end && (best === undefined || variable.start > best.start))
        best = variable;
    }
    return best;
  }

  #cast(node: SyntaxNode): Judgement {
    const value = node.childForFieldName("value");
    const type = node.childForFieldName("type");
    return { type: type === null ? unknown : this.#typeName(type), origin: this.#origin(value) };
  }

  /** The type of a type_descriptor. */
  #typeName(node: SyntaxNode): CType {
    return this.#types.declared(node, node.childForFieldName("declarator"));
  }

  #field(node: SyntaxNode): Judgement {
    const argument = node.childForFieldName("argument");
    if (argument === null) return nothing;
    const base = this.judge(argument);
    const found = this.memberOf(node);
    const member = found?.record.record.member(found.name);
    const type = member?.type ?? unknown;
    // An array or record member is still the same memory.
    if (type.kind === "array" || type.kind === "record") return { type, origin: base.origin };
    return { type, origin: this.#loaded(type, base.origin, found) };
  }

  /** The origin of a value that is loaded from memory of an origin. */
  #loaded(type: CType, memory: number, found: ReturnType<Origins["memberOf"]>): number {
    if (type.kind === "pointer" && type.isUser) return from.user;
    let origin = 0;
    if (memory & from.context) origin |= this.#fromContext(found);
    if (memory & (from.kernel | from.either)) origin |= from.kernel;
    if (memory & from.user) origin |= from.user;
    if (memory & from.trusted) origin |= from.trusted;
    if (found !== undefined) origin |= this.#members.get(`${found.record.record.name}.${found.name}`) ?? 0;
    if (memory & from.map && type.kind === "pointer" && origin === 0) origin |= from.kernel;
    return origin;
  }

  #fromContext(found: ReturnType<Origins["memberOf"]>): number {
    const record = found?.record.record.name ?? "";
    if (NETWORK.test(record)) return PACKET_MEMBERS.test(found!.name) ? from.packet : from.trusted;
    if (record.startsWith("tracepoint__syscalls__")) return from.user;
    if (record.startsWith("bpf_iter__")) return from.trusted;
    if (record === "pt_regs" || record === "bpf_perf_event_data") return from.either;
    return from.kernel;
  }

  #subscript(node: SyntaxNode): Judgement {
    const argument = node.childForFieldName("argument");
    if (argument === null) return nothing;
    const base = this.judge(argument);
    const found = argument.type === "field_expression" ? this.memberOf(argument) : undefined;
    return this.#element(base, found);
  }

  #element(base: Judgement, found: ReturnType<Origins["memberOf"]>): Judgement {
    const type = base.type.kind === "array" ? base.type.of : pointee(base.type);
    if (type.kind === "array" || type.kind === "record") return { type, origin: base.origin };
    return { type, origin: this.#loaded(type, base.origin, found) };
  }

  #pointer(node: SyntaxNode): Judgement {
    const argument = node.childForFieldName("argument");
    if (argument === null) return nothing;
    if (node.children[0]?.type === "*") return this.#element(this.judge(argument), undefined);
    const { type } = this.judge(argument);
    return { type: { kind: "pointer", to: type, isUser: false }, origin: this.addressOrigin(argument) };
  }

  /** Where an lvalue lies. */
  addressOrigin(node: SyntaxNode): number {
    switch (node.type) {
      case "parenthesized_expression": {
        const inner = node.namedChildren[0];
        return inner === undefined ? 0 : this.addressOrigin(inner);
      }
      case "field_expression": {
        const argument = node.childForFieldName("argument");
        if (argument === null) return 0;
        return isArrow(node) ? this.judge(argument).origin : this.addressOrigin(argument);
      }
      case "subscript_expression": {
        const argument = node.childForFieldName("argument");
        if (argument === null) return 0;
        const base = this.judge(argument);
        return base.type.kind === "array" ? this.addressOrigin(argument) : base.origin;
      }
      case "pointer_expression":
        return node.children[0]?.type === "*" ? this.#origin(node.childForFieldName("argument")) : 0;
      default:
        return from.stack;
    }
  }

  #binary(node: SyntaxNode): Judgement {
    const left = node.childForFieldName("left");
    const right = node.childForFieldName("right");
    if (left === null || right === null) return nothing;
    const operator = node.childForFieldName("operator")?.type ?? "";
    if (/^(?:[=!<>]=?|<=|>=|==|!=|&&|\|\|)$/.test(operator)) return { type: scalar, origin: 0 };
    const a = this.judge(left);
    const b = this.judge(right);
    const type = [a, b].find(({ type: { kind } }) => kind === "pointer" || kind === "array")?.type ?? scalar;
    return {
      type: type.kind === "array" ? { kind: "pointer", to: type.of, isUser: false } : type,
      origin: a.origin | b.origin,
    };
  }

  #conditional(node: SyntaxNode): Judgement {
    const condition = node.childForFieldName("condition");
    const consequence = node.childForFieldName("consequence") ?? condition;
    const alternative = node.childForFieldName("alternative");
    const a = consequence === null ? nothing : this.judge(consequence);
    const b = alternative === null ? nothing : this.judge(alternative);
    return {
      type: a.type.kind === "unknown" || a.type.kind === "scalar" ? b.type : a.type,
      origin: a.origin | b.origin,
    };
  }

  #call(node: SyntaxNode): Judgement {
    const callee = node.childForFieldName("function");
    if (callee?.type === "field_expression") return this.#methodCall(callee);
    const name = callee?.text ?? "";
    const own = this.#functions.get(name);
    if (own !== undefined) return { type: own.returnType, origin: own.result };
    const opaque: CType = { kind: "pointer", to: unknown, isUser: false };
    if (/^(?:PT_REGS_|bcc_parm$)/.test(name)) return { type: scalar, origin: from.either };
    if (name === "bcc_syscall_parm") return { type: scalar, origin: from.user };
    if (name === "bpf_get_current_task") return { type: scalar, origin: from.kernel };
    if (TRUSTED_RESULT.test(name)) return { type: opaque, origin: from.trusted };
    if (MAP_RESULT.test(name)) return { type: opaque, origin: from.map };
    return { type: scalar, origin: 0 };
  }

  #methodCall(callee: SyntaxNode): Judgement {
    const receiver = callee.childForFieldName("argument")?.text ?? "";
    const method = callee.childForFieldName("field")?.text ?? "";
    const value = this.#tables(receiver);
    if (value === undefined || !MAP_METHOD.test(method)) return { type: scalar, origin: 0 };
    const to = method === "ringbuf_reserve" ? unknown : value;
    return { type: { kind: "pointer", to, isUser: false }, origin: from.map };
  }

  #addFunction(
    node: SyntaxNode,
    roleOf: (name: string, contextType: CType) => FunctionRole | undefined,
  ): void {
    const declarator = functionDeclarator(node.childForFieldName("declarator"));
    const name = declarator?.childForFieldName("declarator")?.text;
    const list = declarator?.childForFieldName("parameters");
    if (name === undefined || list === null || list === undefined) return;
    const parameters = list.namedChildren
      .filter((child) => child.type === "parameter_declaration")
      .map((child) =>
        this.#declare(child, child.childForFieldName("declarator"), child.startIndex, node.endIndex),
      );
    const role = roleOf(name, parameters[0]?.type ?? unknown);
    if (role !== undefined) {
      parameters.forEach((parameter, index) => {
        if (parameter === undefined) return;
        const first =
          role.context === "none"
            ? role.parameters
            : role.context === "trusted"
              ? from.trusted
              : from.context;
        const isUser = parameter.type.kind === "pointer" && parameter.type.isUser;
        parameter.origin = index === 0 ? first : isUser ? from.user : role.parameters;
      });
    }
    const outer = node.childForFieldName("declarator");
    this.#functions.set(name, {
      node,
      parameters,
      returnType: outer === null ? unknown : returnType(this.#types, node, outer),
      role,
      result: 0,
    });
  }

  #declare(
    node: SyntaxNode,
    declarator: SyntaxNode | null,
    start: number,
    end: number,
  ): Variable | undefined {
    const name = declarator === null ? undefined : declaredName(declarator);
    if (name === undefined) return undefined;
    const type = this.#types.declared(node, declarator);
    const variable: Variable = { name: name.text, start, end, type, origin: 0 };
    this.#variables.push(variable);
    const known = this.#byName.get(variable.name);
    if (known === undefined) this.#byName.set(variable.name, [variable]);
    else known.push(variable);
    return variable;
  }

  #addDeclaration(node: SyntaxNode): void {
    const block = enclosing(node);
    const end = block?.endIndex ?? Number.MAX_SAFE_INTEGER;
    for (const declarator of node.childrenForFieldName("declarator")) {
      this.#declare(node, declarator, declaredName(declarator)?.startIndex ?? node.startIndex, end);
    }
  }

  /** Everything that moves a value from one name to another, as functions to repeat until nothing changes. */
  #storesOf(root: SyntaxNode): readonly (() => void)[] {
    const stores: (() => void)[] = [];
    for (const node of root.descendantsOfType("init_declarator")) {
      const declarator = node.childForFieldName("declarator");
      const value = node.childForFieldName("value");
      const name = declarator === null ? undefined : declaredName(declarator);
      if (name === undefined || value === null) continue;
      stores.push(() => this.#flow(this.#variable(name.text, name.startIndex), this.#origin(value)));
    }
    for (const node of root.descendantsOfType("assignment_expression")) {
      const left = node.childForFieldName("left");
      const right = node.childForFieldName("right");
      if (left !== null && right !== null) stores.push(() => this.#store(left, this.#origin(right)));
    }
    for (const node of root.descendantsOfType("call_expression"))
      stores.push(() => this.#passArguments(node));
    for (const info of this.#functions.values()) {
      for (const node of info.node.descendantsOfType("return_statement")) {
        stores.push(() => {
          const origin = this.#last(node).origin | info.result;
          if (origin !== info.result) this.#changed = true;
          info.result = origin;
        });
      }
    }
    return stores;
  }

  #flow(variable: Variable | undefined, origin: number): void {
    if (variable === undefined || (variable.origin | origin) === variable.origin) return;
    variable.origin |= origin;
    this.#changed = true;
    this.#cache = new Map();
  }

  #store(target: SyntaxNode, origin: number): void {
    if (target.type === "identifier")
      return this.#flow(this.#variable(target.text, target.startIndex), origin);
    if (target.type === "parenthesized_expression") {
      const inner = target.namedChildren[0];
      if (inner !== undefined) this.#store(inner, origin);
      return;
    }
    const found = target.type === "field_expression" ? this.memberOf(target) : undefined;
    if (found === undefined || found.record.record.origin !== "user") return;
    const key = `${found.record.record.name}.${found.name}`;
    const known = this.#members.get(key) ?? 0;
    if ((known | origin) === known) return;
    this.#members.set(key, known | origin);
    this.#changed = true;
    this.#cache = new Map();
  }

  #passArguments(node: SyntaxNode): void {
    const callee = node.childForFieldName("function");
    const list = node.childForFieldName("arguments")?.namedChildren ?? [];
    const name = callee?.type === "identifier" ? callee.text : "";
    const own = this.#functions.get(name);
    if (own !== undefined && own.role === undefined) {
      own.parameters.forEach((parameter, index) => {
        const argument = list[index];
        if (argument !== undefined) this.#flow(parameter, this.#origin(argument));
      });
      return;
    }
    const read = READ_HELPER.exec(name);
    const target = list[0];
    // A pointer that was read from kernel memory points into the kernel, one from user memory into the process.
    if (read !== null && target?.type === "pointer_expression" && target.children[0]?.type === "&") {
      const inner = target.childForFieldName("argument");
      if (inner !== null) this.#store(inner, read[1] === "_user" ? from.user : from.kernel);
    }
  }
}

/** Whether a field expression goes through a pointer. */
export function isArrow(node: SyntaxNode): boolean {
  return (
    node.childForFieldName("operator")?.type === "->" || node.children.some((child) => child.type === "->")
  );
}

/** What a pointer or array holds. */
export function pointee(type: CType): CType {
  return type.kind === "pointer" ? type.to : type.kind === "array" ? type.of : unknown;
}

function returnType(types: TypeTable, node: SyntaxNode, outer: SyntaxNode): CType {
  const base = types.declared(node, null);
  let depth = 0;
  for (
    let at: SyntaxNode | null = outer;
    at !== null && at.type === "pointer_declarator";
    at = at.childForFieldName("declarator")
  )
    depth++;
  let type = base;
  for (let i = 0; i < depth; i++) type = { kind: "pointer", to: type, isUser: false };
  return type;
}

function functionDeclarator(node: SyntaxNode | null): SyntaxNode | undefined {
  let at = node;
  while (at !== null && at.type !== "function_declarator") at = at.childForFieldName("declarator");
  return at ?? undefined;
}

function enclosing(node: SyntaxNode): SyntaxNode | undefined {
  for (let at = node.parent; at !== null; at = at.parent) {
    if (at.type === "compound_statement" || at.type === "for_statement") return at;
  }
  return undefined;
}
