import { readFileSync, readlinkSync } from "node:fs";

/** Names what this process leaves in the kernel so that a later one can tell whether its owner still lives. */
export function ownerMark(): string {
  return `${pidNamespace()}.${process.pid}.${startTime(process.pid)}`;
}

/**
 * Whether the process that a mark names is gone. Only told for marks of this PID namespace: the numbers of another's
 * processes mean nothing here.
 */
export function isOrphan(mark: string): boolean {
  const [namespace, pid, started] = mark.split(".");
  return namespace === pidNamespace() && startTime(Number(pid)) !== started;
}

function pidNamespace(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "";
}

/** When a process started, in clock ticks since boot: what tells it from a later one of its number. */
function startTime(pid: number): string | undefined {
  try {
    // The name in parentheses may hold spaces and parentheses itself; the start is the 22nd field.
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined; // no such process
  }
}
