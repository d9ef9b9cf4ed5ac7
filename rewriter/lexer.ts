/** One token of C. Offsets are UTF-16 units, end exclusive. */
export interface Token {
  readonly kind: "name" | "number" | "string" | "punctuator";
  readonly start: number;
  readonly end: number;
}

const NAME = /[A-Za-z_$\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y;
const NUMBER = /\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*/y;
const STRING = /(?:u8|[uUL])?(?:"(?:\\[\s\S]|[^"\\\n])*(?:"|$)|'(?:\\[\s\S]|[^'\\\n])*(?:'|$))/my;
const COMMENT = /\/\/(?:\\\r?\n|[^\n])*|\/\*[\s\S]*?(?:\*\/|$)/y;
const DIRECTIVE = /#(?:\\\r?\n|\/\*[\s\S]*?(?:\*\/|$)|[^\n])*/y;
const PUNCTUATOR = /->|\+\+|--|<<=?|>>=?|[<>=!+\-*/%&^|]=|&&|\|\||\.\.\.|##|./sy;

/** Patterns by the first character of what they match, in the order to try them. */
const BLANK = 1;
const WORD = 2;
const DIGIT = 3;
const QUOTE = 4;
const classes = new Uint8Array(128);
for (const character of " \t\r\f\v") classes[character.charCodeAt(0)] = BLANK;
for (let code = 0; code < 128; code++) {
  if (/[A-Za-z_$]/.test(String.fromCharCode(code))) classes[code] = WORD;
  if (/[0-9]/.test(String.fromCharCode(code))) classes[code] = DIGIT;
}
for (const character of "\"'") classes[character.charCodeAt(0)] = QUOTE;

/** Where a match of a sticky pattern ends, or -1. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

/**
 * Splits C text into tokens, leaving out white space, comments and lines that begin with "#" (directives before
 * preprocessing, line markers after it). Never fails: a character that is no C stands as a punctuator.
 */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let lineStart = true;
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    const kind = code < 128 ? classes[code]! : WORD;
    if (kind === BLANK) {
      at++;
    } else if (code === 10) {
      lineStart = true;
      at++;
    } else if (lineStart && text[at] === "#") {
      at = endOf(DIRECTIVE, text, at);
    } else if (text[at] === "/" && (text[at + 1] === "/" || text[at + 1] === "*")) {
      at = endOf(COMMENT, text, at);
    } else {
      lineStart = false;
      const token = tokenAt(text, at, kind);
      tokens.push(token);
      at = token.end;
    }
  }
  return tokens;
}

function tokenAt(text: string, start: number, kind: number): Token {
  if (kind === QUOTE || (kind === WORD && /[uUL]/.test(text[start]!))) {
    const end = endOf(STRING, text, start);
    if (end > start) return { kind: "string", start, end };
  }
  if (kind === WORD) return { kind: "name", start, end: endOf(NAME, text, start) };
  if (kind === DIGIT || text[start] === ".") {
    const end = endOf(NUMBER, text, start);
    if (end > start) return { kind: "number", start, end };
  }
  return { kind: "punctuator", start, end: endOf(PUNCTUATOR, text, start) };
}

const OPENING = "([{";
const CLOSING = ")]}";

/**
 * For each opening bracket the index of the token that closes it, and -1 for every other token. A bracket that another
 * kind of bracket closes has no partner, nor has any around it.
 */
export function matchBrackets(text: string, tokens: readonly Token[]): Int32Array {
  const partners = new Int32Array(tokens.length).fill(-1);
  const open: number[] = [];
  // Counted, for an iterator makes an array of each token.
  for (let index = 0; index < tokens.length; index++) {
    const { kind, start, end } = tokens[index]!;
    if (kind !== "punctuator" || end - start !== 1) continue;
    const character = text[start]!;
    if (OPENING.includes(character)) {
      open.push(index);
      continue;
    }
    const closes = CLOSING.indexOf(character);
    if (closes < 0) continue;
    const last = open.pop();
    if (last !== undefined && text[tokens[last]!.start] === OPENING[closes]) partners[last] = index;
    else open.length = 0;
  }
  return partners;
}

/** A stretch of text. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A stretch of preprocessed text on one line, without line markers. */
export function onOneLine(text: string, { start, end }: Range): string {
  return text.slice(start, end).replace(/^#.*$/gm, "").replace(/\s+/g, " ");
}

/** The comma-separated arguments between an opening token and its closing one; none for empty brackets. */
export function splitArguments(
  text: string,
  tokens: readonly Token[],
  partners: Int32Array,
  open: number,
): readonly Range[] {
  const close = partners[open]!;
  if (close === open + 1) return [];
  const ranges: Range[] = [];
  let first = open + 1;
  for (let i = open + 1; i <= close; i++) {
    if (i < close && partners[i]! >= 0) i = partners[i]!;
    const { start, end } = tokens[i]!;
    if (i !== close && (end - start !== 1 || text[start] !== ",")) continue;
    const range =
      i > first ? { start: tokens[first]!.start, end: tokens[i - 1]!.end } : { start, end: start };
    ranges.push(range);
    first = i + 1;
  }
  return ranges;
}

/** Index of the first token that ends behind an offset; the number of tokens when none does. */
export function tokenAfter(tokens: readonly Token[], offset: number): number {
  return firstIndex(tokens.length, (index) => tokens[index]!.end > offset);
}

/** The first index for which a condition holds that holds for all behind it as well; `count` when it never does. */
export function firstIndex(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
