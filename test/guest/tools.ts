import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { UnsupportedError } from "../../framework/core/errors.ts";

/** How a host command ended. */
export interface CommandResult {
  readonly ok: boolean;
  readonly stdout: Buffer;
  /** The end of what it printed on stderr, or why it could not start. */
  readonly complaint: string;
}

/** Commands the runner or the tests in the guest need from the host, with the Debian package of each. */
const hostTools = {
  "qemu-system-x86_64": "qemu-system-x86",
  depmod: "kmod",
  modprobe: "kmod",
  ip: "iproute2",
} as const satisfies Record<string, string>;

/** Runs a host command to its end; `complaint` has the last lines of its stderr. */
export function tryRun(command: string, args: readonly string[], cwd?: string): CommandResult {
  const result = spawnSync(findCommand(command) ?? command, args, {
    cwd,
    maxBuffer: 512 * 1024 * 1024,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
  });
  const stderr = result.stderr?.toString().trim().split("\n").slice(-6).join("\n") ?? "";
  return {
    ok: result.status === 0,
    stdout: result.stdout ?? Buffer.alloc(0),
    complaint: result.error?.message ?? stderr,
  };
}

/**
 * Runs a host command that must succeed, and gives its stdout.
 *
 * @throws UnsupportedError with the command line and the end of its stderr
 */
export function run(command: string, args: readonly string[], cwd?: string): Buffer {
  const result = tryRun(command, args, cwd);
  if (result.ok) return result.stdout;
  throw new UnsupportedError(`${command} ${args.join(" ")} failed: ${result.complaint}`);
}

/** The path of a command, also where only root's PATH looks; undefined when there is none. */
export function findCommand(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Whether this process may change the host's packages. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

let listsAreFresh = false;

/** Refreshes apt's package lists, at most one time; false when that is not possible or was done already. */
export function refreshPackageLists(say: (line: string) => void): boolean {
  if (listsAreFresh || !isRoot()) return false;
  listsAreFresh = true;
  say("refreshing package lists (apt-get update)");
  return tryRun("apt-get", ["update"]).ok;
}

/**
 * Makes sure that the host has QEMU and the tools around it; as root, installs what is missing.
 *
 * @throws UnsupportedError on hosts that are not x86-64 Debian, or when something is missing and cannot be installed
 */
export function ensureTools(say: (line: string) => void): void {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new UnsupportedError(
      `guest kernels share the host's files, so the host must be x86-64 Linux, not ${process.platform} ${process.arch}`,
    );
  if (findCommand("apt-get") === undefined)
    throw new UnsupportedError("guest kernels come as Debian packages, and this host has no apt-get", {
      hint: "run this on Debian, for instance in a debian:bookworm container",
    });
  const packages = missingPackages();
  if (packages.length === 0) return;
  const install = ["install", "-y", "--no-install-recommends", ...packages];
  if (!isRoot())
    throw new UnsupportedError(`these packages are missing: ${packages.join(", ")}`, {
      hint: `sudo apt-get ${install.join(" ")}`,
    });
  say(`installing ${packages.join(", ")}`);
  if (!tryRun("apt-get", install).ok) {
    refreshPackageLists(say);
    run("apt-get", install);
  }
}

function missingPackages(): readonly string[] {
  const missing = Object.entries(hostTools).filter(([command]) => findCommand(command) === undefined);
  return [...new Set(missing.map(([, name]) => name))];
}
