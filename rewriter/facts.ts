import { programKinds, roleOfFunction, roleOfSection } from "../framework/programs/kinds.ts";
import type { MapKindName } from "../maps/kinds.ts";
import { firstIndex, type Range, splitArguments, tokenAfter } from "./lexer.ts";
import { type AttributeUse, type NormalizedText, normalize } from "./normalize.ts";
import { parseC, type SyntaxNode } from "./parser.ts";

/** A parameter of a function. */
export interface Parameter extends Range {
  /** "" when it has none. */
  readonly name: string;
  readonly isPointer: boolean;
  /** A struct or union by value. */
  readonly isRecord: boolean;
}

/** A function that the source defines. */
export interface FunctionFact extends Range {
  readonly name: string;
  readonly nameRange: Range;
  /** For others to call: static, also by a declaration's word, or called and taking nothing that a probe passes. */
  readonly isHelper: boolean;
  /** The section its attribute names, or null. */
  readonly section: string | null;
  readonly isNoinline: boolean;
  /** Its own attribute has it inlined; the word `inline` alone only allows it. */
  readonly isAlwaysInline: boolean;
  readonly returnsVoid: boolean;
  readonly parameters: readonly Parameter[];
  /** Whether the first parameter is a pointer to what some kind of program gets, or to void. */
  readonly takesContext: boolean;
  /** The block with its braces. */
  readonly body: Range;
}

/** A declaration of a function without a body, at file scope and alone in its statement. */
export interface Prototype extends Range {
  readonly name: string;
  readonly nameRange: Range;
  /** Where the word `extern` stands, or null. */
  readonly extern: Range | null;
}

/** A table that the source declares through one of BCC's macros. */
export interface TableFact {
  readonly name: string;
  readonly kind: TableKind;
  /** The C type of its values; "" when the kind has none. */
  readonly value: string;
  /** Where in a BPF file system it is kept, or null. */
  readonly pin: string | null;
  /** Other BPF objects of the process may use it under its name. */
  readonly isPublic: boolean;
  /** Where its macro stands. */
  readonly offset: number;
}

/** A histogram is an array or a hash, as its key says; an extern table is of the kind that another object gave it. */
export type TableKind = MapKindName | "histogram" | "extern";

/** A call of a method on a variable: `receiver.method(arguments)`. */
export interface MethodCall extends Range {
  readonly receiver: string;
  readonly receiverRange: Range;
  readonly method: string;
  readonly methodRange: Range;
  /** From behind the method's name to behind the opening bracket. */
  readonly open: Range;
  readonly arguments: readonly Range[];
}

/** A call of a member through a pointer: `pointer->method(arguments)`. */
export interface PointerCall {
  readonly method: string;
  readonly methodRange: Range;
}

/** A call of a function by name. */
export interface FunctionCall extends Range {
  readonly name: string;
  readonly nameRange: Range;
  readonly arguments: readonly Range[];
}

/** What one walk over a source finds: plain data with ranges into the preprocessed text. */
export interface Facts {
  readonly text: string;
  readonly normalized: NormalizedText;
  /** The tree of the normalized text. */
  readonly root: SyntaxNode;
  /** What nests so deep that nothing is known of its parts, or null. */
  readonly tooDeep: Range | null;
  readonly functions: readonly FunctionFact[];
  readonly prototypes: readonly Prototype[];
  readonly methodCalls: readonly MethodCall[];
  /** Method calls in the arguments of a declaring macro, where none can be. */
  readonly declaringCalls: readonly MethodCall[];
  readonly calls: readonly FunctionCall[];
  readonly pointerCalls: readonly PointerCall[];
  /** Whether a name at an offset means a local variable or a parameter. */
  isLocal(name: string, offset: number): boolean;
  /** Names of file scope: functions, variables, typedefs, enumerators. */
  readonly fileNames: ReadonlySet<string>;
  /** Struct, union and enum tags that the source defines. */
  readonly tags: ReadonlySet<string>;
  /** Sections that attributes name, wherever they stand. */
  readonly sections: ReadonlySet<string>;
}

/** Whether a source is in libbpf's dialect: functions whose sections it names itself. It is left as it is. */
export function isLibbpf(facts: Facts): boolean {
  return (
    facts.functions.some((fact) => fact.section !== null) ||
    [...facts.sections].some((section) => roleOfSection(section) !== null)
  );
}

interface LocalName extends Range {
  readonly name: string;
}

const STATEMENTS = new Set(["if", "for", "while", "switch", "return"]);

const SECTION = /section\s*\(\s*"([^"]*)"/;

