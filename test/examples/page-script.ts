import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { type ShownScript, shapeOf } from "./blocks.ts";
import { root, rxbpf, ScriptRun } from "./script-run.ts";

/** What a test does while a page's script runs. */
export interface Scene {
  /** The command that starts scripts; `rxbpf` itself unless a network namespace is needed. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** Causes the events that the script is to show. */
  cause(): unknown;
}

/**
 * Runs a script of a page as a reader would: from a file outside of the checkout, beside the reader's own rxjs. Causes
 * events until every line of the output that the page shows has been printed in its shape, then ends it by Ctrl-C.
 */
export async function runAsShown({ block, output }: ShownScript, scene: Scene): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "rxbpf-page-"));
  try {
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    const path = join(folder, "script.ts");
    writeFileSync(path, block.text);
    using run = new ScriptRun([...(scene.command ?? rxbpf), "run", path, ...(scene.args ?? [])]);
    const missing = (): readonly string[] =>
      output.text
        .split("\n")
        .filter((line) => line.trim() !== "" && !run.lines.some((printed) => shapeOf(line).test(printed)));
    await run.until(
      `the output of line ${block.line}`,
      () => missing().length === 0,
      () => scene.cause(),
    );
    run.interrupt();
    const { status, signal } = await run.ending();
    expect(status === 0 || signal === "SIGINT", run.stderr).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
