/** One token of C. Offsets are UTF-16 units, end exclusive. */
export interface Token {
  readonly kind: "name" | "number" | "string" | "punctuator";
  readonly start: number;
  readonly end: number;
}

const WHITE = /[ \t\r\n\f\v]/y;
const NAME = /[A-Za-z_$\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y;
const NUMBER = /\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*/y;
const STRING = /(?:u8|[uUL])?(?:"(?:\\[^]|[^"\\\n])*(?:"|$)|'(?:\\[^]|[^'\\\n])*(?:'|$))/my;
const COMMENT = /\/\/(?:\\\r?\n|[^\n])*|\/\*[^]*?(?:\*\/|$)/y;
const DIRECTIVE = /#(?:\\\r?\n|\/\*[^]*?(?:\*\/|$)|[^\n])*/y;
const PUNCTUATOR = /->|\+\+|--|<<=?|>>=?|[<>=!+\-*/%&^|]=|&&|\|\||\.\.\.|##|./sy;

/**
 * Splits C text into tokens, leaving out white space, comments and lines that begin with "#" (directives before
 * preprocessing, line markers after it). Never fails: a character that is no C stands as a punctuator.
 */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let lineStart = true;
  const match = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    return pattern.test(text);
  };
  while (at < text.length) {
    if (match(WHITE)) {
      if (text[at] === "\n") lineStart = true;
      at = WHITE.lastIndex;
      continue;
    }
    if (match(COMMENT)) {
      at = COMMENT.lastIndex;
      continue;
    }
    if (lineStart && match(DIRECTIVE)) {
      at = DIRECTIVE.lastIndex;
      continue;
    }
    lineStart = false;
    const [kind, pattern] = match(STRING)
      ? (["string", STRING] as const)
      : match(NAME)
        ? (["name", NAME] as const)
        : match(NUMBER)
          ? (["number", NUMBER] as const)
          : (["punctuator", PUNCTUATOR] as const);
    if (!match(pattern)) break;
    tokens.push({ kind, start: at, end: pattern.lastIndex });
    at = pattern.lastIndex;
  }
  return tokens;
}

const OPENING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** Index of the token that closes the bracket at `open`, or -1 when nothing does. */
export function closingToken(text: string, tokens: readonly Token[], open: number): number {
  const expected: string[] = [];
  for (let i = open; i < tokens.length; i++) {
    const { kind, start, end } = tokens[i]!;
    if (kind !== "punctuator" || end - start !== 1) continue;
    const character = text[start]!;
    const closes = OPENING[character];
    if (closes !== undefined) expected.push(closes);
    else if (character === expected.at(-1)) {
      expected.pop();
      if (expected.length === 0) return i;
    } else if (character === ")" || character === "]" || character === "}") return -1;
  }
  return -1;
}

/** A stretch of text. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The comma-separated arguments between an opening token and its closing one; none for empty brackets. */
export function splitArguments(text: string, tokens: readonly Token[], open: number, close: number): readonly Range[] {
  if (close === open + 1) return [];
  const ranges: Range[] = [];
  let depth = 0;
  let first = open + 1;
  for (let i = open + 1; i <= close; i++) {
    const { start, end, kind } = tokens[i]!;
    const character = kind === "punctuator" && end - start === 1 ? text[start]! : "";
    const atEnd = i === close;
    if (atEnd || (character === "," && depth === 0)) {
      const range =
        i > first
          ? { start: tokens[first]!.start, end: tokens[i - 1]!.end }
          : { start: tokens[i]!.start, end: tokens[i]!.start };
      ranges.push(range);
      first = i + 1;
    } else if (character in OPENING) depth++;
    else if (character === ")" || character === "]" || character === "}") depth--;
  }
  return ranges;
}