/** What the walk looks at. The parser finds them all in one pass, in the order of the text. */
const NODES = [
  "function_definition",
  "declaration",
  "type_definition",
  "struct_specifier",
  "union_specifier",
  "enum_specifier",
  "enumerator",
  "compound_statement",
  "for_statement",
];

/** Parses preprocessed text and collects what the passes need. */
export function collectFacts(text: string): Facts {
  const normalized = normalize(text);
  const { root, tooDeep } = parseC(normalized.text);
  const walk = new Walk(normalized);
  for (const node of root.descendantsOfType(NODES)) walk.visit(node);
  const { prototypes, fileNames, tags } = walk;
  const found = collectCalls(text, normalized, walk.declarators);
  const declares = coverage(normalized.declarators);
  const calls = found.calls.filter(({ start }) => !declares(start));
  const called = new Set(calls.map((call) => call.name));
  const functions = walk.functions.map((fact): FunctionFact => {
    const isCalled = called.has(fact.name) && !fact.takesContext && roleOfFunction(fact.name) === null;
    return { ...fact, isHelper: fact.isHelper || isCalled || walk.staticNames.has(fact.name) };
  });
  const sections = new Set<string>();
  for (const { text: attribute } of normalized.attributes) {
    const section = SECTION.exec(attribute)?.[1];
    if (section !== undefined) sections.add(section);
  }
  return {
    text,
    normalized,
    root,
    tooDeep: tooDeep === undefined ? null : rangeOf(tooDeep),
    functions,
    prototypes,
    methodCalls: found.methodCalls.filter(({ start }) => !declares(start)),
    declaringCalls: found.methodCalls.filter(({ start }) => declares(start)),
    calls,
    pointerCalls: found.pointerCalls,
    isLocal: localFinder(walk.locals),
    fileNames,
    tags,
    sections,
  };
}

/** Gathers facts from the nodes of one tree, which must come in the order of the text. */
class Walk {
  readonly functions: FunctionFact[] = [];
  readonly prototypes: Prototype[] = [];
  readonly locals: LocalName[] = [];
  readonly fileNames = new Set<string>();
  readonly tags = new Set<string>();
  /** Functions that a declaration says are static. */
  readonly staticNames = new Set<string>();
  /** Offsets of names that functions are declared by, which look like calls. */
  readonly declarators = new Set<number>();
  readonly #normalized: NormalizedText;
  readonly #attributes: AttributeFinder;
  /** Typedefs of structs and unions. */
  readonly #records = new Set<string>();
  /** Ends of the blocks and loops around the current node. */
  readonly #blocks: number[] = [];

  constructor(normalized: NormalizedText) {
    this.#normalized = normalized;
    this.#attributes = new AttributeFinder(normalized.attributes);
  }

  visit(node: SyntaxNode): void {
    const { startIndex } = node;
    while (this.#blocks.length > 0 && this.#blocks.at(-1)! <= startIndex) this.#blocks.pop();
    switch (node.type) {
      case "function_definition":
        return this.#visitFunction(node);
      case "declaration":
      case "type_definition":
        return this.#visitDeclaration(node);
      case "enumerator": {
        const name = node.childForFieldName("name");
        if (name !== null) this.fileNames.add(this.#textOf(name));
        return;
      }
      case "compound_statement":
      case "for_statement":
        this.#blocks.push(node.endIndex);
        return;
      default: {
        const tag = node.childForFieldName("name");
        if (tag !== null && node.childForFieldName("body") !== null) this.tags.add(this.#textOf(tag));
      }
    }
  }

  #textOf(node: SyntaxNode): string {
    return this.#normalized.text.slice(node.startIndex, node.endIndex);
  }

  #visitFunction(node: SyntaxNode): void {
    const body = node.childForFieldName("body");
    const outer = node.childForFieldName("declarator");
    const declarator = functionDeclarator(outer);
    const nameNode = declarator?.childForFieldName("declarator");
    if (body === null || declarator === undefined || nameNode?.type !== "identifier") return;
    // Text before it did not parse; the compiler says so better.
    if (STATEMENTS.has(nameNode.text)) return;
    const range = rangeOf(node);
    const nameRange = rangeOf(nameNode);
    const bodyRange = rangeOf(body);
    const name = this.#textOf(nameNode);
    const own = this.#attributes.within(this.#startOfItem(range.start), bodyRange.start);
    const specifiers = this.#normalized.text.slice(range.start, nameRange.start);
    const parameters = this.#parametersOf(declarator);
    this.functions.push({
      ...range,
      name,
      nameRange,
      isHelper: /\bstatic\b/.test(specifiers),
      isAlwaysInline: own.some(({ text }) => text.includes("always_inline")),
      returnsVoid: node.childForFieldName("type")?.text === "void" && outer?.type === "function_declarator",
      isNoinline: own.some(({ text }) => text.includes("noinline")),
      section:
        own.map(({ text }) => SECTION.exec(text)?.[1]).find((section) => section !== undefined) ?? null,
      parameters,
      takesContext: this.#isContext(parameters[0]),
      body: bodyRange,
    });
    this.fileNames.add(name);
    this.declarators.add(nameRange.start);
    for (const parameter of parameters) {
      if (parameter.name !== "")
        this.locals.push({ name: parameter.name, start: parameter.start, end: range.end });
    }
  }

  /** Where the attributes of an item may begin: behind what came before it. They were blanked, so no node has them. */
  #startOfItem(start: number): number {
    const { text, tokens } = this.#normalized;
    for (let i = tokenAfter(tokens, start) - 1; i >= 0; i--) {
      const { end } = tokens[i]!;
      // In the normalised text an attribute and a declared table are blanks.
      if (text[end - 1] === ";" || text[end - 1] === "}") return end;
    }
    return 0;
  }

