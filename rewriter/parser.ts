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

/** Parses C text without comments; offsets are UTF-16 units. The native parser loads on first use, so a cached object never pays for it. */
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
 * passes ask many. Names are tree-sitter's. There is one object for each node, so nodes can be compared.
 */
export class SyntaxNode {
  /** Tells the nodes of a tree apart; counts from 0 in the order of the text, parents before their children. */
  readonly id: number;
  readonly #tree: TreeCopy;
  #children: readonly SyntaxNode[] | undefined;

  constructor(tree: TreeCopy, id: number) {
    this.#tree = tree;
    this.id = id;
  }

  /** The grammar's name of it; for a token without meaning of its own, its text. */
  get type(): string {
    return this.#tree.typeOf(this.id).name;
  }

  get isNamed(): boolean {
    return this.#tree.typeOf(this.id).isNamed;
  }

  /** What it is to its parent, or null. */
  get field(): string | null {
    return fieldNames[this.#tree.fieldOf(this.id)]!;
  }

  get startIndex(): number {
    return this.#tree.startOf(this.id);
  }

  /** End of the last character, exclusive. */
  get endIndex(): number {
    return this.#tree.endOf(this.id);
  }

  get parent(): SyntaxNode | null {
    return this.id === 0 ? null : this.#tree.node(this.#tree.parentOf(this.id));
  }

  /** The whole text that was parsed. */
  get source(): string {
    return this.#tree.source;
  }

  get text(): string {
    return this.#tree.source.slice(this.startIndex, this.endIndex);
  }

  /** Its parts in order, without brackets, commas and semicolons. */
  get children(): readonly SyntaxNode[] {
    this.#children ??= this.#childrenThat(() => true);
    return this.#children;
  }

  /** The first of its parts, or null. */
  get firstChild(): SyntaxNode | null {
    const first = this.id + 1;
    return first < this.#tree.behind(this.id) ? this.#tree.node(first) : null;
  }

  get namedChildren(): readonly SyntaxNode[] {
    return this.#childrenThat((id) => this.#tree.typeOf(id).isNamed);
  }

  /** The first child that is this to the node, or null. */
  childForFieldName(field: string): SyntaxNode | null {
    const tree = this.#tree;
    const number = fieldNames.indexOf(field);
    const behind = tree.behind(this.id);
    for (let id = this.id + 1; id < behind; id = tree.behind(id))
      if (tree.fieldOf(id) === number) return tree.node(id);
    return null;
  }

  childrenForFieldName(field: string): readonly SyntaxNode[] {
    const number = fieldNames.indexOf(field);
    return this.#childrenThat((id) => this.#tree.fieldOf(id) === number);
  }

  /** Nodes of these types at and below this one, in the order of the text. */
  descendantsOfType(names: string | readonly string[]): readonly SyntaxNode[] {
    const wanted = new Set(typeof names === "string" ? [names] : names);
    // Asked once for each type that occurs: a large tree has few, and a small tree fewer than the grammar.
    const answers: (boolean | undefined)[] = new Array(types.length);
    const tree = this.#tree;
    const behind = tree.behind(this.id);
    const found: SyntaxNode[] = [];
    for (let id = this.id; id < behind; id++) {
      const type = tree.typeNumber(id);
      answers[type] ??= wanted.has(types[type]!.name);
      if (answers[type]) found.push(tree.node(id));
    }
    return found;
  }

  #childrenThat(isWanted: (id: number) => boolean): readonly SyntaxNode[] {
    const tree = this.#tree;
    const behind = tree.behind(this.id);
    const found: SyntaxNode[] = [];
    for (let id = this.id + 1; id < behind; id = tree.behind(id)) if (isWanted(id)) found.push(tree.node(id));
    return found;
  }
}

