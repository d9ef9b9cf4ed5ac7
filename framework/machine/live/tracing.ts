import { closeSync, existsSync } from "node:fs";
import { constants } from "node:os";
import { Worker } from "node:worker_threads";
import { type BpfError, SyscallError, UsageError } from "../../core/errors.ts";
import type { ProcessEnd } from "../../sys/commands.ts";
import { makePipe, type ProcessSpec } from "../../sys/spawn.ts";
import type { Architecture } from "../contexts/registers.ts";
import { startBehindGate } from "./gate.ts";
import { Interests, Mailbox, type Report, type Request, type Wanted } from "./mailbox.ts";
import { assertTraceable, forbidden, readSetting } from "./traceable.ts";
import type { ThreadData } from "./tracer-thread.ts";

/** Somebody who wants to know what traced commands do. */
export interface Watcher {
  /** What it waits for. */
  readonly wanted: Wanted;
  /** Something happened; the task stands still until this returns. */
  happened(mailbox: Mailbox): void;
}

/** Everybody who watches: all see what any command does, as the kernel's programs do. */
const watchers = new Set<Watcher>();
const interests = new Interests();

/** Lets somebody watch, or takes note that what it waits for has changed. */
export function watch(watcher: Watcher): void {
  watchers.add(watcher);
  interests.set([...watchers].map(({ wanted }) => wanted));
}

export function unwatch(watcher: Watcher): void {
  watchers.delete(watcher);
  interests.set([...watchers].map(({ wanted }) => wanted));
}

/** A command to trace. */
export interface TracedCommand extends Pick<ProcessSpec, "env" | "cwd" | "stdio"> {
  readonly candidates: readonly string[];
  readonly argv: readonly string[];
}

/** A command that runs and is traced. */
export interface Traced {
  readonly pid: number;
  /** Resolves when the command itself has ended; rejects with UsageError or PermissionError when it could not begin. */
  readonly exited: Promise<ProcessEnd>;
}

interface Running {
  readonly command: TracedCommand;
  readonly resolve: (end: ProcessEnd) => void;
  readonly reject: (error: Error) => void;
}

/** The sources of the thread in a checkout, and what is built of them, beside this module's own bundle. */
const SOURCE = new URL("./tracer-thread.ts", import.meta.url);
const STARTER = new URL("../../cli/start-thread.js", import.meta.url);
const BUILT = new URL("./tracer.js", import.meta.url);

/** One thread that traces all commands of this process, started with the first. */
export class Tracing {
  readonly #mailbox = new Mailbox();
  readonly #worker: Worker;
  readonly #commands = new Map<number, Running>();
  /** The write end of the pipe that wakes the thread. */
  #bell: number;
  #sessions = 0;

  constructor(arch: Architecture) {
    const pipe = makePipe();
    this.#bell = pipe.write;
    const data: ThreadData = {
      arch,
      mailbox: this.#mailbox.buffer,
      interests: interests.buffer,
      ownName: ownName(),
      bell: pipe.read,
    };
    const isCheckout = existsSync(SOURCE);
    this.#worker = new Worker(isCheckout ? STARTER : BUILT, {
      workerData: { ...data, source: SOURCE.href },
      execArgv: [],
    });
    this.#worker.unref();
    this.#worker.on("message", (report: Report) => this.#take(report));
    this.#worker.on("error", (error) => this.#fail(error));
    // The thread waits where nothing of Node's reaches it, and Node waits for threads.
    process.once("exit", () => this.#end());
  }

  /** Starts a command, traced from its first instruction. @throws SyscallError */
  start(command: TracedCommand): Traced {
    const session = ++this.#sessions;
    const gate = makePipe();
    const { env, cwd, stdio, candidates, argv } = command;
    let pid: number;
    try {
      pid = startBehindGate({ env, cwd, stdio, candidates, argv, pipe: gate.read });
    } catch (error) {
      closeSync(gate.write);
      throw error;
    } finally {
      closeSync(gate.read);
    }
    const exited = new Promise<ProcessEnd>((resolve, reject) => {
      this.#commands.set(session, { command, resolve, reject });
    });
    this.#worker.ref();
    this.#ask({ session, pid, gate: gate.write });
    return { pid, exited };
  }

  #ask(command: Request["command"]): void {
    const pipe = command === null ? null : makePipe();
    const request: Request = { bell: pipe?.read ?? -1, command };
    this.#worker.postMessage(request);
    closeSync(this.#bell);
    this.#bell = pipe?.write ?? -1;
  }

  #end(): void {
    if (this.#bell >= 0) this.#ask(null);
    this.#mailbox.answer();
  }

  #take(report: Report): void {
    if (report.kind === "event") {
      try {
        for (const watcher of [...watchers]) watcher.happened(this.#mailbox);
      } finally {
        this.#mailbox.answer();
      }
      return;
    }
    const { command, resolve, reject } = this.#commands.get(report.session)!;
    this.#commands.delete(report.session);
    if (this.#commands.size === 0) this.#worker.unref();
    if (report.kind === "failed") {
      reject(failure(command, report));
      return;
    }
    const { code, signal } = report;
    const end = { code, signal: signal === null ? null : signalName(signal) };
    // Events that were handed over before reach their readers first.
    setImmediate(() => setImmediate(() => resolve(end)));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#commands.values()) reject(error);
    this.#commands.clear();
  }
}

let tracing: Tracing | undefined;

/**
 * What traces the commands of this process.
 * @throws UnsupportedError where ptrace cannot do what is needed; PermissionError where it is forbidden
 */
export function tracingOf(arch: Architecture): Tracing {
  if (tracing === undefined) {
    assertTraceable();
    tracing = new Tracing(arch);
  }
  return tracing;
}

/** What this process is called, as tasks are. */
function ownName(): string {
  return readSetting("/proc/self/comm");
}

function failure(
  { argv, candidates }: TracedCommand,
  { doing, errno }: Extract<Report, { kind: "failed" }>,
): BpfError {
  if (doing === "ptrace") return forbidden(errno);
  const name = argv[0] ?? candidates[0] ?? "";
  return new UsageError(`cannot run ${name}: ${errno}`, {
    hint: errno === "ENOEXEC" ? "a script begins with #! and the program that reads it" : undefined,
    cause: new SyscallError(`execve(${candidates.at(-1) ?? name})`, errno),
  });
}

function signalName(number: number): NodeJS.Signals {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return (found?.[0] ?? `SIG${number}`) as NodeJS.Signals;
}