  #visitDeclaration(node: SyntaxNode): void {
    const isLocal = this.#blocks.length > 0;
    const declarators = node.childrenForFieldName("declarator");
    const isRecord =
      node.type === "type_definition" && isRecordNode(node.childForFieldName("type"), this.#records);
    for (const declarator of declarators) {
      const leaf = leafName(declarator);
      if (leaf === undefined) continue;
      const name = this.#textOf(leaf);
      if (isLocal) this.locals.push({ name, start: leaf.startIndex, end: this.#blocks.at(-1)! });
      else this.fileNames.add(name);
      if (isRecord && declarator.type === "type_identifier") this.#records.add(name);
      const inner = functionDeclarator(declarator);
      if (inner === undefined || node.type !== "declaration") continue;
      this.declarators.add(leaf.startIndex);
      if (!isLocal) this.#visitPrototype(node, leaf, declarators.length === 1);
    }
  }

  #visitPrototype(node: SyntaxNode, leaf: SyntaxNode, isAlone: boolean): void {
    const name = this.#textOf(leaf);
    const nameRange = rangeOf(leaf);
    const range = rangeOf(node);
    const specifiers = this.#normalized.text.slice(range.start, nameRange.start);
    if (/\bstatic\b/.test(specifiers)) this.staticNames.add(name);
    if (!isAlone) return;
    const at = specifiers.search(/\bextern\b/);
    const extern = at < 0 ? null : { start: range.start + at, end: range.start + at + "extern".length };
    this.prototypes.push({ ...range, name, nameRange, extern });
  }

  #parametersOf(declarator: SyntaxNode): readonly Parameter[] {
    const list = declarator.childForFieldName("parameters");
    const nodes = list?.namedChildren.filter((child) => child.type === "parameter_declaration") ?? [];
    const parameters = nodes.map((node) => {
      const inner = node.childForFieldName("declarator");
      const name = inner === null ? undefined : leafName(inner);
      const isPointer = inner !== null && inner.type !== "identifier";
      return {
        ...rangeOf(node),
        name: name === undefined ? "" : this.#textOf(name),
        isPointer,
        isRecord: !isPointer && isRecordNode(node.childForFieldName("type"), this.#records),
      };
    });
    return parameters.length === 1 && nodes[0]!.text === "void" ? [] : parameters;
  }

  #isContext(parameter: Parameter | undefined): boolean {
    if (parameter?.isPointer !== true) return false;
    const type = this.#normalized.text.slice(parameter.start, parameter.end);
    const words = type.split(/\W+/);
    return (
      words.includes("void") || words.some((word) => contexts.has(word) || word.startsWith("tracepoint__"))
    );
  }
}

/** Struct tags of what programs get. */
const contexts: ReadonlySet<string> = new Set(
  Object.values(programKinds).flatMap(({ context }) => context.split(" ").slice(1)),
);

/** Finds attributes by place. */
class AttributeFinder {
  readonly #attributes: readonly AttributeUse[];

  /** @param attributes in the order of the text */
  constructor(attributes: readonly AttributeUse[]) {
    this.#attributes = attributes;
  }

