import { spawnSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { Observable } from "rxjs";
import { BPF } from "../../framework/index.ts";
import { KernelRuntime } from "../../framework/kernel/kernel-runtime.ts";

/** Long enough for emulated guests, which are 10 to 20 times slower. */
const PATIENCE_MS = 60_000;

/** Limit for tests that start a script of ours: in a guest on a busy machine that alone takes two minutes. */
export const SCRIPT_TIMEOUT_MS = 240_000;

/** Limit for tests whose script starts others, one after the other: five minutes in an emulated guest. */
export const SCRIPTS_TIMEOUT_MS = 600_000;

/**
 * Waits until `look` gives something else than undefined or false, and gives that; fails with `what` if it never does.
 *
 * @param patienceMs longer for what a script of ours does: SCRIPT_TIMEOUT_MS
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await delay(5);
  }
}

/** Gives the event loop its turns until everything that was readable before has been read. */
export async function settle(): Promise<void> {
  await delay(50);
}

/** A stream's items as they come, and the end of the subscription. */
export interface Collected<T> extends Disposable {
  readonly items: readonly T[];
  /** "open" until the stream ends by itself. */
  readonly end: "open" | "complete" | { readonly error: unknown };
}

/** Subscribes and keeps what comes; disposing unsubscribes. */
export function collect<T>(stream: Observable<T>): Collected<T> {
  const items: T[] = [];
  let end: Collected<T>["end"] = "open";
  const subscription = stream.subscribe({
    next: (item) => items.push(item),
    error: (error: unknown) => {
      end = { error };
    },
    complete: () => {
      end = "complete";
    },
  });
  return {
    items,
    get end() {
      return end;
    },
    [Symbol.dispose]: () => subscription.unsubscribe(),
  };
}

/** Most arguments that the kernel gives to a raw tracepoint it is asked to run. */
const MOST_ARGUMENTS = 12;

/**
 * Runs a function of a source once, here and now, as a raw tracepoint with the given arguments in `ctx->args`. Gives its
 * result as the int that C returned.
 */
export function run(b: BPF, functionName: string, ...args: readonly (number | bigint)[]): number {
  const words = new BigUint64Array(MOST_ARGUMENTS);
  args.forEach((argument, index) => {
    words[index] = BigInt.asUintN(64, BigInt(argument));
  });
  return runOn(b, functionName, BPF.RAW_TRACEPOINT, new Uint8Array(words.buffer)).result;
}

/** Runs a function once as a network program of a type on a packet. */
export function runOnPacket(
  b: BPF,
  functionName: string,
  type: number,
  packet: Uint8Array,
): { readonly result: number; readonly output: Uint8Array } {
  return runOn(b, functionName, type, packet);
}

function runOn(
  b: BPF,
  functionName: string,
  type: number,
  input: Uint8Array,
): ReturnType<KernelRuntime["testRun"]> {
  using runtime = new KernelRuntime();
  const { result, output } = runtime.testRun(b.load_func(functionName, type).program, input);
  return { result: result | 0, output };
}

/** Runs a harmless command to its end; gives its process id. */
export function runCommand(command = "/bin/true", ...args: readonly string[]): number {
  return spawnSync(command, args, { stdio: "ignore" }).pid;
}

let markers = 0;

/** A text that nobody else prints into the trace pipe, which is one for the whole system. */
export function marker(): string {
  return `rx${process.pid}x${markers++}`;
}