interface SyntaxType {
  readonly name: string;
  readonly isNamed: boolean;
  /** Never has children, so that the cursor need not try. */
  readonly isToken: boolean;
  /** One word: it ends where the word ends. */
  readonly isWord: boolean;
  /** Only bounds its neighbours: no node is made of it. */
  readonly isBound: boolean;
  /** Blanks belong to its parts. */
  readonly isLiteral: boolean;
  /** Its parts may be something to it. */
  readonly hasFields: boolean;
}

const WORDS = new Set(["identifier", "field_identifier", "type_identifier", "primitive_type"]);
const NAMED_TOKENS = new Set([...WORDS, "number_literal"]);
const BOUNDS = new Set(["(", ")", "[", "]", "{", "}", ",", ";"]);
const LITERALS = new Set(["string_literal", "char_literal", "system_lib_string"]);
/** Nodes whose parts are nothing to them by name, as the grammar has it, where there may be many. */
const LISTS = new Set([
  "translation_unit",
  "compound_statement",
  "expression_statement",
  "parenthesized_expression",
  "argument_list",
  "parameter_list",
  "concatenated_string",
  "string_literal",
  "char_literal",
  "field_declaration_list",
  "initializer_list",
]);

/** Node types by the grammar's number. */
const types: SyntaxType[] = [];
/** Field names by the grammar's number; 0 is none. */
const fieldNames: (string | null)[] = [null];

/**
 * A tree in columns, copied in one walk. A node's ends are those of its outermost tokens. Where the tree is faultless,
 * a token begins behind the blanks that follow the one before it, and ends with its word: the parser need not be asked.
 */
class TreeCopy implements SyntaxTree {
  readonly tooDeep: SyntaxNode | undefined;
  readonly source: string;
  #firstTooDeep: number | undefined;
  readonly #cursor: TreeCursor;
  /** Tokens that the parser put in by itself are empty, so only a faultless tree has no others than the text's. */
  readonly #isFaultless: boolean;
  #count = 0;
  // Few texts have more nodes than characters.
  #types: Uint16Array;
  #fields: Uint8Array;
  #starts: Int32Array;
  #ends: Int32Array;
  #parents: Int32Array;
  /** For each node the one that comes behind all its parts. */
  #behind: Int32Array;
  /** As long as the tree has nodes: an array that grows by leaps becomes a dictionary, which is slow. */
  readonly #made: (SyntaxNode | undefined)[];

  constructor(tree: Tree, source: string) {
    this.source = source;
    this.#cursor = tree.walk();
    this.#isFaultless = !tree.rootNode.hasError;
    const room = source.length + 64;
    this.#types = new Uint16Array(room);
    this.#fields = new Uint8Array(room);
    this.#starts = new Int32Array(room);
    this.#ends = new Int32Array(room);
    this.#parents = new Int32Array(room);
    this.#behind = new Int32Array(room);
    this.#copy();
    this.#made = new Array<SyntaxNode | undefined>(this.#count).fill(undefined);
    if (this.#firstTooDeep !== undefined) this.tooDeep = this.node(this.#firstTooDeep);
  }

  get root(): SyntaxNode {
    return this.node(0);
  }

  node(id: number): SyntaxNode {
    let node = this.#made[id];
    if (node === undefined) {
      node = new SyntaxNode(this, id);
      this.#made[id] = node;
    }
    return node;
  }

  typeNumber(id: number): number {
    return this.#types[id]!;
  }

  typeOf(id: number): SyntaxType {
    return types[this.#types[id]!]!;
  }

  /** Number of what it is to its parent; 0 is nothing. */
  fieldOf(id: number): number {
    return this.#fields[id]!;
  }

  startOf(id: number): number {
    return this.#starts[id]!;
  }

  endOf(id: number): number {
    return this.#ends[id]!;
  }

  parentOf(id: number): number {
    return this.#parents[id]!;
  }

  /** The node that comes behind this one and all its parts. */
  behind(id: number): number {
    return this.#behind[id]!;
  }

  #copy(): void {
    const cursor = this.#cursor;
    let parent = this.#add(cursor.nodeTypeId, 0, 0);
    let parentType = this.#type(cursor.nodeTypeId);
    let level = 1;
    let end = 0;
    if (!cursor.gotoFirstChild()) return this.#close(parent, 0, 0);
    for (;;) {
      const number = cursor.nodeTypeId;
      const type = this.#type(number);
      let id = parent;
      if (!type.isBound) {
        id = this.#add(number, parentType.hasFields ? this.#field() : 0, parent);
        if (!type.isToken && this.#mayDescend(id, level) && cursor.gotoFirstChild()) {
          parent = id;
          parentType = type;
          level++;
          continue;
        }
      }
      const isPlain = this.#isFaultless && !parentType.isLiteral;
      const start = isPlain ? this.#tokenStart(end) : cursor.startIndex;
      end = isPlain ? this.#tokenEnd(start, type) : cursor.endIndex;
      for (let at = id; this.#starts[at]! < 0; at = this.#parents[at]!) this.#starts[at] = start;
      if (id !== parent) this.#close(id, start, end);
      while (!cursor.gotoNextSibling()) {
        this.#close(parent, this.#starts[parent]!, end);
        if (parent === 0) return;
        cursor.gotoParent();
        parent = this.#parents[parent]!;
        parentType = this.typeOf(parent);
        level--;
      }
    }
  }

  #close(id: number, start: number, end: number): void {
    this.#starts[id] = start;
    this.#ends[id] = end;
    this.#behind[id] = this.#count;
  }

  /** Where the token behind an offset begins. */
  #tokenStart(from: number): number {
    let at = from;
    while (isBlank(this.source.charCodeAt(at))) at++;
    // A line that goes on in the next one.
    return this.source.charCodeAt(at) === BACKSLASH ? this.#cursor.startIndex : at;
  }

