import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

/** The `rxbpf` command, as node runs it. */
export const rxbpf: readonly string[] = [process.execPath, `${root}framework/cli/rxbpf.js`];

/** How long something is waited for. Generous: a machine may be slow, and a line of the trace pipe may go to another reader. */
const PATIENCE_MS = 40_000;

/** How a process ended. */
export interface Ending {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a command is started with, besides its words. */
export interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** A command that runs beside the test, with what it printed so far. Disposing ends it if it still runs. */
export class ScriptRun implements Disposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ending>;
  #stdout = "";
  #stderr = "";
  #ending: Ending | undefined;

  constructor(command: readonly string[], options: StartOptions = {}) {
    const [program = "", ...args] = command;
    this.#child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], ...options });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (status, signal) => {
        this.#ending = { status, signal };
        resolve(this.#ending);
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Lines of stdout that are complete. */
  get lines(): readonly string[] {
    return this.#stdout.split("\n").slice(0, -1);
  }

  /** Causes events, again and again, until what was printed shows them. Fails when the process ends before. */
  async until(what: string, shows: () => boolean, cause: () => unknown): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!shows()) {
      if (this.#ending !== undefined) throw new Error(`ended before ${what}: ${this.#report()}`);
      if (performance.now() > end) throw new Error(`waited in vain for ${what}: ${this.#report()}`);
      await cause();
      await delay(100);
    }
  }

  /** Sends what Ctrl-C sends. */
  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  /** Waits for its end, however long that takes. */
  ending(): Promise<Ending> {
    return this.#ended;
  }

  [Symbol.dispose](): void {
    if (this.#ending === undefined) this.#child.kill("SIGKILL");
  }

  #report(): string {
    const { status, signal } = this.#ending ?? { status: "running", signal: null };
    return JSON.stringify({
      status,
      signal,
      stdout: this.#stdout.slice(-2000),
      stderr: this.#stderr.slice(-2000),
    });
  }
}
