import { type DeclaratorName, isDeclarator } from "./declarators.ts";
import { matchBrackets, type Range, splitArguments, type Token, tokenize } from "./lexer.ts";

/** An `__attribute__((...))` in the text, or a word that stands for one. */
export interface AttributeUse extends Range {
  readonly text: string;
}

/** A declaring macro's use: `BPF_HASH(counts, u32)`. */
export interface DeclaratorUse extends Range {
  readonly macro: DeclaratorName;
  readonly macroEnd: number;
  readonly arguments: readonly Range[];
}

/** A text of the same length that the grammar can take, and what was blanked in it. */
export interface NormalizedText {
  readonly text: string;
  readonly tokens: readonly Token[];
  /** For each opening bracket the index of its closing token, else -1. */
  readonly partners: Int32Array;
  readonly attributes: readonly AttributeUse[];
  readonly declarators: readonly DeclaratorUse[];
  /** Declaring macros without closing bracket. */
  readonly unclosed: readonly Range[];
  /** Operands of `typeof`, by where the word stands: there the text has a name instead. */
  readonly typeofs: ReadonlyMap<number, Range>;
}

/** Words that stand where the grammar expects none; they keep their meaning in the compiled text. */
const QUALIFIERS = new Set([
  "__user",
  "__kernel",
  "__rcu",
  "__percpu",
  "__iomem",
  "__force",
  "__bitwise",
  "__init",
  "__exit",
  "__always_inline",
  "__inline",
  "__inline__",
  "__noinline",
  "noinline",
  "__weak",
  "__hidden",
  "__maybe_unused",
  "__must_check",
  "__packed",
  "__ksym",
  "__kconfig",
  "__extension__",
  "__volatile__",
  "__const",
  "__restrict",
]);

/** Qualifiers that say the same as an attribute. */
const FUNCTION_ATTRIBUTES = new Set(["__always_inline", "__noinline", "noinline"]);

const TYPEOF = new Set(["typeof", "__typeof__", "__typeof"]);

/**
 * Makes preprocessed text parseable without moving anything: qualifiers, attributes, line markers and comments become blanks,
 * `typeof(...)` a name, `__builtin_offsetof(...)` a number, declaring macros blanks.
 */
export function normalize(text: string): NormalizedText {
  const tokens = tokenize(text);
  const partners = matchBrackets(text, tokens);
  const pieces: { start: number; end: number; text: string }[] = [];
  const attributes: AttributeUse[] = [];
  const declarators: DeclaratorUse[] = [];
  const unclosed: Range[] = [];
  const typeofs = new Map<number, Range>();
  const typedefs = typedefNames(text, tokens, partners);
  const replace = (start: number, end: number, by: string): void => {
    pieces.push({ start, end, text: fill(text.slice(start, end), by) });
  };
  let skipTo = 0;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.kind !== "name" || token.start < skipTo) continue;
    const word = text.slice(token.start, token.end);
    if (QUALIFIERS.has(word)) {
      if (FUNCTION_ATTRIBUTES.has(word)) attributes.push({ start: token.start, end: token.end, text: word });
      replace(token.start, token.end, "");
      continue;
    }
    const isAttribute = word === "__attribute__" || word === "__attribute";
    const isTypeof = TYPEOF.has(word);
    const isOffset = word === "__builtin_offsetof";
    const isTable = isDeclarator(word);
    if (isNamedCast(text, tokens, i, typedefs)) {
      // As a sign: it binds like the cast, and a number stays a number. The grammar would see a call or an operator.
      replace(tokens[i - 1]!.start, tokens[i + 1]!.end, "+");
      continue;
    }
    if (!isAttribute && !isTypeof && !isOffset && !isTable) continue;
    const next = tokens[i + 1];
    if (next === undefined || text[next.start] !== "(") continue;
    const close = partners[i + 1]!;
    if (close < 0) {
      if (isTable) unclosed.push({ start: token.start, end: token.end });
      continue;
    }
    const end = tokens[close]!.end;
    if (isAttribute) attributes.push({ start: token.start, end, text: text.slice(token.start, end) });
    if (isTable) {
      declarators.push({
        start: token.start,
        end,
        macro: word,
        macroEnd: token.end,
        arguments: splitArguments(text, tokens, partners, i + 1),
      });
    }
    if (isTypeof) typeofs.set(token.start, { start: next.end, end: tokens[close]!.start });
    replace(token.start, end, isTypeof ? "t" : isOffset ? "0" : "");
    skipTo = end;
  }
  return {
    text: blankBetween(splice(text, pieces), tokens),
    tokens,
    partners,
    attributes,
    declarators,
    unclosed,
    typeofs,
  };
}

