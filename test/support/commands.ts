import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** How long something is waited for: machines may be slow. */
const PATIENCE_MS = 60_000;

/** Waits until something is so, looking again and again; fails when it never is. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await delay(20);
  }
}

/** The state of a process as ps shows it: "R", "S", "T" (stopped), "t" (by a tracer); "" when there is none. */
export function stateOf(pid: number): string {
  try {
    return /^State:\s*(\S)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? "";
  } catch {
    return "";
  }
}

/** Who traces a process; 0 for nobody. */
export function tracerOf(pid: number): number {
  return Number(/^TracerPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}
