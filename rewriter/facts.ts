import type { MapKindName } from "../maps/kinds.ts";
import type { Range } from "./lexer.ts";
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
  readonly isStatic: boolean;
  /** The section its attribute names, or null. */
  readonly section: string | null;
  readonly isNoinline: boolean;
  readonly isInline: boolean;
  readonly returnsVoid: boolean;
  readonly parameters: readonly Parameter[];
  /** The block with its braces. */
  readonly body: Range;
}

/** A table that the source declares through one of BCC's macros. */
export interface TableFact {
  readonly name: string;
  readonly kind: MapKindName | "histogram";
  /** The C type of its values; "" when the kind has none. */
  readonly value: string;
}

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
  readonly functions: readonly FunctionFact[];
  readonly methodCalls: readonly MethodCall[];
  readonly calls: readonly FunctionCall[];
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
  return facts.functions.some((fact) => fact.section !== null);
}

interface LocalName extends Range {
  readonly name: string;
}

const SECTION = /section\s*\(\s*"([^"]*)"/;

/** Parses preprocessed text and collects what the passes need. */
export function collectFacts(text: string): Facts {
  const normalized = normalize(text);
  const root = parseC(normalized.text).rootNode;
  const functions: FunctionFact[] = [];
  const locals: LocalName[] = [];
  const fileNames = new Set<string>();
  const tags = new Set<string>();

  for (const node of root.descendantsOfType("function_definition")) {
    const fact = functionFact(node, normalized.attributes);
    if (fact === undefined) continue;
    functions.push(fact);
    fileNames.add(fact.name);
    for (const parameter of fact.parameters) {
      if (parameter.name !== "") locals.push({ name: parameter.name, start: parameter.start, end: fact.end });
    }
  }
  for (const node of root.descendantsOfType(["declaration", "type_definition"])) {
    const block = enclosingBlock(node);
    for (const name of declaredNames(node)) {
      if (block === undefined) fileNames.add(name.text);
      else locals.push({ name: name.text, start: name.endIndex, end: block.endIndex });
    }
  }
  for (const node of root.descendantsOfType(["struct_specifier", "union_specifier", "enum_specifier"])) {
    const tag = node.childForFieldName("name");
    if (tag !== null && node.childForFieldName("body") !== null) tags.add(tag.text);
  }
  for (const node of root.descendantsOfType("enumerator")) {
    const name = node.childForFieldName("name");
    if (name !== null) fileNames.add(name.text);
  }

  const methodCalls: MethodCall[] = [];
  const calls: FunctionCall[] = [];
  for (const node of root.descendantsOfType("call_expression")) {
    const callee = node.childForFieldName("function");
    const list = node.childForFieldName("arguments");
    if (callee === null || list === null) continue;
    if (callee.type === "identifier") {
      calls.push({ ...rangeOf(node), name: callee.text, nameRange: rangeOf(callee), arguments: argumentsOf(list) });
    } else if (callee.type === "field_expression") {
      const call = methodCall(node, callee, list);
      if (call !== undefined) methodCalls.push(call);
    }
  }

  const localsByName = new Map<string, LocalName[]>();
  for (const local of locals) {
    const known = localsByName.get(local.name);
    if (known === undefined) localsByName.set(local.name, [local]);
    else known.push(local);
  }
  const sections = new Set<string>();
  for (const { text: attribute } of normalized.attributes) {
    const section = SECTION.exec(attribute)?.[1];
    if (section !== undefined) sections.add(section);
  }
  return {
    text,
    normalized,
    root,
    functions,
    methodCalls,
    calls,
    isLocal: (name, offset) =>
      localsByName.get(name)?.some((local) => local.start <= offset && offset < local.end) ?? false,
    fileNames,
    tags,
    sections,
  };
}

