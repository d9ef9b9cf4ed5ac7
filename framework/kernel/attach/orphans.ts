import { existsSync } from "node:fs";
import { PermissionError } from "../../core/errors.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { hasKprobeEvents, kprobeEvents, writeKprobeEvents } from "../../sys/tracefs.ts";

/** The group in tracefs of a process's probes: it tells whose they are when a killed process leaves some behind. */
export function groupOf(pid: number): string {
  return `rxbpf_${pid}`;
}

/** Removes what killed processes left behind: definitions without a program. The kernel refuses it for a probe in use. */
export function removeOrphans(): void {
  for (const line of kprobeEvents()) {
    const [, event, pid] = /^[pr]\d*:(rxbpf_(\d+)\/\S+)/.exec(line) ?? [];
    if (event === undefined || existsSync(`/proc/${pid}`)) continue;
    try {
      writeKprobeEvents(`-:${event}`);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }
}

let isSwept = false;

/** The same once per process, where tracefs is at hand and this user may write to it. */
export function sweepOrphans(): void {
  if (isSwept) return;
  isSwept = true;
  try {
    if (hasKprobeEvents()) removeOrphans();
  } catch (error) {
    if (!(error instanceof PermissionError)) throw error;
  }
}
