import type { SyntaxNode } from "./parser.ts";
import { declaredName } from "./types.ts";

/** A variable or parameter. */
export interface Variable {
  readonly name: string;
  /** The declaration with its specifiers. */
  readonly declaration: SyntaxNode;
  readonly declarator: SyntaxNode;
  /** What it is initialised with, or null. */
  readonly initial: SyntaxNode | null;
  readonly isGlobal: boolean;
  /** Where the name means this variable. */
  readonly start: number;
  readonly end: number;
}

/** A function that the source defines, or declares without a body. */
export interface FunctionNode {
  readonly name: string;
  readonly node: SyntaxNode;
  /** The declarator behind the specifiers, with the pointers of its result. */
  readonly declarator: SyntaxNode;
  /** Undefined where a parameter has no name; none of a function that is only declared. */
  readonly parameters: readonly (Variable | undefined)[];
}

/** What names mean where they stand: which variable an identifier is, by C's scopes. */
export interface Bindings {
  /** The text whose tree was walked. */
  readonly source: string;
  readonly functions: readonly FunctionNode[];
  /** Functions that are only declared, by name. */
  readonly prototypes: ReadonlyMap<string, FunctionNode>;
  readonly variables: readonly Variable[];
  /** The variable that an identifier of the tree stands for. */
  variable(identifier: SyntaxNode): Variable | undefined;
  /** The variable that a name means at an offset, for text that was parsed apart. */
  variableAt(name: string, offset: number): Variable | undefined;
}

interface Scope {
  readonly end: number;
  readonly names: string[];
}

const SCOPES = new Set(["function_definition", "compound_statement", "for_statement"]);
const NODES = [...SCOPES, "declaration", "parameter_declaration", "identifier", "primitive_type"];

/** Walks a tree once and binds every identifier. `isType` tells names that are types. */
export function bindNames(root: SyntaxNode, isType: (name: string) => boolean): Bindings {
  const walk = new Walk(root.source, isType);
  for (const node of root.descendantsOfType(NODES)) walk.visit(node);
  return walk;
}

class Walk implements Bindings {
  readonly source: string;
  readonly functions: FunctionNode[] = [];
  readonly prototypes = new Map<string, FunctionNode>();
  readonly variables: Variable[] = [];
  readonly #isType: (name: string) => boolean;
  readonly #byName = new Map<string, Variable[]>();
  /** Variables in scope at the current node, the innermost last. */
  readonly #visible = new Map<string, Variable[]>();
  readonly #scopes: Scope[] = [{ end: Number.MAX_SAFE_INTEGER, names: [] }];
  /** Names in declarators that are still to come, by node. */
  readonly #declared = new Map<number, Variable>();
  readonly #bound = new Map<number, Variable>();

  constructor(source: string, isType: (name: string) => boolean) {
    this.source = source;
    this.#isType = isType;
  }

  variable(identifier: SyntaxNode): Variable | undefined {
    return this.#bound.get(identifier.id);
  }

  variableAt(name: string, offset: number): Variable | undefined {
    let best: Variable | undefined;
    for (const variable of this.#byName.get(name) ?? []) {
      if (variable.start <= offset && offset < variable.end && variable.start >= (best?.start ?? 0))
        best = variable;
    }
    return best;
  }

  visit(node: SyntaxNode): void {
    while (this.#scopes.at(-1)!.end <= node.startIndex) this.#leave();
    if (SCOPES.has(node.type)) {
      this.#scopes.push({ end: node.endIndex, names: [] });
      if (node.type === "function_definition") this.#visitFunction(node);
      return;
    }
    if (node.type === "declaration") return this.#visitDeclaration(node);
    if (node.type === "parameter_declaration") return;
    const declared = this.#declared.get(node.id);
    if (declared !== undefined) return this.#enter(declared);
    const variable = this.#visible.get(node.text)?.at(-1);
    if (variable !== undefined) this.#bound.set(node.id, variable);
  }

  #leave(): void {
    for (const name of this.#scopes.pop()!.names) this.#visible.get(name)?.pop();
  }

  #enter(variable: Variable): void {
    this.#scopes.at(-1)!.names.push(variable.name);
    const visible = this.#visible.get(variable.name);
    if (visible === undefined) this.#visible.set(variable.name, [variable]);
    else visible.push(variable);
  }

  #visitFunction(node: SyntaxNode): void {
    const declarator = node.childForFieldName("declarator");
    const inner = declarator === null ? undefined : functionDeclarator(declarator);
    const name = inner?.childForFieldName("declarator")?.text;
    const list = inner?.childForFieldName("parameters")?.namedChildren;
    if (declarator === null || name === undefined || list === undefined) return;
    const parameters = list
      .filter((child) => child.type === "parameter_declaration")
      .map((child) => {
        const inner = child.childForFieldName("declarator");
        return inner === null ? undefined : this.#declare(child, inner, null);
      });
    this.functions.push({ name, node, declarator, parameters });
  }

  #declare(
    declaration: SyntaxNode,
    declarator: SyntaxNode,
    initial: SyntaxNode | null,
  ): Variable | undefined {
    const name = declaredName(declarator);
    if (name === undefined) return undefined;
    const { end } = this.#scopes.at(-1)!;
    const variable: Variable = {
      name: name.text,
      declaration,
      declarator,
      initial,
      isGlobal: this.#scopes.length === 1,
      start: name.startIndex,
      end,
    };
    this.variables.push(variable);
    this.#declared.set(name.id, variable);
    this.#bound.set(name.id, variable);
    const known = this.#byName.get(variable.name);
    if (known === undefined) this.#byName.set(variable.name, [variable]);
    else known.push(variable);
    return variable;
  }

  #visitDeclaration(node: SyntaxNode): void {
    const type = node.childForFieldName("type");
    // The grammar takes `a * b;` for a declaration; where "a" is a variable it is a product.
    const isProduct = type?.type === "type_identifier" && this.#visible.get(type.text)?.at(-1) !== undefined;
    if (isProduct && !this.#isType(type.text)) return;
    for (const declarator of node.childrenForFieldName("declarator")) {
      const value = declarator.type === "init_declarator" ? declarator.childForFieldName("value") : null;
      const name = functionDeclarator(declarator)?.childForFieldName("declarator")?.text;
      if (name === undefined) this.#declare(node, declarator, value);
      else this.prototypes.set(name, { name, node, declarator, parameters: [] });
    }
  }
}

/** Looks through pointers: the declarator of `struct s *f(int a)` is the part `f(int a)`. */
function functionDeclarator(node: SyntaxNode): SyntaxNode | undefined {
  let at: SyntaxNode | null = node;
  while (at !== null && at.type !== "function_declarator") {
    if (at.type !== "pointer_declarator") return undefined;
    at = at.childForFieldName("declarator");
  }
  return at?.childForFieldName("declarator")?.type === "identifier" ? at : undefined;
}
