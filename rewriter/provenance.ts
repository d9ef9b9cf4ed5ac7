// Longer than most files: one class judges every kind of expression, and its cases call one another.
import type { FunctionNode, Variable } from "./bindings.ts";
import { type CType, pointee, type RecordType } from "./c-type.ts";
import { type ExpressionTypes, type FoundMember, isArrow, isComparison } from "./expressions.ts";
import type { SyntaxNode } from "./parser.ts";

/** Where a value may come from, as a set of bits: a value can have come several ways. None: null, or never assigned. */
export const from = {
  /** The program's stack: loads are direct. */
  stack: 1,
  /** A table's value, a global or a ring-buffer record: loads are direct, pointers found in it are not. */
  map: 2,
  /** The program's context. */
  context: 4,
  /** Packet bytes. */
  packet: 8,
  /** A pointer the verifier knows the type of. */
  trusted: 16,
  /** The array of arguments of a program that is bound by BTF: what is in it is trusted. */
  arguments: 32,
  kernel: 64,
  user: 128,
  /** Kernel or user memory: a register, whose meaning depends on the probe, or a bare address found in memory. */
  either: 256,
  /** Nothing tells. */
  unknown: 512,
} as const;

/** Origins that only a read helper can load from. */
export const external = from.kernel | from.user | from.either;
/** Memory that programs load from directly. */
const own = from.stack | from.map;
/** Memory that no helper may stand in for: the verifier rewrites accesses to it, or checks their bounds. */
export const checked = from.context | from.packet | from.arguments;

/** How a function runs, as far as its parameters tell. */
export interface FunctionRole {
  /** What its first parameter is. */
  readonly context: "tracing" | "network" | "trusted";
  /** Where further parameters come from. */
  readonly parameters: number;
}

/** Something that holds a value, and how that value came there. */
class Cell {
  origin = 0;
  /** Most have none or one, for which a set is large. */
  readonly readers: Flow[] = [];
}

/** Moves values from cells to cells; repeated when what it read has changed. */
type Flow = () => void;

/** An lvalue: where it lies, and the cells that may be behind it. */
interface Place {
  readonly where: number;
  readonly cells: readonly Cell[];
}

interface VariableCells {
  /** What a pointer or number holds. */
  readonly value: Cell;
  /** What is in an array or record, or in what a pointer points to. */
  readonly content: Cell;
}

interface FunctionCells {
  readonly found: FunctionNode;
  readonly role: FunctionRole | undefined;
  readonly result: Cell;
  readonly content: Cell;
}

/** Helpers whose result leads to a table's value. */
const MAP_RESULT =
  /^bpf_(?:map_lookup\w*|\w+_storage_get|ringbuf_reserve|get_local_storage|dynptr_(?:data|slice)\w*)$/;
const MAP_METHOD = /^(?:(?:map_)?lookup\w*|\w+_storage_get|ringbuf_reserve|get_local_storage)$/;
/** Methods that put the value at their second or first argument into the table. */
const STORING_METHOD = /^(?:update|insert|lookup_or_\w+|push)$/;
const TAKING_METHOD = /^(?:pop|peek)$/;
const READ_HELPER = /^bpf_probe_read(_kernel|_user)?(?:_str)?$|^bpf_copy_from_user(?:_task)?$/;
const COPY = /^(?:__builtin_)?mem(?:cpy|move)$/;
const NETWORK = /^(?:__sk_buff|xdp_md|bpf_sock_ops|sk_msg_md|bpf_sock_addr|bpf_sk_lookup|sk_reuseport_md)$/;
const PACKET_MEMBERS = /^data(?:_end|_meta)?$/;

const nowhere: Place = { where: 0, cells: [] };

/** Finds for every expression of a source its origin. Assignments count wherever they stand in a function. */
export class Origins {
  readonly expressions: ExpressionTypes;
  readonly #isTable: (name: string) => boolean;
  readonly #variables = new Map<Variable, VariableCells>();
  readonly #functions = new Map<string, FunctionCells>();
  readonly #byNode = new Map<SyntaxNode, FunctionCells>();
  readonly #members = new Map<RecordType, Map<string, Cell>>();
  readonly #tables = new Map<string, Cell>();
  readonly #cache = new Map<SyntaxNode, number>();
  #isSettled = false;
  #reader: Flow | undefined;
  readonly #queue: Flow[] = [];
  readonly #queued = new Set<Flow>();

