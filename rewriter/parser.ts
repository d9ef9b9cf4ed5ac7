import { createRequire } from "node:module";
import type { Tree, TreeCursor } from "tree-sitter";

type Parser = import("tree-sitter");

let parser: Parser | undefined;

/** A parsed text. */
export interface SyntaxTree {
  readonly root: SyntaxNode;
  /** The first node that nests so deep that its parts were left out; undefined in every sensible source. */
  readonly tooDeep: SyntaxNode | undefined;
}

/**
 * Levels that a tree may have: what walks it may call itself for each. Compilers stop at 256 brackets; a chain of
 * operators or of else-ifs takes a level or two for each link.
 */
export const MOST_LEVELS = 1000;

/** Parses C text; offsets are UTF-16 units. The native parser loads on first use, so a cached object never pays for it. */
export function parseC(text: string): SyntaxTree {
  if (parser === undefined) {
    const require = createRequire(import.meta.url);
    const ParserClass = require("tree-sitter") as new () => Parser;
    parser = new ParserClass();
    // Without node types the parser makes no class for each of them, which takes longer than parsing.
    parser.setLanguage({ ...require("tree-sitter-c"), nodeTypeInfo: [] });
  }
  // The parser reads strings through a buffer of this many bytes and fails on longer ones.
  const tree = parser.parse(text, undefined, { bufferSize: Math.max(32 * 1024, text.length * 2 + 2) });
  return new TreeCopy(tree, text);
}

/**
 * A node of a syntax tree. The native tree is copied once, for every question to it is a call out of JavaScript, and
 * passes ask many. Names are tree-sitter's.
 */
export class SyntaxNode {
  /** Tells the nodes of a tree apart; counts from 0 in the order of the text, parents before their children. */
  readonly id: number;
  readonly parent: SyntaxNode | null;
  /** Its parts in order, without brackets, commas and semicolons. */
  readonly children: readonly SyntaxNode[];
  startIndex = -1;
  /** End of the last character, exclusive. */
  endIndex = -1;
  readonly #tree: TreeCopy;
  readonly #type: SyntaxType;
  /** What it is to its parent. */
  readonly #field: string | null;

  // Made once per token of a source, so its parts come one by one instead of in an object.
  constructor(tree: TreeCopy, type: SyntaxType, field: string | null, parent: SyntaxNode | null) {
    this.#tree = tree;
    this.#type = type;
    this.#field = field;
    this.id = tree.nodes.length;
    this.parent = parent;
    this.children = type.isToken ? NONE : [];
  }

  /** The grammar's name of it; for a token without meaning of its own, its text. */
  get type(): string {
    return this.#type.name;
  }

  get isNamed(): boolean {
    return this.#type.isNamed;
  }

  /** What it is to its parent, or null. */
  get field(): string | null {
    return this.#field;
  }

  /** The whole text that was parsed. */
  get source(): string {
    return this.#tree.source;
  }

  get text(): string {
    return this.#tree.source.slice(this.startIndex, this.endIndex);
  }

  get namedChildren(): readonly SyntaxNode[] {
    return this.children.filter((child) => child.isNamed);
  }