  within(start: number, end: number): readonly AttributeUse[] {
    const low = firstIndex(this.#attributes.length, (index) => this.#attributes[index]!.start >= start);
    let after = low;
    while (after < this.#attributes.length && this.#attributes[after]!.end <= end) after++;
    return this.#attributes.slice(low, after);
  }
}

function isRecordNode(type: SyntaxNode | null, records: ReadonlySet<string>): boolean {
  if (type === null) return false;
  if (type.type === "struct_specifier" || type.type === "union_specifier") return true;
  return type.type === "type_identifier" && records.has(type.text);
}

/** Looks through pointers: the declarator of `struct s *f(int a)` is the part `f(int a)`. */
function functionDeclarator(node: SyntaxNode | null): SyntaxNode | undefined {
  let at = node;
  while (at !== null && at.type !== "function_declarator") {
    if (at.type !== "pointer_declarator") return undefined;
    at = at.childForFieldName("declarator");
  }
  return at ?? undefined;
}

/** The identifier inside a declarator. */
function leafName(node: SyntaxNode): SyntaxNode | undefined {
  let at: SyntaxNode | null = node;
  while (at !== null) {
    // The grammar knows names such as bool and uint32_t as types, also where a source defines them.
    if (/^(?:identifier|type_identifier|primitive_type)$/.test(at.type)) return at;
    at =
      at.childForFieldName("declarator") ??
      at.namedChildren.find((child) => /declarator$/.test(child.type)) ??
      null;
  }
  return undefined;
}

function localFinder(locals: readonly LocalName[]): Facts["isLocal"] {
  const byName = new Map<string, LocalName[]>();
  for (const local of locals) {
    const known = byName.get(local.name);
    if (known === undefined) byName.set(local.name, [local]);
    else known.push(local);
  }
  const finders = new Map<string, (offset: number) => boolean>();
  for (const [name, ranges] of byName) finders.set(name, coverage(ranges));
  return (name, offset) => finders.get(name)?.(offset) ?? false;
}

/** Whether any of some ranges, which may lie within one another, has an offset. */
function coverage(ranges: readonly Range[]): (offset: number) => boolean {
  const sorted = ranges.toSorted((a, b) => a.start - b.start);
  let last = 0;
  // Up to each range, the end of the one that reaches farthest.
  const ends = sorted.map(({ end }) => {
    last = Math.max(last, end);
    return last;
  });
  return (offset) => {
    const behind = firstIndex(sorted.length, (index) => sorted[index]!.start > offset);
    return behind > 0 && ends[behind - 1]! > offset;
  };
}

/** Words before a bracket that call nothing. */
const KEYWORDS = new Set([
  "if",
  "while",
  "for",
  "switch",
  "return",
  "sizeof",
  "_Alignof",
  "_Generic",
  "_Static_assert",
]);

/**
 * Calls are found among the tokens: their shape needs no grammar, and so an expression that the grammar misreads, or
 * the operand of typeof, hides none.
 */
function collectCalls(
  text: string,
  { tokens, partners }: NormalizedText,
  declarators: ReadonlySet<number>,
): Pick<Facts, "methodCalls" | "calls" | "pointerCalls"> {
  const methodCalls: MethodCall[] = [];
  const pointerCalls: PointerCall[] = [];
  const calls: FunctionCall[] = [];
  const spelled = (index: number): string => {
    const token = tokens[index];
    return token === undefined ? "" : text.slice(token.start, token.end);
  };
  for (let open = 0; open < partners.length; open++) {
    const close = partners[open]!;
    if (close < 0 || text[tokens[open]!.start] !== "(") continue;
    const callee = tokens[open - 1];
    if (callee?.kind !== "name") continue;
    const name = spelled(open - 1);
    const before = spelled(open - 2);
    const end = tokens[close]!.end;
    if (before === ".") {
      const receiver = tokens[open - 3];
      const prior = spelled(open - 4);
      if (receiver?.kind !== "name" || prior === "." || prior === "->") continue;
      methodCalls.push({
        start: receiver.start,
        end,
        receiver: spelled(open - 3),
        receiverRange: rangeOfToken(receiver),
        method: name,
        methodRange: rangeOfToken(callee),
        open: { start: callee.end, end: tokens[open]!.end },
        arguments: splitArguments(text, tokens, partners, open),
      });
    } else if (before === "->") {
      pointerCalls.push({ method: name, methodRange: rangeOfToken(callee) });
    } else if (!KEYWORDS.has(name) && !declarators.has(callee.start)) {
      calls.push({
        start: callee.start,
        end,
        name,
        nameRange: rangeOfToken(callee),
        arguments: splitArguments(text, tokens, partners, open),
      });
    }
  }
  return { methodCalls, calls, pointerCalls };
}

function rangeOf(node: SyntaxNode): Range {
  return { start: node.startIndex, end: node.endIndex };
}

function rangeOfToken({ start, end }: Range): Range {
  return { start, end };
}