/** Names that the text makes types of, wherever it does. */
function typedefNames(text: string, tokens: readonly Token[], partners: Int32Array): ReadonlySet<string> {
  const names = new Set<string>();
  for (let i = 0; i < tokens.length; i++) {
    const { kind, start, end } = tokens[i]!;
    if (kind !== "name" || end - start !== TYPEDEF.length || text.slice(start, end) !== TYPEDEF) continue;
    for (i++; i < tokens.length; i++) {
      const token = tokens[i]!;
      const character = text[token.start];
      if (character === ";") break;
      // Bodies and parameters name no type of this typedef; a bracket before a star is part of its declarator.
      if (partners[i]! >= 0 && (character !== "(" || text[tokens[i + 1]!.start] !== "*")) i = partners[i]!;
      else if (token.kind === "name" && ";,[()".includes(text[tokens[i + 1]?.start ?? 0]!))
        names.add(text.slice(token.start, token.end));
    }
  }
  return names;
}

const TYPEDEF = "typedef";

const SCALAR =
  /^(?:(?:__)?[us](?:8|16|32|64)|u?int\d+_t|s?size_t|[pug]id_t|__[bl]e(?:16|32|64)|uintptr_t|bool)$/;
/** The kernel's own names of types end so, and hardly any variable's. */
const TYPE_NAME = /\w_t$/;
/** Words after which brackets hold an operand and no parameter. */
const BEFORE_OPERAND = new Set(["return", "case", "else", "do"]);

/** Whether a word is all there is in the brackets of a cast: `(u8)*p`, `(u64)&x`, `(sector_t)(a)`. */
function isNamedCast(
  text: string,
  tokens: readonly Token[],
  at: number,
  typedefs: ReadonlySet<string>,
): boolean {
  if (at < 2) return false;
  const open = tokens[at - 1]!;
  const close = tokens[at + 1];
  const after = tokens[at + 2];
  if (text[open.start] !== "(" || close === undefined || after === undefined || text[close.start] !== ")")
    return false;
  const before = tokens[at - 2]!;
  const previous = text.slice(before.start, before.end);
  if (before.kind === "name" ? !BEFORE_OPERAND.has(previous) : previous === ")" || previous === "]")
    return false;
  const isOperand = after.kind !== "punctuator" || "(*&-+~!".includes(text.slice(after.start, after.end));
  if (!isOperand) return false;
  const { start, end } = tokens[at]!;
  const word = text.slice(start, end);
  return SCALAR.test(word) || typedefs.has(word) || TYPE_NAME.test(word);
}

/** `by` padded with blanks to the length of the old text, whose line breaks stay. */
function fill(old: string, by: string): string {
  return by + old.slice(by.length).replace(/[^\n]/g, " ");
}

function splice(text: string, pieces: readonly { start: number; end: number; text: string }[]): string {
  const out: string[] = [];
  let done = 0;
  for (const piece of pieces) {
    out.push(text.slice(done, piece.start), piece.text);
    done = piece.end;
  }
  out.push(text.slice(done));
  return out.join("");
}

/** What stands between tokens and is no blank: line markers and comments, of which the grammar's errors are slow. */
function blankBetween(text: string, tokens: readonly Token[]): string {
  const pieces: { start: number; end: number; text: string }[] = [];
  let end = 0;
  for (let i = 0; i <= tokens.length; i++) {
    const start = tokens[i]?.start ?? text.length;
    if (start - end > 1) {
      const between = text.slice(end, start);
      if (/\S/.test(between)) pieces.push({ start: end, end: start, text: fill(between, "") });
    }
    end = tokens[i]?.end ?? end;
  }
  return splice(text, pieces);
}
