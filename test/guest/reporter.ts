import { appendFileSync } from "node:fs";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";
import { UsageError } from "../../framework/core/errors.ts";
import { type ReportLine, resultsVariable } from "./report-line.ts";

/**
 * The vitest reporter that runs inside a guest: appends each event as it happens, so that nothing is lost when the
 * kernel under test dies.
 */
class GuestReporter implements Reporter {
  readonly #file: string;
  readonly #reported = new Set<string>();

  constructor() {
    const file = process.env[resultsVariable];
    if (file === undefined)
      throw new UsageError(`the guest's reporter needs ${resultsVariable}, a file to append to`);
    this.#file = file;
  }

  onTestModuleQueued(module: TestModule): void {
    this.#write({ kind: "file-start", file: module.relativeModuleId });
  }

  onTestModuleEnd(module: TestModule): void {
    this.#write({ kind: "file-end", file: module.relativeModuleId });
  }

  onTestCaseReady(test: TestCase): void {
    this.#write({ kind: "start", test: nameOf(test) });
  }

  onTestCaseResult(test: TestCase): void {
    this.#reported.add(test.id);
    const result = test.result();
    this.#write({
      kind: "test",
      test: nameOf(test),
      state: result.state === "pending" ? "failed" : result.state,
      durationMs: Math.round(test.diagnostic()?.duration ?? 0),
      detail: detailOf(test),
    });
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: string): void {
    for (const module of modules) this.#finishModule(module);
    for (const error of errors)
      this.#write({ kind: "problem", where: "outside of tests", detail: describe(error) });
    this.#write({ kind: "end", reason });
  }

  /** Tests that never began have no event of their own; errors of files and hooks belong to no test. */
  #finishModule(module: TestModule): void {
    for (const test of module.children.allTests()) {
      if (!this.#reported.has(test.id)) this.onTestCaseResult(test);
    }
    for (const error of module.errors())
      this.#write({ kind: "problem", where: module.relativeModuleId, detail: describe(error) });
    for (const suite of module.children.allSuites()) {
      for (const error of suite.errors())
        this.#write({
          kind: "problem",
          where: `${module.relativeModuleId} > ${suite.fullName}`,
          detail: describe(error),
        });
    }
  }

  #write(line: ReportLine): void {
    appendFileSync(this.#file, JSON.stringify(line) + "\n");
  }
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function detailOf(test: TestCase): string {
  const result = test.result();
  if (result.state === "failed") return result.errors.map(describe).join("\n");
  if (result.state === "pending") return "began and did not end";
  return result.state === "skipped" ? (result.note ?? (test.options.mode === "todo" ? "todo" : "")) : "";
}

/** Message, the place in the tests or sources it came from, and the hint of an error of ours. */
function describe(error: SerializedError): string {
  const hint: unknown = error["hint"];
  const stack = (error.stacks ?? [])
    .slice(0, 3)
    .map(({ file, line, column }) => `at ${file}:${line}:${column}`);
  const lines = [`${error.name ?? "Error"}: ${error.message}`, ...stack];
  if (typeof hint === "string") lines.push(`hint: ${hint}`);
  if (typeof error.diff === "string") lines.push(error.diff);
  return lines.join("\n");
}

// vitest loads reporters by path, and takes the default export only.
export default GuestReporter;
