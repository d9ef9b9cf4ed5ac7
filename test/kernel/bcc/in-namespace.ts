import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Runs a script of this folder in a network namespace of its own; what it prints is JSON. */
export function reportFromNamespace<T>(script: string): T {
  const command = [process.execPath, path("../../../framework/cli/rxbpf.js"), "run", path(script)];
  return JSON.parse(execFileSync("unshare", ["--net", ...command], { encoding: "utf8" })) as T;
}