function functionFact(node: SyntaxNode, attributes: readonly AttributeUse[]): FunctionFact | undefined {
  const body = node.childForFieldName("body");
  const declarator = functionDeclarator(node.childForFieldName("declarator"));
  const name = declarator?.childForFieldName("declarator");
  if (body === null || declarator === undefined || name?.type !== "identifier") return undefined;
  // Attributes before the first specifier were blanked, so they lie between the previous item and the node.
  const from = node.previousSibling?.endIndex ?? 0;
  const own = attributes.filter((attribute) => attribute.start >= from && attribute.end <= body.startIndex);
  const head = node.text.slice(0, body.startIndex - node.startIndex);
  const specifiers = head.slice(0, Math.max(0, name.startIndex - node.startIndex));
  return {
    ...rangeOf(node),
    name: name.text,
    nameRange: rangeOf(name),
    isStatic: /\bstatic\b/.test(specifiers),
    isInline: /\binline\b/.test(specifiers) || own.some(({ text }) => text.includes("always_inline")),
    returnsVoid: node.childForFieldName("type")?.text === "void" && node.childForFieldName("declarator")?.type === "function_declarator",
    isNoinline: own.some(({ text }) => text.includes("noinline")),
    section: own.map(({ text }) => SECTION.exec(text)?.[1]).find((section) => section !== undefined) ?? null,
    parameters: parametersOf(declarator),
    body: rangeOf(body),
  };
}

/** Looks through pointers: the declarator of `struct s *f(int a)` is the part `f(int a)`. */
function functionDeclarator(node: SyntaxNode | null): SyntaxNode | undefined {
  let at = node;
  while (at !== null && at.type !== "function_declarator") at = at.childForFieldName("declarator");
  return at ?? undefined;
}

function parametersOf(declarator: SyntaxNode): readonly Parameter[] {
  const list = declarator.childForFieldName("parameters");
  const nodes = list?.namedChildren.filter((child) => child.type === "parameter_declaration") ?? [];
  const parameters = nodes.map((node) => {
    const inner = node.childForFieldName("declarator");
    const type = node.childForFieldName("type");
    const name = inner === null ? undefined : leafName(inner);
    const isPointer = inner !== null && inner.type !== "identifier";
    return {
      ...rangeOf(node),
      name: name?.text ?? "",
      isPointer,
      isRecord: !isPointer && (type?.type === "struct_specifier" || type?.type === "union_specifier"),
    };
  });
  const only = parameters.length === 1 ? nodes[0]! : undefined;
  return only?.text === "void" ? [] : parameters;
}

/** The names a declaration introduces. */
function declaredNames(node: SyntaxNode): readonly SyntaxNode[] {
  const names: SyntaxNode[] = [];
  for (const declarator of node.childrenForFieldName("declarator")) {
    const name = leafName(declarator);
    if (name !== undefined) names.push(name);
  }
  return names;
}

/** The identifier inside a declarator. */
function leafName(node: SyntaxNode): SyntaxNode | undefined {
  let at: SyntaxNode | null = node;
  while (at !== null) {
    if (at.type === "identifier" || at.type === "type_identifier") return at;
    at = at.childForFieldName("declarator") ?? at.namedChildren.find((child) => /declarator$/.test(child.type)) ?? null;
  }
  return undefined;
}

/** The block or loop a local declaration belongs to; undefined at file scope. */
function enclosingBlock(node: SyntaxNode): SyntaxNode | undefined {
  for (let at = node.parent; at !== null; at = at.parent) {
    if (at.type === "compound_statement" || at.type === "for_statement") return at;
  }
  return undefined;
}

function methodCall(node: SyntaxNode, callee: SyntaxNode, list: SyntaxNode): MethodCall | undefined {
  const receiver = callee.childForFieldName("argument");
  const field = callee.childForFieldName("field");
  if (receiver?.type !== "identifier" || field === null) return undefined;
  if (callee.children.some((child) => child.type === "->")) return undefined;
  return {
    ...rangeOf(node),
    receiver: receiver.text,
    receiverRange: rangeOf(receiver),
    method: field.text,
    methodRange: rangeOf(field),
    open: { start: field.endIndex, end: list.startIndex + 1 },
    arguments: argumentsOf(list),
  };
}

function argumentsOf(list: SyntaxNode): readonly Range[] {
  return list.namedChildren.filter((child) => child.type !== "comment").map(rangeOf);
}

function rangeOf(node: SyntaxNode): Range {
  return { start: node.startIndex, end: node.endIndex };
}