  /** The first child that is this to the node, or null. */
  childForFieldName(field: string): SyntaxNode | null {
    for (const child of this.children) if (child.#field === field) return child;
    return null;
  }

  childrenForFieldName(field: string): readonly SyntaxNode[] {
    return this.children.filter((child) => child.#field === field);
  }

  /** Nodes of these types at and below this one, in the order of the text. */
  descendantsOfType(types: string | readonly string[]): readonly SyntaxNode[] {
    const wanted = new Set(typeof types === "string" ? [types] : types);
    const { nodes } = this.#tree;
    let last: SyntaxNode = this;
    while (last.children.length > 0) last = last.children.at(-1)!;
    const found: SyntaxNode[] = [];
    for (let id = this.id; id <= last.id; id++) {
      const node = nodes[id]!;
      if (wanted.has(node.type)) found.push(node);
    }
    return found;
  }
}

const NONE: readonly SyntaxNode[] = [];

interface SyntaxType {
  readonly name: string;
  readonly isNamed: boolean;
  /** Never has children, so that the cursor need not try. */
  readonly isToken: boolean;
  /** Only bounds its neighbours: no node is made of it. */
  readonly isBound: boolean;
}

const NAMED_TOKENS = new Set([
  "identifier",
  "field_identifier",
  "type_identifier",
  "primitive_type",
  "number_literal",
  "comment",
]);
const BOUNDS = new Set(["(", ")", "[", "]", "{", "}", ",", ";"]);

/** Node types by the grammar's number. */
const types = new Map<number, SyntaxType>();
/** Field names by the grammar's number; 0 is none. */
const fields = new Map<number, string | null>([[0, null]]);

/** Copies a tree in one walk. A node's ends are those of its outermost tokens, so only tokens are asked for theirs. */
class TreeCopy implements SyntaxTree {
  /** Every node at its id. */
  readonly nodes: SyntaxNode[] = [];
  tooDeep: SyntaxNode | undefined;
  readonly source: string;
  readonly #cursor: TreeCursor;
  /** Tokens that the parser put in by itself are empty, so only in a faultless tree the text of a token says its end. */
  readonly #isFaultless: boolean;

  constructor(tree: Tree, source: string) {
    this.source = source;
    this.#cursor = tree.walk();
    this.#isFaultless = !tree.rootNode.hasError;
    this.#copyInto(this.#node(this.#type(), null, null));
  }

  get root(): SyntaxNode {
    return this.nodes[0]!;
  }

  #copyInto(root: SyntaxNode): void {
    const cursor = this.#cursor;
    let parent = root;
    let level = 1;
    if (!cursor.gotoFirstChild()) return;
    for (;;) {
      const type = this.#type();
      const node = type.isBound ? undefined : this.#addChild(parent, type);
      if (node !== undefined && !type.isToken && this.#mayDescend(node, level) && cursor.gotoFirstChild()) {
        parent = node;
        level++;
        continue;
      }
      const start = cursor.startIndex;
      const end = type.isNamed || !this.#isFaultless ? cursor.endIndex : start + type.name.length;
      for (let at = node ?? parent; at.startIndex < 0; at = at.parent ?? root) at.startIndex = start;
      if (node !== undefined) node.endIndex = end;
      while (!cursor.gotoNextSibling()) {
        parent.endIndex = end;
        if (parent === root) return;
        cursor.gotoParent();
        parent = parent.parent!;
        level--;
      }
    }
  }

  #mayDescend(node: SyntaxNode, level: number): boolean {
    if (level < MOST_LEVELS) return true;
    this.tooDeep ??= node;
    return false;
  }

  #addChild(parent: SyntaxNode, type: SyntaxType): SyntaxNode {
    const number = this.#cursor.currentFieldId;
    let field = fields.get(number);
    if (field === undefined) {
      field = this.#cursor.currentFieldName;
      fields.set(number, field);
    }
    const child = this.#node(type, field, parent);
    (parent.children as SyntaxNode[]).push(child);
    return child;
  }

  #node(type: SyntaxType, field: string | null, parent: SyntaxNode | null): SyntaxNode {
    const node = new SyntaxNode(this, type, field, parent);
    this.nodes.push(node);
    return node;
  }

  #type(): SyntaxType {
    const number = this.#cursor.nodeTypeId;
    let type = types.get(number);
    if (type === undefined) {
      const name = this.#cursor.nodeType;
      const isNamed = this.#cursor.nodeIsNamed;
      type = {
        name,
        isNamed,
        isToken: !isNamed || NAMED_TOKENS.has(name),
        isBound: !isNamed && BOUNDS.has(name),
      };
      types.set(number, type);
    }
    return type;
  }
}
