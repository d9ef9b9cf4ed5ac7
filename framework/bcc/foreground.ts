import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { UsageError } from "../core/errors.ts";
import type { Command, CommandEnd } from "../runtime/types.ts";

/** Milliseconds in which events that the command caused last reach their readers. */
const GRACE_MS = 100;

/** What a terminal sends to everybody in it: the command decides what becomes of these. */
const OF_THE_TERMINAL = ["SIGINT", "SIGQUIT"] as const;
/** What others send to this process, and mean for the command. */
const PASSED_ON = ["SIGTERM", "SIGHUP"] as const;

/** An object that can start the command, and that ends with it. */
interface Spawner {
  spawn(command: string, args: readonly string[]): Command;
  close(): void;
}

type State =
  | { readonly at: "none" }
  | { readonly at: "waiting"; readonly words: readonly string[] }
  | { readonly at: "starting" | "running" | "ended"; readonly end: Promise<CommandEnd> };

/**
 * The command of `rxbpf run SCRIPT -- COMMAND`. It starts when the script has made its first BPF object and attached what
 * it attaches in the same turn. When it ends, so does the script: stop signals abort; in a script that has none, BPF
 * objects are closed, which ends their streams and waits.
 */
class Foreground {
  #state: State = { at: "none" };
  readonly #objects = new Set<Spawner>();
  readonly #onEnd = new Set<() => void>();

  /** Sets the command, before the script runs. */
  expect(words: readonly string[]): void {
    this.#state = { at: "waiting", words };
  }

  /** Whether the command has the terminal now. */
  get holdsTerminal(): boolean {
    return this.#state.at === "running";
  }

  get hasEnded(): boolean {
    return this.#state.at === "ended";
  }

  /** Calls back when the command has ended, if there is one. */
  onEnd(stop: () => void): void {
    this.#onEnd.add(stop);
  }

  /** Takes note of an object, and starts the command with the first one. */
  begin(object: Spawner): void {
    if (this.#state.at === "none") return;
    this.#objects.add(object);
    if (this.#state.at !== "waiting") return;
    const [command = "", ...args] = this.#state.words;
    const end = nextTurn().then(() => {
      this.#state = { at: "running", end };
      return started(object, command, args);
    });
    this.#state = { at: "starting", end };
    const ended = (): void => this.#ended(end);
    end.then(ended, ended);
  }

  #ended(end: Promise<CommandEnd>): void {
    this.#state = { at: "ended", end };
    if (this.#onEnd.size === 0) for (const object of this.#objects) object.close();
    for (const stop of this.#onEnd) stop();
  }

  /**
   * Resolves with how the command ended.
   * @throws UsageError when it could not run, or the script made no BPF object
   */
  async ending(): Promise<CommandEnd> {
    if ("end" in this.#state) return await this.#state.end;
    throw new UsageError("the command did not run: the script ended without a BPF object");
  }
}

async function started(object: Spawner, name: string, args: readonly string[]): Promise<CommandEnd> {
  const command = object.spawn(name, args);
  return await command.exited.finally(occupy(command)).then(afterGrace);
}

async function afterGrace(end: CommandEnd): Promise<CommandEnd> {
  await delay(GRACE_MS);
  return end;
}

/** Leaves signals to the command while it runs; returns how to take them back. */
function occupy(command: Command): () => void {
  const handlers = [
    ...OF_THE_TERMINAL.map((signal) => [signal, () => {}] as const),
    ...PASSED_ON.map((signal) => [signal, () => void command.kill(signal)] as const),
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}

/** The command of this process, if `rxbpf run` was given one. */
export const foreground = new Foreground();
