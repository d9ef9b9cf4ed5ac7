import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { resolve } from "node:path";
import { UsageError } from "../core/errors.ts";

/** Where commands are looked for when PATH is not set, as execvp(3) does. */
const DEFAULT_PATH = "/bin:/usr/bin";

/** A command with everything that was left out filled in. */
export interface CommandSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Descriptors for 0, 1 and 2; null for none. */
  readonly stdio: readonly (number | null)[];
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * The paths that are tried for a command, in order, up to the first that can be run.
 * @throws UsageError when none can
 */
export function candidatesFor({ command, env, cwd = process.cwd() }: CommandSpec): readonly string[] {
  const path = env["PATH"] ?? DEFAULT_PATH;
  const tried = command.includes("/")
    ? [command]
    : path.split(":").map((folder) => `${folder || "."}/${command}`);
  const found = tried.findIndex((candidate) => isProgram(resolve(cwd, candidate)));
  if (command !== "" && found >= 0) return tried.slice(0, found + 1);
  throw new UsageError(`cannot run ${JSON.stringify(command)}: no such program`, {
    hint: command.includes("/") ? undefined : `programs are looked for in ${path}`,
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // absent, or not to be run by this user
  }
}

/** A command that runs. Disposing sends it SIGTERM if it still does. */
export class RunningCommand implements Disposable {
  readonly pid: number;
  readonly exited: Promise<ProcessEnd>;
  #ended = false;

  constructor(pid: number, exited: Promise<ProcessEnd>) {
    this.pid = pid;
    this.exited = exited;
    const end = (): void => {
      this.#ended = true;
    };
    exited.then(end, end);
  }

  /** Sends a signal; returns false when the command has ended. */
  kill(signal: NodeJS.Signals | number = "SIGTERM"): boolean {
    if (this.#ended) return false;
    try {
      return process.kill(this.pid, signal);
    } catch {
      return false; // it ended, and nobody has heard of it yet
    }
  }

  [Symbol.dispose](): void {
    this.kill();
  }
}

/** Starts a command as Node starts any. @throws UsageError when there is no such program */
export function startCommand(spec: CommandSpec): RunningCommand {
  candidatesFor(spec);
  const { command, args, cwd, env, stdio } = spec;
  const child = spawn(command, args, {
    cwd,
    env: { ...env },
    stdio: stdio.map((fd) => fd ?? "ignore"),
  });
  const exited = new Promise<ProcessEnd>((resolve, reject) => {
    child.once("error", (cause) => reject(new UsageError(`cannot run ${command}`, { cause })));
    child.once("exit", (code, signal) => inTurns(SEEING_TURNS, () => resolve({ code, signal })));
  });
  return new RunningCommand(child.pid ?? 0, exited);
}

/** Turns of the event loop in which what a command did last is seen: the look at descriptors, the watcher's turn, the reader's. */
const SEEING_TURNS = 4;

function inTurns(turns: number, action: () => void): void {
  if (turns === 0) action();
  else setImmediate(() => inTurns(turns - 1, action));
}
