import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type Row, ratio } from "./report.ts";

const path = new URL("./baseline.json", import.meta.url);

/**
 * A row fails when its ratio is more than this many times the stored one. Ratios of the smallest figures of both sides
 * in one run move by up to a half on a loaded machine; a doubling is our doing.
 */
const MARGIN = 2;

/** Ratios ours/BCC of an earlier run. Absolute figures belong to a machine, ratios mostly to the code. */
export class Baseline {
  readonly #stored: Readonly<Record<string, number>>;
  readonly #seen: Record<string, number> = {};

  constructor() {
    this.#stored = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Record<string, number>) : {};
  }

  /** Takes a row; says what is wrong when it became slower beside BCC than the margin allows. */
  check(row: Row): string | undefined {
    const now = ratio(row);
    if (now === undefined) return undefined;
    const name = `${row.group}: ${row.name}`;
    this.#seen[name] = Number(now.toPrecision(2));
    const before = this.#stored[name];
    if (before === undefined || now <= before * MARGIN) return undefined;
    return `${name}: ours/BCC is ${now.toFixed(2)}, over ${MARGIN} times the ${before.toFixed(2)} of the baseline`;
  }

  /** Stores the ratios seen; rows that were not measured keep theirs. */
  update(): void {
    const all = Object.entries({ ...this.#stored, ...this.#seen }).sort(([a], [b]) => (a < b ? -1 : 1));
    writeFileSync(path, `${JSON.stringify(Object.fromEntries(all), null, 2)}\n`);
  }
}
