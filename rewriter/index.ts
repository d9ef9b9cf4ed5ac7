import type { SourceDiagnostic, SourcePosition } from "../framework/core/errors.ts";
import type { Btf } from "../framework/object/btf.ts";
import { isDeclarator } from "./declarators.ts";
import { applyEdits, type EditedText } from "./edits.ts";
import { type ExpressionTypes, expressionTypes } from "./expressions.ts";
import { collectFacts, type Facts, type FunctionFact, type TableFact } from "./facts.ts";
import { tokenAfter } from "./lexer.ts";
import { MOST_LEVELS } from "./parser.ts";
import { declareMaps } from "./passes/declare-maps.ts";
import { type PassDiagnostic, passes } from "./passes/index.ts";
import type { UsdtProgram } from "./passes/usdt.ts";
import { SourceText } from "./source-text.ts";

export type { TableKind } from "./facts.ts";
export { dropMapOf } from "./map-definition.ts";
export { tagsMacroOf } from "./passes/call-methods.ts";
export type { UsdtProgram } from "./passes/usdt.ts";

/** A preprocessed source. */
export interface RewriteInput {
  /** What the preprocessor gave, with its line markers. */
  readonly text: string;
  /** The user's files by the names in the line markers, for columns and for showing lines. */
  readonly originals: ReadonlyMap<string, string>;
  /**
   * The kernel's types, for telling which pointers lead into the kernel; asked only when the source's own do not say.
   * Given the tags that the source uses: some may be those of a module.
   */
  readonly kernelTypes?: ((tags: Iterable<string>) => Btf | null) | undefined;
  /**
   * The section for a program function of BCC's dialect, for loaders that go by sections. Without it, or where it gives
   * null, a section keeps the function's name, which our own loader goes by.
   */
  readonly sectionOf?: ((name: string) => string | null) | undefined;
  /** By function name, what it may read of USDT probes; under "" what functions that several programs call may. */
  readonly usdtPrograms?: ReadonlyMap<string, UsdtProgram> | undefined;
}

/** A program function of the source. */
export interface FunctionDeclaration {
  readonly name: string;
  /** The section its own attribute names; null for BCC's functions, which get one of ours. */
  readonly section: string | null;
  readonly position: SourcePosition;
}

/** A table that one of BCC's macros declares. */
export interface TableDeclaration extends Omit<TableFact, "offset"> {
  readonly position: SourcePosition;
}

/** A tracepoint whose record a function takes: `struct tracepoint__<category>__<name>`. */
export interface TracepointUse {
  readonly category: string;
  readonly name: string;
  readonly position: SourcePosition;
}

/** What a source mentions, for giving it the kernel's types and helpers. */
export interface Mentions {
  /** Words behind struct, union or enum that the source does not define. */
  readonly tags: ReadonlySet<string>;
  /** Words that the source does not define, neither at file scope nor as a local where they stand. */
  readonly words: ReadonlySet<string>;
  /** Words behind "." or "->". */
  readonly members: ReadonlySet<string>;
  /** Tags the source defines. */
  readonly definedTags: ReadonlySet<string>;
  /** Functions, variables, tables, typedefs and enumerators the source defines at file scope. */
  readonly definedNames: ReadonlySet<string>;
}

export interface RewriteResult {
  /** Plain C with plain helper calls, with line markers to the user's files. */
  readonly text: string;
  readonly tables: readonly TableDeclaration[];
  readonly functions: readonly FunctionDeclaration[];
  readonly tracepoints: readonly TracepointUse[];
  readonly mentions: Mentions;
  /** Functions that reach into `struct pt_regs` without BCC's macros: they mean a probe's registers and nothing else. */
  readonly ownRegisters: readonly string[];
  readonly diagnostics: readonly SourceDiagnostic[];
  /** The user's position of what a compiler reports at a line and byte column of the lowered text. */
  positionOf(file: string, line: number, byteColumn: number): SourcePosition;
}

/** Lowers BCC's dialect to plain C. Never throws for what a source says: findings are diagnostics. */
export function rewrite({
  text,
  originals,
  kernelTypes: typesOf = () => null,
  sectionOf = () => null,
  usdtPrograms = new Map(),
}: RewriteInput): RewriteResult {
  const source = new SourceText(text, originals);
  const facts = collectFacts(text);
  const declared = declareMaps(text, facts.normalized);
  const words = wordsOf(facts, declared.tables);
  const { tables } = declared;
  let btf: Btf | null | undefined;
  const kernelTypes = (): Btf | null => {
    btf = btf === undefined ? typesOf(words.tags.keys()) : btf;
    return btf;
  };
  let types: ExpressionTypes | undefined;
  const expressions = (): ExpressionTypes => {
    types ??= expressionTypes(facts, tables, kernelTypes);
    return types;
  };
  const input = { facts, tables, kernelTypes, expressions, sectionOf, usdtPrograms };
  const results = [declared, ...passes.map((pass) => pass(input))];
  const diagnostics = [
    ...nesting(facts),
    ...lostCharacters(text),
    ...results.flatMap((result) => result.diagnostics),
  ]
    .sort((a, b) => a.start - b.start)
    .map((finding) => locate(source, finding));
  const edited = applyEdits(
    text,
    results.flatMap((result) => result.edits),
  );
  return {
    text: edited.text,
    tables: [...declared.tables.values()].map(({ offset, ...table }) => ({
      ...table,
      position: source.positionAt(offset),
    })),
    functions: facts.functions
      .filter((fact) => !fact.isHelper)
      .map(({ name, section, start }) => ({ name, section, position: source.positionAt(start) })),
    tracepoints: tracepointsOf(facts, words, source),
    mentions: {
      tags: new Set(words.tags.keys()),
      words: words.words,
      members: words.members,
      definedTags: facts.tags,
      definedNames: new Set([...facts.fileNames, ...declared.tables.keys()]),
    },
    ownRegisters: facts.functions
      .filter((fact) => reachesIntoRegisters(facts, fact))
      .map((fact) => fact.name),
    diagnostics,
    positionOf: positionFinder(source, edited),
  };
}