  /**
   * @param isTable whether a name is a table's
   * @param roleOf what a function that is a program runs on; undefined for functions that others call
   */
  constructor(
    root: SyntaxNode,
    expressions: ExpressionTypes,
    options: {
      readonly isTable: (name: string) => boolean;
      readonly roleOf: (name: string, contextType: CType) => FunctionRole | undefined;
    },
  ) {
    this.expressions = expressions;
    this.#isTable = options.isTable;
    for (const found of expressions.bindings.functions) this.#addFunction(found, options.roleOf);
    for (const flow of this.#flowsOf(root)) this.#enqueue(flow);
    this.#settle();
  }

  /** Where an expression's value comes from; of an array or record, where it lies. */
  of(node: SyntaxNode): number {
    if (!this.#isSettled) return this.#judge(node);
    let origin = this.#cache.get(node);
    if (origin === undefined) {
      origin = this.#judge(node);
      this.#cache.set(node, origin);
    }
    return origin;
  }

  /** Where an lvalue lies. */
  whereIs(node: SyntaxNode): number {
    return this.#place(node).where;
  }

  #settle(): void {
    for (let flow = this.#queue.pop(); flow !== undefined; flow = this.#queue.pop()) {
      this.#queued.delete(flow);
      this.#reader = flow;
      flow();
    }
    this.#reader = undefined;
    this.#isSettled = true;
  }

  #enqueue(flow: Flow): void {
    if (this.#queued.has(flow)) return;
    this.#queued.add(flow);
    this.#queue.push(flow);
  }

  #read(cells: readonly Cell[]): number {
    let origin = 0;
    for (const cell of cells) {
      if (this.#reader !== undefined && cell.readers.at(-1) !== this.#reader) cell.readers.push(this.#reader);
      origin |= cell.origin;
    }
    return origin;
  }

  #add(cells: readonly Cell[], origin: number): void {
    for (const cell of cells) {
      if ((cell.origin | origin) === cell.origin) continue;
      cell.origin |= origin;
      for (const reader of cell.readers) this.#enqueue(reader);
    }
  }

