import type { SourcePosition } from "../framework/core/errors.ts";
import { firstIndex, type Token, tokenAfter, tokenize } from "./lexer.ts";

/** Which physical line of a text shows which line of which file. */
interface LineOrigin {
  readonly file: string;
  readonly line: number;
}

const MARKER = /^# (\d+) "((?:\\.|[^"\\])*)"/;

/**
 * A preprocessed text and its way back to the user's files.
 *
 * The preprocessor's line markers give file and line. Columns come from aligning the tokens of the preprocessed line
 * with those of the user's: a token that macro expansion made has the column of the macro's use.
 */
export class SourceText {
  readonly text: string;
  readonly #lineStarts: readonly number[];
  readonly #origins: readonly LineOrigin[];
  readonly #originals: ReadonlyMap<string, string>;
  readonly #originalLines = new Map<string, readonly string[]>();
  readonly #alignments = new Map<number, Alignment>();
  readonly #asWritten = new Map<number, boolean>();

  /** @param originals the user's files by the names the line markers give them */
  constructor(text: string, originals: ReadonlyMap<string, string>) {
    this.text = text;
    this.#originals = originals;
    this.#lineStarts = lineStartsOf(text);
    this.#origins = originsOf(text, this.#lineStarts);
  }

  /** The physical line (from 0) that holds an offset. */
  lineAt(offset: number): number {
    return lastAtOrBefore(this.#lineStarts, offset);
  }

  /** Where the user wrote what stands at an offset. */
  positionAt(offset: number): SourcePosition {
    const physical = this.lineAt(offset);
    const { file, line } = this.#origins[physical]!;
    return this.#align(physical, file, line, offset);
  }

  /** The physical lines (from 0) that come from a line of a file; none when no text of it is left. */
  physicalLines(file: string, line: number): readonly number[] {
    const found: number[] = [];
    this.#origins.forEach((origin, physical) => {
      if (origin.line === line && origin.file === file && !this.#isMarker(physical)) found.push(physical);
    });
    return found;
  }

  /** Offset of the first character of a physical line. */
  lineStart(physical: number): number {
    return this.#lineStarts[physical]!;
  }

  /** The text of a physical line. */
  lineText(physical: number): string {
    const start = this.#lineStarts[physical]!;
    const end = this.#lineStarts[physical + 1];
    return end === undefined ? this.text.slice(start) : this.text.slice(start, end - 1);
  }

  #isMarker(physical: number): boolean {
    return this.text.startsWith("# ", this.#lineStarts[physical]!);
  }

  /** The user's lines of a file, or undefined when the text is not at hand. */
  #linesOf(file: string): readonly string[] | undefined {
    let lines = this.#originalLines.get(file);
    if (lines === undefined) {
      const original = this.#originals.get(file);
      if (original === undefined) return undefined;
      lines = original.split("\n");
      this.#originalLines.set(file, lines);
    }
    return lines;
  }

  #align(physical: number, file: string, line: number, offset: number): SourcePosition {
    const start = this.#lineStarts[physical]!;
    if (this.#isAsWritten(physical, file, line, offset)) return { file, line, column: offset - start + 1 };
    const alignment = this.#alignmentOf(physical, file, line);
    if (alignment === undefined) return { file, line, column: offset - start + 1 };
    const { original, lineStarts, tokens, matches } = alignment;
    const index = tokenAfter(tokens, offset - start);
    if (index === tokens.length) {
      const firstLine = original.slice(0, (lineStarts[1] ?? original.length + 1) - 1);
      return { file, line, column: firstLine.trimEnd().length + 1 };
    }
    const match = matches[index]!;
    const inside = match.exact ? Math.max(0, offset - start - tokens[index]!.start) : 0;
    const place = match.at + inside;
    const lineIndex = lastAtOrBefore(lineStarts, place);
    return { file, line: line + lineIndex, column: place - lineStarts[lineIndex]! + 1 };
  }

  /** Whether a token stands at an offset of a line in which the preprocessor changed nothing, as in most. */
  #isAsWritten(physical: number, file: string, line: number, offset: number): boolean {
    if (offset >= this.text.length || this.text.charCodeAt(offset) <= SPACE) return false;
    let known = this.#asWritten.get(physical);
    if (known === undefined) {
      const written = this.#linesOf(file)?.[line - 1];
      known = written !== undefined && written === this.lineText(physical);
      this.#asWritten.set(physical, known);
    }
    return known;
  }

  /** How a physical line came of the user's text; undefined when that is not at hand. */
  #alignmentOf(physical: number, file: string, line: number): Alignment | undefined {
    const known = this.#alignments.get(physical);
    if (known !== undefined) return known;
    const lines = this.#linesOf(file);
    if (lines === undefined) return undefined;
    const shown = this.lineText(physical);
    const tokens = tokenize(shown);
    // One logical line may gather several lines of the user: the arguments of a macro call.
    const last = Math.min(this.#nextLine(physical, file, line) - 1, line + MOST_GATHERED, lines.length);
    const original = lines.slice(line - 1, Math.max(line, last)).join("\n");
    const matches = alignTokens(original, tokenize(original), shown, tokens);
    const alignment = { original, lineStarts: lineStartsOf(original), tokens, matches };
    this.#alignments.set(physical, alignment);
    return alignment;
  }

  /** The next line of the file that a later physical line shows; behind the last one when none does. */
  #nextLine(physical: number, file: string, line: number): number {
    for (let later = physical + 1; later < this.#origins.length; later++) {
      const origin = this.#origins[later]!;
      // What was gathered into one line leaves empty lines behind.
      if (origin.file !== file || origin.line <= line || this.#isBlank(later)) continue;
      return origin.line;
    }
    return Number.POSITIVE_INFINITY;
  }

  #isBlank(physical: number): boolean {
    return this.#isMarker(physical) || this.lineText(physical).trim() === "";
  }
}

