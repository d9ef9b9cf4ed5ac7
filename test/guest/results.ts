import { assertNever } from "../../framework/core/errors.ts";
import type { ReportLine, TestEnded } from "./report-line.ts";

/** What a guest's reporter has told so far, and whether that is a success. */
export class TestResults {
  readonly #tests: TestEnded[] = [];
  readonly #problems: string[] = [];
  readonly #running = new Set<string>();
  readonly #ignoresUnexplainedSkips: boolean;
  #ended = false;

  /**
   * @param options.byName tests are chosen by name: vitest then skips all others without a reason, which says nothing
   */
  constructor({ byName }: { readonly byName: boolean }) {
    this.#ignoresUnexplainedSkips = byName;
  }

  /** Takes one line of the reporter and gives the text to show for it, if any. */
  add(text: string): string | undefined {
    // Written by reporter.ts of the same checkout, one whole object per line.
    const line = JSON.parse(text) as ReportLine;
    switch (line.kind) {
      case "file-start":
        this.#running.add(line.file);
        return undefined;
      case "file-end":
        this.#running.delete(line.file);
        return undefined;
      case "start":
        this.#running.add(line.test);
        return undefined;
      case "test":
        return this.#addTest(line);
      case "problem":
        this.#problems.push(`${line.where}\n${indented(line.detail)}`);
        return `FAIL  ${line.where}`;
      case "end":
        this.#ended = true;
        return undefined;
      default:
        return assertNever(line);
    }
  }

  /** Every test that ended, in the order of their ends. */
  get all(): readonly TestEnded[] {
    return this.#tests;
  }

  /** Tests that passed. */
  get passed(): number {
    return this.#in("passed").length;
  }

  /** Everything that keeps this run from being a success; empty for a success. */
  get failures(): readonly string[] {
    const failures = this.#in("failed").map(({ test, detail }) => `${test}\n${indented(detail)}`);
    failures.push(...this.#problems);
    if (!this.#ended) {
      failures.push("the test run did not come to its end");
      for (const unit of this.#running) failures.push(`began and did not end: ${unit}`);
    }
    if (this.#ended && failures.length === 0 && this.passed === 0) failures.push("no test ran");
    return failures;
  }

  /** One line for each skipped test, with its reason. */
  get skips(): readonly string[] {
    return this.#in("skipped").map(
      ({ test, detail }) => `${test}: ${detail === "" ? "no reason given" : detail}`,
    );
  }

  #addTest(test: TestEnded): string | undefined {
    this.#running.delete(test.test);
    if (this.#ignoresUnexplainedSkips && test.state === "skipped" && test.detail === "") return undefined;
    this.#tests.push(test);
    switch (test.state) {
      case "passed":
        return `ok    ${test.test} (${test.durationMs} ms)`;
      case "failed":
        return `FAIL  ${test.test} (${test.durationMs} ms)`;
      case "skipped":
        return `skip  ${test.test}`;
      default:
        return assertNever(test.state);
    }
  }

  #in(state: TestEnded["state"]): readonly TestEnded[] {
    return this.#tests.filter((test) => test.state === state);
  }
}

function indented(text: string): string {
  return text.replace(/^/gm, "      ");
}
