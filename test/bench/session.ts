import { ok as assert } from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A command line, and what to change in its environment. */
export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** Longest wait for one line. */
  readonly lineMs?: number;
}

/** Longest wait for one line unless a command says otherwise: a compilation with kernel headers on a busy machine takes seconds. */
const LINE_MS = 120_000;
/** After its input has ended, a child gets this long to end by itself. */
const END_MS = 10_000;

const running = new Set<Session>();

/**
 * A measured process that answers lines with lines: whoever measures says when, so that two processes can take turns.
 * It ends when its input does, so it never outlives the bench.
 */
export class Session {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #closed: Promise<unknown>;
  readonly #argv: readonly string[];
  readonly #lineMs: number;
  #errors = "";

  constructor({ argv, env, lineMs = LINE_MS }: Command) {
    const [program, ...args] = argv;
    this.#argv = argv;
    this.#lineMs = lineMs;
    this.#child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, RXBPF_RUNTIME: "kernel", ...env },
    });
    this.#closed = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.on("error", (error) => {
      this.#errors += error.message;
    });
    this.#child.stdin!.on("error", () => {});
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
    running.add(this);
  }

  /** The next line of its output. @throws with what it printed to stderr, when it ended instead */
  async line(): Promise<string> {
    const timer = setTimeout(() => {
      this.#errors += `\nsaid nothing for ${this.#lineMs / 1000} s, and was killed`;
      this.kill();
    }, this.#lineMs);
    try {
      const { value, done } = await this.#lines.next();
      if (done === true) {
        // Its status and its last words may come after the end of its output.
        await this.#closed;
        throw this.#ended();
      }
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a line and reads the answer, which is JSON. */
  async ask<T>(request: string): Promise<T> {
    this.#child.stdin!.write(`${request}\n`);
    return JSON.parse(await this.line()) as T;
  }

  /** Ends its input and waits for the process. @throws AssertionError when it did not end well */
  async end(): Promise<void> {
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.kill(), END_MS);
    await this.#closed;
    clearTimeout(timer);
    running.delete(this);
    assert(this.#child.exitCode === 0, this.#ended().message);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
    running.delete(this);
  }

  #ended(): Error {
    const { exitCode, signalCode } = this.#child;
    const last = this.#errors.trim().split("\n").slice(-8).join("\n");
    return new Error(`${this.#argv.join(" ")} ended (${signalCode ?? exitCode ?? "no status"})\n${last}`);
  }
}

/** Ends what a failure or a signal left running. */
export function killSessions(): void {
  for (const session of running) session.kill();
}
