import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { commandScript, sharedFiles, sharedFolder } from "./init.ts";
import { buildInitramfs } from "./initramfs.ts";
import type { GuestKernel } from "./kernels.ts";
import { runGuest } from "./qemu.ts";
import { guestVariable, resultsVariable } from "./report-line.ts";
import { Tail } from "./tail.ts";

/** One command to run under one kernel. */
export interface GuestCommand {
  readonly kernel: GuestKernel;
  /** Absolute path of the folder the command starts in; the guest sees it under the same path. */
  readonly checkout: string;
  /** Shell text. */
  readonly text: string;
  readonly timeoutMs: number;
  readonly silenceMs: number;
  readonly signal: AbortSignal;
  /** Progress of the runner itself. */
  readonly say: (line: string) => void;
  /** A line the command printed. */
  readonly onOutput: (line: string) => void;
  /** A line a test reporter wrote. */
  readonly onResult: (line: string) => void;
}

/** How a command in a guest ended. */
export interface GuestOutcome {
  /** The command's exit status; undefined when it did not come to its end. */
  readonly status: number | undefined;
  /** Why the guest was stopped or died. */
  readonly trouble: string | undefined;
  /** The end of the kernel's console. */
  readonly console: readonly string[];
}

/** Variables of the host's environment that tests may depend on. */
const passedVariables = /^(CI|GITHUB_ACTIONS|REQUIRE|SEED|DEBUG|NO_COLOR|RXBPF_\w+)$/;

/** Boots the kernel with the host's files, runs the command as root, and brings its output out while it runs. */
export async function runInGuest(command: GuestCommand): Promise<GuestOutcome> {
  const shared = mkdtempSync(join(tmpdir(), "rxbpf-guest-"));
  try {
    const script = commandScript({
      folder: command.checkout,
      environment: environment(),
      text: command.text,
    });
    writeFileSync(join(shared, sharedFiles.command), script);
    const ownTmp = ![command.checkout, command.kernel.root, process.execPath].some((path) =>
      path.startsWith("/tmp/"),
    );
    const initramfs = buildInitramfs(command.kernel, { ownTmp, say: command.say });
    return await boot(command, shared, initramfs);
  } finally {
    rmSync(shared, { recursive: true, force: true });
  }
}

async function boot(command: GuestCommand, shared: string, initramfs: Uint8Array): Promise<GuestOutcome> {
  const output = new Tail(join(shared, sharedFiles.output));
  const results = new Tail(join(shared, sharedFiles.results));
  const poll = () => {
    const printed = output.lines();
    const reported = results.lines();
    for (const line of printed) command.onOutput(line);
    for (const line of reported) command.onResult(line);
    return printed.length + reported.length > 0;
  };
  const end = await runGuest({
    ...command,
    initramfs,
    shared,
    poll,
    onUp: (bootMs) => command.say(`up after ${(bootMs / 1000).toFixed(1)} s`),
  });
  poll();
  const rest = output.rest();
  if (rest !== "") command.onOutput(rest);
  const status = readStatus(shared);
  const silent = status === undefined && end.trouble === undefined;
  return {
    status,
    trouble: silent ? "the guest powered off before the command came to its end" : end.trouble,
    console: end.console,
  };
}

function readStatus(shared: string): number | undefined {
  const file = join(shared, sharedFiles.status);
  const text = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
  return text === "" ? undefined : Number(text);
}

function environment(): Readonly<Record<string, string>> {
  const passed = Object.entries(process.env).filter(([name]) => passedVariables.test(name));
  const path = [
    dirname(process.execPath),
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
  ];
  return {
    ...Object.fromEntries(passed.map(([name, value]) => [name, value ?? ""])),
    HOME: homedir(),
    USER: "root",
    PATH: [...new Set(path)].join(":"),
    LANG: "C.UTF-8",
    TERM: "dumb",
    [guestVariable]: "1",
    [resultsVariable]: join(sharedFolder, sharedFiles.results),
  };
}