  #cellsOf(variable: Variable): VariableCells {
    let cells = this.#variables.get(variable);
    if (cells === undefined) {
      cells = { value: new Cell(), content: new Cell() };
      this.#variables.set(variable, cells);
    }
    return cells;
  }

  #memberCell({ record, name }: FoundMember): Cell {
    let members = this.#members.get(record.record);
    if (members === undefined) {
      members = new Map();
      this.#members.set(record.record, members);
    }
    let cell = members.get(name);
    if (cell === undefined) {
      cell = new Cell();
      members.set(name, cell);
    }
    return cell;
  }

  #tableCell(name: string): Cell {
    let cell = this.#tables.get(name);
    if (cell === undefined) {
      cell = new Cell();
      this.#tables.set(name, cell);
    }
    return cell;
  }

  /* ---- judging ---- */

  #judge(node: SyntaxNode): number {
    switch (node.type) {
      case "identifier":
      case "field_expression":
      case "subscript_expression":
        return this.#valueOf(node);
      case "pointer_expression":
        return node.firstChild?.type === "*" ? this.#valueOf(node) : this.#place(argumentOf(node)).where;
      case "parenthesized_expression":
      case "expression_statement":
      case "comma_expression":
        return this.#maybe(node.namedChildren.at(-1));
      case "compound_statement": {
        const last = node.namedChildren.at(-1);
        return last?.type === "expression_statement" ? this.of(last) : 0;
      }
      case "cast_expression":
        return this.#cast(node);
      case "unary_expression":
        return node.firstChild?.type === "!" ? 0 : this.#maybe(argumentOf(node));
      case "update_expression":
        return this.#maybe(argumentOf(node));
      case "binary_expression":
        return this.#binary(node);
      case "conditional_expression": {
        const chosen = node.childForFieldName("consequence") ?? node.childForFieldName("condition");
        return this.#maybe(chosen) | this.#maybe(node.childForFieldName("alternative"));
      }
      case "assignment_expression": {
        const isPlain = node.childForFieldName("operator")?.type === "=";
        const right = this.#maybe(node.childForFieldName("right"));
        return isPlain ? right : right | this.#maybe(node.childForFieldName("left"));
      }
      case "call_expression":
        return this.#call(node);
      case "string_literal":
      case "concatenated_string":
      case "compound_literal_expression":
        return from.stack;
      case "number_literal":
      case "char_literal":
      case "sizeof_expression":
      case "alignof_expression":
      case "offsetof_expression":
      case "null":
      case "true":
      case "false":
        return 0;
      default:
        return from.unknown;
    }
  }

  #maybe(node: SyntaxNode | null | undefined): number {
    return node === null || node === undefined ? 0 : this.of(node);
  }

  /** What an lvalue holds. */
  #valueOf(node: SyntaxNode): number {
    const type = this.expressions.of(node);
    const place = this.#place(node);
    if (type.kind === "array" || type.kind === "record") return place.where;
    const found = node.type === "field_expression" ? this.expressions.memberOf(node) : undefined;
    return this.#loaded(type, place, found);
  }

  #place(node: SyntaxNode | null): Place {
    switch (node?.type) {
      case "parenthesized_expression":
        return this.#place(node.namedChildren.at(-1) ?? null);
      case "identifier":
        return this.#placeOfName(node);
      case "field_expression": {
        const argument = argumentOf(node);
        if (argument === null) return nowhere;
        const base = isArrow(node) ? this.#target(argument) : this.#place(argument);
        const found = this.expressions.memberOf(node);
        if (found?.record.record.origin !== "user") return base;
        return { where: base.where, cells: [this.#memberCell(found), ...base.cells] };
      }
      case "subscript_expression": {
        const argument = this.expressions.indexed(node);
        if (argument === null) return nowhere;
        const isArray = this.expressions.of(argument).kind === "array";
        return isArray ? this.#place(argument) : this.#target(argument);
      }
      case "pointer_expression": {
        const argument = argumentOf(node);
        return argument === null || node.firstChild?.type !== "*" ? nowhere : this.#target(argument);
      }
      case "string_literal":
      case "concatenated_string":
      case "compound_literal_expression":
        return { where: from.stack, cells: [] };
      default:
        // A record that a function or an expression gives is a copy of the program's own.
        return { where: from.stack, cells: [] };
    }
  }

  #placeOfName(node: SyntaxNode): Place {
    const variable = this.expressions.bindings.variable(node);
    if (variable === undefined) return nowhere;
    const { value, content } = this.#cellsOf(variable);
    const { kind } = this.expressions.ofVariable(variable);
    const cell = kind === "array" || kind === "record" ? content : value;
    return { where: variable.isGlobal ? from.map : from.stack, cells: [cell] };
  }

  /** What a pointer points to. */
  #target(pointer: SyntaxNode): Place {
    return { where: this.of(pointer), cells: this.#behind(pointer) };
  }

  /** The cells that an address may lead to, as far as that is known. */
  #behind(node: SyntaxNode | null | undefined): readonly Cell[] {
    switch (node?.type) {
      case "parenthesized_expression":
      case "comma_expression":
      case "expression_statement":
        return this.#behind(node.namedChildren.at(-1));
      case "compound_statement": {
        const last = node.namedChildren.at(-1);
        return last?.type === "expression_statement" ? this.#behind(last) : [];
      }
      case "cast_expression":
        return this.#behind(node.childForFieldName("value"));
      case "assignment_expression":
        return this.#behind(node.childForFieldName("right"));
      case "conditional_expression": {
        const chosen = node.childForFieldName("consequence") ?? node.childForFieldName("condition");
        return [...this.#behind(chosen), ...this.#behind(node.childForFieldName("alternative"))];
      }
      case "binary_expression":
      case "update_expression":
      case "unary_expression":
        return node.namedChildren.flatMap((child) =>
          this.expressions.of(child).kind === "scalar" ? [] : this.#behind(child),
        );
      case "identifier": {
        const variable = this.expressions.bindings.variable(node);
        return variable === undefined ? [] : [this.#cellsOf(variable).content];
      }
      case "field_expression":
      case "subscript_expression":
        return this.expressions.of(node).kind === "array" ? this.#place(node).cells : [];
      case "pointer_expression":
        return node.firstChild?.type === "*" ? [] : this.#place(argumentOf(node)).cells;
      case "call_expression":
        return this.#behindCall(node);
      default:
        return [];
    }
  }

  #behindCall(node: SyntaxNode): readonly Cell[] {
    const callee = node.childForFieldName("function");
    if (callee?.type === "field_expression") {
      const table = argumentOf(callee)?.text ?? "";
      const isLookup = MAP_METHOD.test(callee.childForFieldName("field")?.text ?? "");
      return this.#isTable(table) && isLookup ? [this.#tableCell(table)] : [];
    }
    const own = this.#functions.get(callee?.text ?? "");
    return own === undefined ? [] : [own.content];
  }

  /** The origin of a value that is loaded from a place. */
  #loaded(type: CType, { where, cells }: Place, found: FoundMember | undefined): number {
    if (type.kind === "pointer" && type.isUser) return from.user;
    const isRecord = type.kind === "pointer" && type.to.kind === "record";
    let origin = this.#read(cells);
    // In a table a pointer is a number to the verifier, whatever it was before.
    if ((where & from.map) !== 0 && (origin & (own | from.trusted)) !== 0)
      origin = (origin & ~(own | from.trusted)) | from.kernel;
    if ((where & from.context) !== 0) origin |= fromContext(found);
    if ((where & from.arguments) !== 0) origin |= from.trusted;
    if ((where & from.trusted) !== 0) origin |= isRecord ? from.trusted : from.either;
    // Kernel structures hold addresses of processes too, and not every kernel's types say which they are.
    if ((where & from.kernel) !== 0) origin |= isRecord ? from.kernel : from.either;
    if ((where & from.either) !== 0) origin |= from.either;
    if ((where & from.user) !== 0) origin |= from.user;
    if ((where & from.unknown) !== 0) origin |= from.unknown;
    return origin;
  }

  #cast(node: SyntaxNode): number {
    const value = node.childForFieldName("value");
    const origin = this.#maybe(value);
    if ((origin & from.trusted) === 0 || value === null) return origin;
    // The verifier goes by the type the pointer had.
    const before = pointee(this.expressions.of(value));
    const after = pointee(this.expressions.of(node));
    const isOther =
      before.kind === "record" && after.kind === "record" && before.record.name !== after.record.name;
    return isOther && after.record.origin !== "context" ? (origin & ~from.trusted) | from.kernel : origin;
  }

  #binary(node: SyntaxNode): number {
    if (isComparison(node.childForFieldName("operator")?.type ?? "")) return 0;
    const sides = [node.childForFieldName("left"), node.childForFieldName("right")];
    const [left, right] = sides.map((side) => (side === null ? undefined : this.expressions.of(side).kind));
    const isPointer = (kind: CType["kind"] | undefined) => kind === "pointer" || kind === "array";
    // What is added to a pointer does not move it into other memory.
    if (isPointer(left) && right === "scalar") return this.#maybe(sides[0]);
    if (isPointer(right) && left === "scalar") return this.#maybe(sides[1]);
    return this.#maybe(sides[0]) | this.#maybe(sides[1]);
  }

  #call(node: SyntaxNode): number {
    const callee = node.childForFieldName("function");
    if (callee?.type === "field_expression") {
      const isLookup = MAP_METHOD.test(callee.childForFieldName("field")?.text ?? "");
      return this.#isTable(argumentOf(callee)?.text ?? "") && isLookup ? from.map : 0;
    }
    const name = callee?.text ?? "";
    const function_ = this.#functions.get(name);
    if (function_ !== undefined) return this.#read([function_.result]);
    if (name === "bcc_parm") return from.either;
    if (name === "bcc_syscall_parm" || name === "bcc_ia32_parm") return from.user;
    if (name.startsWith("PT_REGS_")) return this.#register(name, argumentsOf(node)[0]);
    if (name === "bpf_get_current_task") return from.kernel;
    if (MAP_RESULT.test(name)) return from.map;
    if (COPY.test(name)) return this.#maybe(argumentsOf(node)[0]);
    // The verifier knows what other helpers and kernel functions give.
    if (name.startsWith("bpf_") || this.expressions.bindings.prototypes.has(name)) return from.trusted;
    return from.unknown;
  }

  /** A register: of the probe, or, where the registers were fetched themselves, of a process in a system call. */
  #register(name: string, registers: SyntaxNode | undefined): number {
    if (name === "PT_REGS_SYSCALL_CTX" || name === "PT_REGS_SYSCALL_REGS") return from.kernel;
    const origin = this.#maybe(registers);
    if (origin === 0) return 0;
    return (origin & external) !== 0 && (origin & checked) === 0 ? from.user : from.either;
  }

  /* ---- flows ---- */

  #addFunction(
    found: FunctionNode,
    roleOf: (name: string, contextType: CType) => FunctionRole | undefined,
  ): void {
    const [first] = found.parameters;
    const firstType: CType = first === undefined ? { kind: "unknown" } : this.expressions.ofVariable(first);
    const role = roleOf(found.name, firstType);
    const cells: FunctionCells = { found, role, result: new Cell(), content: new Cell() };
    this.#functions.set(found.name, cells);
    this.#byNode.set(found.node, cells);
    if (role === undefined) return;
    const isWords = role.context === "trusted" && pointee(firstType).kind === "scalar";
    for (const [index, parameter] of found.parameters.entries()) {
      if (parameter === undefined) continue;
      const type = this.expressions.ofVariable(parameter);
      const isUser = type.kind === "pointer" && type.isUser;
      const origin = isUser ? from.user : role.parameters;
      const context = isWords ? from.arguments : from.context;
      this.#cellsOf(parameter).value.origin = index === 0 ? context : origin;
    }
  }

  /** Everything that moves a value from one name to another. */
  #flowsOf(root: SyntaxNode): readonly Flow[] {
    const flows: Flow[] = [];
    for (const variable of this.expressions.bindings.variables) {
      const { initial } = variable;
      const type = this.expressions.ofVariable(variable);
      if (type.kind === "pointer" && type.isUser)
        flows.push(() => this.#add([this.#cellsOf(variable).value], from.user));
      if (initial === null) continue;
      const { value, content } = this.#cellsOf(variable);
      const isWhole = type.kind === "array" || type.kind === "record";
      flows.push(() => this.#store([isWhole ? content : value], isWhole ? [] : [content], type, initial));
    }
    const nodes = ["assignment_expression", "call_expression", "return_statement", "function_definition"];
    let current: FunctionCells | undefined;
    for (const node of root.descendantsOfType(nodes)) {
      if (node.type === "function_definition") {
        current = this.#byNode.get(node);
      } else if (node.type === "call_expression") {
        flows.push(() => this.#passArguments(node));
      } else if (node.type === "return_statement") {
        const value = node.namedChildren.at(-1);
        const target = current;
        if (value === undefined || target === undefined) continue;
        flows.push(() => {
          this.#add([target.result], this.of(value));
          this.#link([target.content], this.#behind(value));
        });
      } else {
        const left = node.childForFieldName("left");
        const right = node.childForFieldName("right");
        if (left !== null && right !== null) flows.push(() => this.#assign(left, right));
      }
    }
    return flows;
  }

  #assign(left: SyntaxNode, right: SyntaxNode): void {
    const type = this.expressions.of(left);
    const { cells } = this.#place(left);
    const isWhole = type.kind === "array" || type.kind === "record";
    const first = cells.slice(0, left.type === "field_expression" && !isWhole ? 1 : undefined);
    this.#store(first, isWhole ? [] : this.#behind(left), type, right);
  }

  /**
   * @param cells what takes the value
   * @param behind what the value points to from then on
   */
  #store(cells: readonly Cell[], behind: readonly Cell[], type: CType, value: SyntaxNode): void {
    if (value.type === "initializer_list") return this.#initialise(cells, type, value);
    if (type.kind === "record") {
      this.#add(cells, this.#copied(this.#place(value)));
      return;
    }
    this.#add(cells, this.of(value));
    this.#link(behind, this.#behind(value));
  }

  /** What may be found in a copy of memory. */
  #copied({ where, cells }: Place): number {
    const origin = this.#read(cells);
    if ((where & (from.kernel | from.either | from.trusted)) !== 0) return origin | from.either;
    if ((where & from.user) !== 0) return origin | from.user;
    return (where & from.unknown) !== 0 ? origin | from.unknown : origin;
  }

  /** `{ .task = p, 7 }`, `{ p, q }`. */
  #initialise(cells: readonly Cell[], type: CType, list: SyntaxNode): void {
    const record = type.kind === "record" ? type.record : undefined;
    let index = 0;
    for (const child of list.namedChildren) {
      let value: SyntaxNode | null = child;
      let name = record?.names()[index++];
      if (child.type === "initializer_pair") {
        value = child.childForFieldName("value") ?? child.namedChildren.at(-1) ?? null;
        const designator = child.namedChildren[0];
        if (designator?.type === "field_designator") {
          name = designator.namedChildren[0]?.text;
          index = (record?.names().indexOf(name ?? "") ?? -1) + 1;
        }
      }
      if (value === null) continue;
      const found = name === undefined ? undefined : record?.member(name);
      const element = type.kind === "array" ? type.of : (found?.type ?? { kind: "unknown" });
      const isOwn = record?.origin === "user" && name !== undefined && found !== undefined;
      const targets = isOwn
        ? [this.#memberCell({ record: { kind: "record", record: record! }, name: name!, member: found })]
        : cells;
      this.#store(targets, [], element, value);
    }
  }

  /** Two addresses of one thing: what comes in by one is found by the other. */
  #link(a: readonly Cell[], b: readonly Cell[]): void {
    if (a.length === 0 || b.length === 0) return;
    const origin = this.#read(a) | this.#read(b);
    this.#add(a, origin);
    this.#add(b, origin);
  }

  #passArguments(node: SyntaxNode): void {
    const callee = node.childForFieldName("function");
    const list = argumentsOf(node);
    if (callee?.type === "field_expression") return this.#passToTable(callee, list);
    const name = callee?.text ?? "";
    const own = this.#functions.get(name);
    if (own !== undefined) {
      for (const [index, parameter] of own.found.parameters.entries()) {
        const argument = list[index];
        if (parameter === undefined || argument === undefined) continue;
        const { value, content } = this.#cellsOf(parameter);
        const type = this.expressions.ofVariable(parameter);
        if (type.kind === "record") this.#store([content], [], type, argument);
        else this.#store([value], [content], type, argument);
      }
      return;
    }
    const read = READ_HELPER.exec(name);
    if (read !== null) {
      const isUser = read[1] === "_user" || name.startsWith("bpf_copy");
      return this.#add(this.#behind(list[0]), isUser ? from.user : from.either);
    }
    if (name === "bpf_usdt_readarg") return this.#add(this.#behind(list[2]), from.user);
    if (COPY.test(name) && list[1] !== undefined) {
      this.#add(this.#behind(list[0]), this.#copied(this.#target(list[1])));
      return;
    }
    for (const argument of list) this.#add(this.#behind(argument), from.unknown);
  }

  #passToTable(callee: SyntaxNode, list: readonly SyntaxNode[]): void {
    const table = argumentOf(callee)?.text ?? "";
    const method = callee.childForFieldName("field")?.text ?? "";
    if (!this.#isTable(table)) return;
    const cell = this.#tableCell(table);
    if (STORING_METHOD.test(method)) {
      this.#add([cell], this.#read(this.#behind(list[method === "push" ? 0 : 1])));
    } else if (TAKING_METHOD.test(method)) {
      const origin = this.#read([cell]);
      const isOwn = (origin & (own | from.trusted)) !== 0;
      const taken = isOwn ? (origin & ~(own | from.trusted)) | from.kernel : origin | from.unknown;
      this.#add(this.#behind(list[0]), taken);
    }
  }
}

function argumentOf(node: SyntaxNode): SyntaxNode | null {
  return node.childForFieldName("argument");
}

function argumentsOf(call: SyntaxNode): readonly SyntaxNode[] {
  return call.childForFieldName("arguments")?.namedChildren ?? [];
}

/** Where what a program's context holds comes from. */
function fromContext(found: FoundMember | undefined): number {
  const record = found?.record.record.name ?? "";
  if (NETWORK.test(record)) return PACKET_MEMBERS.test(found!.name) ? from.packet : from.trusted;
  if (record.startsWith("tracepoint__syscalls__")) return from.user;
  if (record.startsWith("bpf_iter__")) return from.trusted;
  return from.either;
}