function nesting({ tooDeep }: Facts): readonly PassDiagnostic[] {
  if (tooDeep === null) return [];
  const message = `this nests more than ${MOST_LEVELS} levels deep`;
  return [{ ...tooDeep, severity: "error", code: "TOO_DEEP", message, hint: "name parts of it" }];
}

/** Bytes that are no UTF-8 were lost when the text was decoded; in comments, which are gone here, nobody misses them. */
function lostCharacters(text: string): readonly PassDiagnostic[] {
  const start = text.indexOf("\ufffd");
  if (start < 0) return [];
  return [
    {
      start,
      end: start + 1,
      severity: "error",
      code: "NOT_UTF8",
      message: "a character outside comments is not encoded as UTF-8",
      hint: 'save the file as UTF-8, or write single bytes as escapes: "\\xe9"',
    },
  ];
}

function locate(
  source: SourceText,
  { start, severity, code, message, hint }: PassDiagnostic,
): SourceDiagnostic {
  return { ...source.positionAt(start), severity, code, message, hint };
}

/** Compilers count bytes of the lowered text; the lowered lines are found again by their markers. */
function positionFinder(source: SourceText, edited: EditedText): RewriteResult["positionOf"] {
  let lowered: SourceText | undefined;
  return (file, line, byteColumn) => {
    lowered ??= new SourceText(edited.text, new Map());
    for (const physical of lowered.physicalLines(file, line)) {
      const text = lowered.lineText(physical);
      const bytes = Buffer.from(text);
      if (byteColumn > bytes.length + 1) continue;
      const column = bytes.subarray(0, byteColumn - 1).toString().length;
      const offset = edited.originalOffset(lowered.lineStart(physical) + column);
      return source.positionAt(offset);
    }
    return { file, line, column: byteColumn };
  };
}

const TRACEPOINT_TAG = /^tracepoint__(.+?)__(.+)$/;

function tracepointsOf(facts: Facts, { tags }: Words, source: SourceText): readonly TracepointUse[] {
  // The macro names a function like its record: the macro's place says more than that of its expansion.
  const functions = new Map(facts.functions.map(({ name, nameRange }) => [name, nameRange.start]));
  return [...tags].flatMap(([tag, offset]) => {
    const match = TRACEPOINT_TAG.exec(tag);
    if (match === null) return [];
    const position = source.positionAt(functions.get(tag) ?? offset);
    return [{ category: match[1]!, name: match[2]!, position }];
  });
}

/** Whether a function uses `ctx->member` of a parameter that is a `struct pt_regs *`. */
function reachesIntoRegisters({ text, normalized }: Facts, { parameters, body }: FunctionFact): boolean {
  const registers = new Set(
    parameters
      .filter(({ start, end }) => /\bstruct\s+pt_regs\b/.test(text.slice(start, end)))
      .map(({ name }) => name),
  );
  if (registers.size === 0) return false;
  const { tokens } = normalized;
  for (let i = tokenAfter(tokens, body.start); i + 1 < tokens.length && tokens[i]!.end < body.end; i++) {
    const { kind, start, end } = tokens[i]!;
    if (kind !== "name" || !text.startsWith("->", tokens[i + 1]!.start)) continue;
    if (registers.has(text.slice(start, end))) return true;
  }
  return false;
}

const TAG_WORDS = new Set(["struct", "union", "enum"]);

/** Names that the source uses and does not define. */
interface Words {
  /** Tags, and where each stands first. */
  readonly tags: ReadonlyMap<string, number>;
  readonly words: ReadonlySet<string>;
  readonly members: ReadonlySet<string>;
}

function wordsOf(facts: Facts, tables: ReadonlyMap<string, TableFact>): Words {
  const { text } = facts;
  const tags = new Map<string, number>();
  const words = new Set<string>();
  const members = new Set<string>();
  const defined = new Set([...facts.fileNames, ...tables.keys()]);
  let before = "";
  const { tokens } = facts.normalized;
  for (let i = 0; i < tokens.length; i++) {
    const { kind, start, end } = tokens[i]!;
    if (kind !== "name") {
      before = text[end - 1] === "." || text.startsWith("->", start) ? "." : "";
      continue;
    }
    const word = text.slice(start, end);
    if (before === ".") members.add(word);
    else if (TAG_WORDS.has(before)) {
      if (!facts.tags.has(word) && !tags.has(word)) tags.set(word, start);
    } else if (!defined.has(word) && !words.has(word) && !isDeclarator(word) && !facts.isLocal(word, start)) {
      words.add(word);
    }
    before = word;
  }
  return { tags, words, members };
}
