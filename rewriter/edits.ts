import { ObjectError } from "../framework/core/errors.ts";
import type { Range } from "./lexer.ts";

/**
 * New text: words, and stretches of the original that are repeated there on one line, as they were written. What a
 * compiler finds in a stretch leads back to where it was written; what it finds in words, to where they were put in,
 * or to the place they name.
 */
export type NewText = string | readonly (string | Range | PlacedWords)[];

/** Words about something that stands elsewhere in the original. */
export interface PlacedWords {
  readonly words: string;
  readonly about: number;
}

/**
 * A change to a text, against its original offsets: UTF-16 units, end exclusive. Line breaks and line markers in what
 * is replaced stay, behind the new text, so that no edit moves another line.
 */
export type Edit =
  | {
      readonly kind: "wrap";
      readonly start: number;
      readonly end: number;
      readonly before: string;
      readonly after: string;
    }
  | { readonly kind: "replace"; readonly start: number; readonly end: number; readonly text: NewText };

/** A text after edits, and how its offsets lead back. */
export interface EditedText {
  readonly text: string;
  /** The original offset of what stands at an offset of the new text; inside inserted text, where it was put in. */
  originalOffset(offset: number): number;
}

/** One insertion or replacement at a place, in the order of output. */
interface Piece {
  readonly at: number;
  readonly end: number;
  readonly text: NewText;
  /** Closing texts come before replacements and opening texts at the same place. */
  readonly rank: number;
  /** Orders pieces of one rank. */
  readonly order: number;
}

/**
 * Applies all edits at once. Ranges must nest or be apart. Where two wraps open at one place the longer opens first;
 * where they close at one place the shorter closes first.
 *
 * @throws ObjectError when two edits overlap partly: a defect of a pass, never of the source
 */
export function applyEdits(original: string, edits: readonly Edit[]): EditedText {
  const pieces: Piece[] = [];
  edits.forEach((edit, index) => {
    if (edit.kind === "replace") {
      pieces.push({
        at: edit.start,
        end: edit.end,
        text: edit.text,
        rank: edit.end > edit.start ? 2 : 1,
        order: index,
      });
      return;
    }
    const length = edit.end - edit.start;
    pieces.push({
      at: edit.start,
      end: edit.start,
      text: edit.before,
      rank: 1,
      order: -length * 1e6 + index,
    });
    pieces.push({ at: edit.end, end: edit.end, text: edit.after, rank: 0, order: length * 1e6 - index });
  });
  pieces.sort((a, b) => a.at - b.at || a.rank - b.rank || a.order - b.order);

  const out: string[] = [];
  const starts: number[] = [];
  const origins: number[] = [];
  const exact: boolean[] = [];
  let length = 0;
  let done = 0;
  const push = (text: string, origin: number, isOriginal: boolean): void => {
    if (text === "") return;
    out.push(text);
    starts.push(length);
    origins.push(origin);
    exact.push(isOriginal);
    length += text.length;
  };
  for (const piece of pieces) {
    if (piece.at < done) {
      throw new ObjectError(
        `edits overlap at offset ${piece.at}: ${JSON.stringify(original.slice(piece.at, done))}`,
      );
    }
    push(original.slice(done, piece.at), done, true);
    for (const part of typeof piece.text === "string" ? [piece.text] : piece.text) {
      if (typeof part === "string") push(part, piece.at, false);
      else if ("words" in part) push(part.words, part.about, false);
      else {
        for (const line of linesIn(original, part)) {
          if (line.start > part.start) push(" ", line.start, false);
          push(original.slice(line.start, line.end), line.start, true);
        }
      }
    }
    push(linesOf(original.slice(piece.at, piece.end)), piece.at, false);
    done = piece.end;
  }
  push(original.slice(done), done, true);

  return {
    text: out.join(""),
    originalOffset(offset) {
      let low = 0;
      let high = starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (starts[middle]! <= offset) low = middle;
        else high = middle - 1;
      }
      if (starts.length === 0) return 0;
      return exact[low] === true ? origins[low]! + offset - starts[low]! : origins[low]!;
    },
  };
}

/** The line breaks of a text, and the line markers between them. */
function linesOf(text: string): string {
  if (!text.includes("\n")) return "";
  const [, ...later] = text.split("\n");
  return later.map((line) => (line.startsWith("#") ? `\n${line}` : "\n")).join("");
}

/** The lines of a stretch without the blanks they begin with, and without line markers and empty lines. */
function linesIn(text: string, { start, end }: Range): readonly Range[] {
  const lines: Range[] = [];
  for (let at = start; at < end; ) {
    const lineBreak = text.indexOf("\n", at);
    const lineEnd = lineBreak < 0 || lineBreak >= end ? end : lineBreak;
    const isMarker = at > start && text[at] === "#";
    const line = text.slice(at, lineEnd);
    const first = line.search(/\S/);
    if (!isMarker && first >= 0) lines.push({ start: at + first, end: lineEnd });
    at = lineEnd + 1;
  }
  return lines;
}
