import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { resultsVariable } from "./report-line.ts";
import { Tail } from "./tail.ts";

/** A run of tests on this machine's own kernel, reported as a guest's are. */
export interface HereOptions {
  readonly checkout: string;
  /** A shell command. */
  readonly text: string;
  readonly onOutput: (line: string) => void;
  readonly onResult: (line: string) => void;
}

/** How often results are looked for. */
const POLL_MS = 200;

/** Runs a command here; resolves with its exit status. */
export async function runHere({ checkout, text, onOutput, onResult }: HereOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "rxbpf-here-"));
  const path = join(folder, "results");
  const results = new Tail(path);
  const poll = (): void => results.lines().forEach(onResult);
  const timer = setInterval(poll, POLL_MS);
  try {
    const child = spawn("/bin/sh", ["-c", text], {
      cwd: checkout,
      env: { ...process.env, [resultsVariable]: path },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on("line", onOutput);
    const status = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 1));
    });
    poll();
    return status;
  } finally {
    clearInterval(timer);
    rmSync(folder, { recursive: true, force: true });
  }
}