  #tokenEnd(start: number, type: SyntaxType): number {
    if (!type.isNamed) return start + type.name.length;
    if (!type.isWord) return this.#cursor.endIndex;
    let at = start;
    while (isWordPart(this.source.charCodeAt(at))) at++;
    return this.source.charCodeAt(at) === BACKSLASH ? this.#cursor.endIndex : at;
  }

  #mayDescend(id: number, level: number): boolean {
    if (level < MOST_LEVELS) return true;
    this.#firstTooDeep ??= id;
    return false;
  }

  #add(type: number, field: number, parent: number): number {
    const id = this.#count++;
    if (id === this.#types.length) this.#grow();
    this.#types[id] = type;
    this.#fields[id] = field;
    this.#starts[id] = -1;
    this.#parents[id] = parent;
    return id;
  }

  #grow(): void {
    const room = this.#types.length * 2;
    this.#types = grown(this.#types, new Uint16Array(room));
    this.#fields = grown(this.#fields, new Uint8Array(room));
    this.#starts = grown(this.#starts, new Int32Array(room));
    this.#ends = grown(this.#ends, new Int32Array(room));
    this.#parents = grown(this.#parents, new Int32Array(room));
    this.#behind = grown(this.#behind, new Int32Array(room));
  }

  #field(): number {
    const number = this.#cursor.currentFieldId;
    if (fieldNames[number] === undefined) fieldNames[number] = this.#cursor.currentFieldName;
    return number;
  }

  #type(number: number): SyntaxType {
    let type = types[number];
    if (type === undefined) {
      const name = this.#cursor.nodeType;
      const isNamed = this.#cursor.nodeIsNamed;
      type = {
        name,
        isNamed,
        isToken: !isNamed || NAMED_TOKENS.has(name),
        isWord: WORDS.has(name),
        isBound: !isNamed && BOUNDS.has(name),
        isLiteral: LITERALS.has(name),
        hasFields: !LISTS.has(name),
      };
      types[number] = type;
    }
    return type;
  }
}

const BACKSLASH = 0x5c;

function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

function isWordPart(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x5f ||
    code === 0x24 ||
    code >= 0x80
  );
}

function grown<T extends Uint8Array | Uint16Array | Int32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
