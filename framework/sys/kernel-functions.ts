import { readFileSync } from "node:fs";
import { PermissionError } from "../core/errors.ts";
import { kernelFunctionSymbols } from "./proc.ts";
import { kprobeTargets } from "./tracefs.ts";

/** Functions that kprobes may not enter, or that fire while a probe runs; BCC leaves them out as well. */
const NEVER = /^(?:_kbl_addr_|__perf|perf_|__SCT__)|\.cold(?:\.|$)/;

/** Symbols between which functions lie that run at boot alone, or that handle interrupts. */
const SECTIONS: ReadonlyMap<string, string> = new Map([
  ["__init_begin", "__init_end"],
  ["__irqentry_text_start", "__irqentry_text_end"],
]);

/**
 * Kernel functions that may be probed, of those whose names match: those of kallsyms that are not on the kernel's
 * blacklist, and that function tracing lists where that list can be read. Sorted as the kernel has them, without repeats.
 */
export function probeableFunctions(matches: (name: string) => boolean): readonly string[] {
  const names = new Set<string>();
  let section: string | undefined;
  for (const { name } of kernelFunctionSymbols()) {
    section = SECTIONS.get(name) ?? (section === name ? undefined : section);
    if (section === undefined && matches(name) && !NEVER.test(name)) names.add(name);
  }
  if (names.size === 0) return [];
  const blacklist = kprobeBlacklist();
  const traced = tracedFunctions();
  return [...names].filter((name) => !blacklist.has(name) && traced?.has(name) !== false);
}

/** Functions that tracing can be attached to; undefined where the kernel does not tell. */
export function tracedFunctions(): ReadonlySet<string> | undefined {
  try {
    const names = kprobeTargets();
    return names.length === 0 ? undefined : new Set(names);
  } catch (error) {
    if (error instanceof PermissionError) return undefined; // a locked-down kernel hides the list
    throw error;
  }
}

/** Functions that kprobes may not enter; empty where debugfs is out of reach. */
export function kprobeBlacklist(): ReadonlySet<string> {
  let text: string;
  try {
    text = readFileSync("/sys/kernel/debug/kprobes/blacklist", "latin1");
  } catch {
    return new Set(); // debugfs is not mounted, or the kernel has no kprobes
  }
  return new Set(text.split("\n").flatMap((line) => /\t(\S+)/.exec(line)?.[1] ?? []));
}
