import { getPriority } from "node:os";
import { createInterface } from "node:readline";
import { MAGIC } from "../programs.ts";

/** One measurement: how long, how many, and a sum over what was read that only the right work gives. */
export interface Measured {
  readonly seconds: number;
  readonly count: number;
  readonly total: number;
}

/** Fires the tracepoint: no process has that id, so each call fails after the kernel has seen it. */
export function fire(times: number): void {
  for (let i = 0; i < times; i++) {
    try {
      getPriority(MAGIC);
    } catch {
      // ESRCH, as meant.
    }
  }
}

/** Answers each line of the input with one measurement, until the input ends. */
export async function answerLines(measure: (line: string) => Measured | Promise<Measured>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await measure(line))}\n`);
  }
}