/** Characters up to this one separate tokens. */
const SPACE = 0x20;

/** Lines that one macro call is thought to span at most. */
const MOST_GATHERED = 200;

/** The tokens of a preprocessed line and what the user wrote for them. */
interface Alignment {
  readonly original: string;
  /** Where lines of `original` begin. */
  readonly lineStarts: readonly number[];
  readonly tokens: readonly Token[];
  /** For each token, offsets into `original`. */
  readonly matches: readonly TokenMatch[];
}

interface TokenMatch {
  /** Offset in the original text. */
  readonly at: number;
  /** False for a token that expansion made: `at` is then where the macro was used. */
  readonly exact: boolean;
}

/** For each shown token its place in the original, by the longest common subsequence of equal tokens. */
function alignTokens(
  original: string,
  originalTokens: readonly Token[],
  shown: string,
  shownTokens: readonly Token[],
): readonly TokenMatch[] {
  const a = originalTokens.map((token) => original.slice(token.start, token.end));
  const b = shownTokens.map((token) => shown.slice(token.start, token.end));
  const pairs = a.length * b.length <= 4_000_000 ? longestCommon(a, b) : new Array<number>(b.length).fill(-1);
  const used = new Set(pairs);
  const result: TokenMatch[] = [];
  let next = 0;
  for (let j = 0; j < b.length; j++) {
    const i = pairs[j]!;
    if (i >= 0) {
      result.push({ at: originalTokens[i]!.start, exact: true });
      next = i + 1;
    } else {
      const use = originalTokens[macroUse(a, originalTokens, used, next)];
      result.push({ at: use?.start ?? 0, exact: false });
    }
  }
  return result;
}

/**
 * The token whose expansion made what stands before token `next`: a name that is gone from the shown text, ahead if it
 * comes at once, else behind within the statement (its arguments may have been kept).
 */
function macroUse(
  a: readonly string[],
  tokens: readonly Token[],
  used: ReadonlySet<number>,
  next: number,
): number {
  const isGone = (i: number): boolean => tokens[i]?.kind === "name" && !used.has(i);
  if (isGone(next)) return next;
  for (let i = next - 1; i >= 0 && a[i] !== ";" && a[i] !== "{" && a[i] !== "}"; i--) {
    if (isGone(i)) return i;
  }
  return Math.min(next, tokens.length - 1);
}

/** For each item of `b` the index in `a` of its partner in a longest common subsequence, or -1. */
function longestCommon(a: readonly string[], b: readonly string[]): number[] {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
    }
  }
  const partner = new Array<number>(b.length).fill(-1);
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j] && lengths[i * width + j] === lengths[(i + 1) * width + j + 1]! + 1) {
      partner[j] = i;
      i++;
      j++;
    } else if (lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!) i++;
    else j++;
  }
  return partner;
}

function lineStartsOf(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** Index of the last start that is not behind an offset; starts are sorted, and the first is 0. */
function lastAtOrBefore(starts: readonly number[], offset: number): number {
  return firstIndex(starts.length, (index) => starts[index]! > offset) - 1;
}

function originsOf(text: string, starts: readonly number[]): readonly LineOrigin[] {
  const origins: LineOrigin[] = [];
  let file = "";
  let line = 1;
  for (let physical = 0; physical < starts.length; physical++) {
    const start = starts[physical]!;
    const end = starts[physical + 1] ?? text.length + 1;
    const marker = text.startsWith("# ", start) ? MARKER.exec(text.slice(start, end - 1)) : null;
    if (marker === null) {
      origins.push({ file, line });
      line++;
    } else {
      line = Number(marker[1]);
      file = marker[2]!.replace(/\\(.)/g, "$1");
      origins.push({ file, line });
    }
  }
  return origins;
}
