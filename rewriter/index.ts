import type { SourceDiagnostic, SourcePosition } from "../framework/core/errors.ts";
import type { Btf } from "../framework/object/btf.ts";
import { isDeclarator } from "./declarators.ts";
import { applyEdits, type EditedText } from "./edits.ts";
import { collectFacts, type Facts, type FunctionFact, type TableFact } from "./facts.ts";
import { MOST_LEVELS } from "./parser.ts";
import { declareMaps } from "./passes/declare-maps.ts";
import { type PassDiagnostic, passes } from "./passes/index.ts";
import { SourceText } from "./source-text.ts";

export type { TableFact } from "./facts.ts";
export { dropCounterOf } from "./passes/declare-maps.ts";

/** A preprocessed source. */
export interface RewriteInput {
  /** What the preprocessor gave, with its line markers. */
  readonly text: string;
  /** The user's files by the names in the line markers, for columns and for showing lines. */
  readonly originals: ReadonlyMap<string, string>;
  /** The kernel's types, for telling which pointers lead into the kernel; asked only when the source's own do not say. */
  readonly kernelTypes?: (() => Btf | null) | undefined;
}

/** A program function of the source. */
export interface FunctionDeclaration {
  readonly name: string;
  /** The section its own attribute names; null for BCC's functions, which get one of ours. */
  readonly section: string | null;
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
  readonly tables: readonly TableFact[];
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
export function rewrite({ text, originals, kernelTypes = () => null }: RewriteInput): RewriteResult {
  const source = new SourceText(text, originals);
  const facts = collectFacts(text);
  const declared = declareMaps(text, facts.normalized);
  const input = { facts, tables: declared.tables, kernelTypes };
  const results = [declared, ...passes.map((pass) => pass(input))];
  const diagnostics = [...nesting(facts), ...results.flatMap((result) => result.diagnostics)]
    .sort((a, b) => a.start - b.start)
    .map((finding) => locate(source, finding));
  const edited = applyEdits(
    text,
    results.flatMap((result) => result.edits),
  );
  return {
    text: edited.text,
    tables: [...declared.tables.values()],
    functions: facts.functions
      .filter((fact) => !fact.isHelper)
      .map(({ name, section, start }) => ({ name, section, position: source.positionAt(start) })),
    tracepoints: tracepointsOf(facts, source),
    mentions: mentionsOf(facts, declared.tables),
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

function tracepointsOf(facts: Facts, source: SourceText): readonly TracepointUse[] {
  const uses = new Map<string, TracepointUse>();
  for (const token of facts.normalized.tokens) {
    if (token.kind !== "name") continue;
    const word = facts.text.slice(token.start, token.end);
    const match = uses.has(word) || facts.tags.has(word) ? null : TRACEPOINT_TAG.exec(word);
    if (match === null || facts.fileNames.has(word)) continue;
    uses.set(word, { category: match[1]!, name: match[2]!, position: source.positionAt(token.start) });
  }
  // The macro names both the function and its record, so a file-scope name alone does not settle it.
  for (const { name, parameters, nameRange } of facts.functions) {
    const match = TRACEPOINT_TAG.exec(name);
    const parameter = parameters[0];
    if (match === null || parameter === undefined || uses.has(name) || facts.tags.has(name)) continue;
    if (!facts.text.slice(parameter.start, parameter.end).includes(name)) continue;
    uses.set(name, { category: match[1]!, name: match[2]!, position: source.positionAt(nameRange.start) });
  }
  return [...uses.values()];
}

/** Whether a function uses `ctx->member` of a parameter that is a `struct pt_regs *`. */
function reachesIntoRegisters(facts: Facts, { parameters, body }: FunctionFact): boolean {
  const text = facts.text.slice(body.start, body.end);
  return parameters.some(({ name, start, end }) => {
    if (!/\bstruct\s+pt_regs\b/.test(facts.text.slice(start, end))) return false;
    return new RegExp(`\\b${name}\\s*->`).test(text);
  });
}

const TAG_WORDS = new Set(["struct", "union", "enum"]);

function mentionsOf(facts: Facts, tables: ReadonlyMap<string, TableFact>): Mentions {
  const tags = new Set<string>();
  const words = new Set<string>();
  const members = new Set<string>();
  let before = "";
  for (const { kind, start, end } of facts.normalized.tokens) {
    const word = facts.text.slice(start, end);
    if (kind === "name") {
      if (before === "." || before === "->") members.add(word);
      else if (TAG_WORDS.has(before)) {
        if (!facts.tags.has(word)) tags.add(word);
      } else if (
        !facts.fileNames.has(word) &&
        !tables.has(word) &&
        !isDeclarator(word) &&
        !facts.isLocal(word, start)
      ) {
        words.add(word);
      }
    }
    before = word;
  }
  const definedNames = new Set([...facts.fileNames, ...tables.keys()]);
  return { tags, words, members, definedTags: facts.tags, definedNames };
}
