import { readFileSync, statSync } from "node:fs";
import { lastAtOrBelow } from "./address-index.ts";

interface Entry {
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

const LINE = /^(?:0x)?([0-9a-f]+) (?:0x)?([0-9a-f]+) (.+)$/gim;

/**
 * Names of code that a process made while it ran, from the file that it writes for that: `/tmp/perf-PID.map`, a line
 * "start size name" for each function. Read again when the file has grown.
 */
export class PerfMap {
  readonly #path: string;
  #state = "";
  #starts = new Float64Array();
  #entries: readonly Entry[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  /** The code that an address lies in; undefined without a file. */
  find(address: number): { readonly name: string; readonly offset: number } | undefined {
    this.#refresh();
    // Code that was freed stays in the file, and later code may begin inside of where it was.
    for (let at = lastAtOrBelow(this.#starts, address); at >= 0; at--) {
      const { start, end, name } = this.#entries[at]!;
      if (address < end) return { name, offset: address - start };
      if (address - start > MOST_BYTES) return undefined;
    }
    return undefined;
  }

  #refresh(): void {
    const state = stateOf(this.#path);
    if (state === this.#state) return;
    this.#state = state;
    this.#entries = state === "" ? [] : parsePerfMap(readFileSync(this.#path, "utf8"));
    this.#starts = Float64Array.from(this.#entries, ({ start }) => start);
  }
}

/** No single piece of code is larger. */
const MOST_BYTES = 1 << 24;

function stateOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.ino}:${stat.size}:${stat.mtimeMs}`;
}

/** The entries in order of address; where two begin at one address the later line counts. */
export function parsePerfMap(text: string): readonly Entry[] {
  const byStart = new Map<number, Entry>();
  for (const [, at, size, name] of text.matchAll(LINE)) {
    const start = Number.parseInt(at!, 16);
    byStart.set(start, { start, end: start + Number.parseInt(size!, 16), name: name!.trimEnd() });
  }
  return [...byStart.values()].sort((a, b) => a.start - b.start);
}
