import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../framework/core/errors.ts";
import { type AttachKind, attachKinds } from "../support/attach-kinds.ts";
import { kernelsPage } from "../support/kernels-page.ts";
import type { TestEnded } from "./report-line.ts";
import type { TestChoice } from "./vitest-command.ts";

/** What came of each way to attach on one kernel: "passed", or why it was not tried there. */
export type KernelRecord = Readonly<Record<string, string>>;

/** Records by kernel, oldest kernel first. */
export type Records = Readonly<Record<string, KernelRecord>>;

const file = fileURLToPath(new URL("recorded.json", import.meta.url));
const page = fileURLToPath(new URL("../../docs/kernels.md", import.meta.url));

/** The word of a record for a test that ran. */
export const PASSED = "passed";

/** The tests of all ways to attach, or of those whose file's path has one of the texts. */
export function chooseKinds(filters: readonly string[]): TestChoice {
  const kinds = attachKinds.map((kind) => ({ ...kind, path: `test/kernel/bcc/${kind.file}` }));
  const chosen = kinds.filter(
    ({ path }) => filters.length === 0 || filters.some((text) => path.includes(text)),
  );
  if (chosen.length === 0) throw new UsageError(`no way to attach is tested in ${filters.join(", ")}`);
  const names = chosen.map(({ test }) => escaped(test.replaceAll(" > ", " ")));
  return {
    paths: [...new Set(chosen.map(({ path }) => path))],
    name: `(?:${[...new Set(names)].join("|")})$`,
  };
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** What was recorded last. */
export function readRecords(): Records {
  // Written by this module only.
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Records) : {};
}

/**
 * Writes down what a run over ways to attach came to on a kernel, and the page that shows it. What the run did not come to
 * keeps what was recorded before.
 *
 * @param kernel the beginning of its version: "6.12"
 */
export function recordRun(kernel: string, tests: readonly TestEnded[]): void {
  const before = readRecords();
  const run = attachKinds.flatMap((kind) => {
    const outcome = outcomeOf(kind, tests) ?? before[kernel]?.[kind.name];
    return outcome === undefined ? [] : [[kind.name, outcome] as const];
  });
  const all = { ...before, [kernel]: Object.fromEntries(run) };
  const sorted = Object.fromEntries(
    Object.entries(all).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true })),
  );
  writeFileSync(file, `${JSON.stringify(sorted, undefined, 2)}\n`);
  writeFileSync(page, kernelsPage(sorted));
}

function outcomeOf({ file: name, test }: AttachKind, tests: readonly TestEnded[]): string | undefined {
  const own = tests.filter((ended) => {
    const [path = ""] = ended.test.split(" > ");
    return path.endsWith(`/${name}`) && ended.test.endsWith(` > ${test}`);
  });
  if (own.length === 0) return undefined;
  const failed = own.find(({ state }) => state === "failed");
  if (failed !== undefined) return `failed: ${failed.detail.split("\n")[0] ?? ""}`;
  return own.find(({ state }) => state === "skipped")?.detail ?? PASSED;
}
