import type { SourceDiagnostic } from "./errors.ts";

/** Gives the text of one line of a file (from 1), or undefined when the file or line is not at hand. */
export type LineLookup = (file: string, line: number) => string | undefined;

/**
 * Prints a diagnostic the way compilers do: position and message, the source line, a caret under the column, and
 * the hint if there is one.
 */
export function formatDiagnostic(diagnostic: SourceDiagnostic, lineOf: LineLookup): string {
  const { file, line, column, severity, message, hint } = diagnostic;
  const parts = [`${file}:${line}:${column}: ${severity}: ${message}`];
  const text = lineOf(file, line);
  if (text !== undefined) {
    parts.push(`  ${text}`, `  ${caretPadding(text, column)}^`);
  }
  if (hint !== undefined) parts.push(`  hint: ${hint}`);
  return parts.join("\n");
}

/** All diagnostics, errors first in the order found, each with its source line. */
export function formatDiagnostics(diagnostics: readonly SourceDiagnostic[], lineOf: LineLookup): string {
  return diagnostics.map((diagnostic) => formatDiagnostic(diagnostic, lineOf)).join("\n");
}

/** White space as wide as the text before the column: tabs stay tabs, so the caret lines up. */
function caretPadding(text: string, column: number): string {
  return text.slice(0, Math.max(0, column - 1)).replace(/[^\t]/g, " ");
}

/** A lookup over texts held in memory, by file name. */
export function linesOf(texts: ReadonlyMap<string, string>): LineLookup {
  const split = new Map<string, readonly string[]>();
  return (file, line) => {
    const text = texts.get(file);
    if (text === undefined) return undefined;
    let lines = split.get(file);
    if (lines === undefined) {
      lines = text.split(/\r?\n/);
      split.set(file, lines);
    }
    return lines[line - 1];
  };
}

/**
 * Names closest to a misspelt one, best first: edit distance at most a third of the length, or one containing the
 * other.
 */
export function nearestNames(name: string, candidates: Iterable<string>, most = 3): readonly string[] {
  const limit = Math.max(1, Math.floor(name.length / 3));
  const scored: { candidate: string; distance: number }[] = [];
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > limit && !candidate.includes(name)) continue;
    const distance = editDistance(name, candidate, limit);
    if (distance <= limit) scored.push({ candidate, distance });
    else if (name.length > 3 && candidate.includes(name)) scored.push({ candidate, distance: limit + 1 });
  }
  scored.sort((a, b) => a.distance - b.distance || a.candidate.length - b.candidate.length);
  return scored.slice(0, most).map((item) => item.candidate);
}

/** Levenshtein distance with adjacent swaps counted as one; stops early beyond `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1);
      }
      row.push(cost);
      best = Math.min(best, cost);
    }
    if (best > limit) return limit + 1;
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** "did you mean a, b or c?", or undefined without candidates: for hints. */
export function didYouMean(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const head = names.slice(0, -1).join(", ");
  return `did you mean ${head === "" ? "" : `${head} or `}${names[names.length - 1]}?`;
}
