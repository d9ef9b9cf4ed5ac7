import { existsSync } from "node:fs";
import { constants } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { foreground } from "../bcc/foreground.ts";
import { ClosedError } from "../core/errors.ts";
import type { CommandEnd } from "../runtime/types.ts";

const USAGE = "usage: rxbpf run SCRIPT.ts [ARGUMENT...] [-- COMMAND [ARGUMENT...]]\n";

/**
 * `rxbpf run SCRIPT.ts [ARGUMENT...]`: runs a script in this process; its arguments stand where node puts them. With
 * `-- COMMAND` the command runs as soon as the script watches, and both end together.
 */
export async function run(args: readonly string[]): Promise<number> {
  const cut = args.indexOf("--");
  const [script, ...rest] = cut < 0 ? args : args.slice(0, cut);
  const command = cut < 0 ? [] : args.slice(cut + 1);
  if (script === undefined || (cut >= 0 && command.length === 0)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const path = resolve(script);
  if (!existsSync(path)) {
    process.stderr.write(`rxbpf run: no file ${script}\n`);
    return 2;
  }
  process.argv = [process.argv[0]!, path, ...rest];
  const { href } = pathToFileURL(path);
  if (command.length === 0) {
    await import(href);
    return Number(process.exitCode ?? 0);
  }
  foreground.expect(command);
  try {
    await import(href);
  } catch (error) {
    // What a script waits for that nobody told to stop ends so.
    if (!(error instanceof ClosedError && foreground.hasEnded)) throw error;
  }
  const end = await foreground.ending();
  return Number(process.exitCode ?? statusOf(end));
}

/** As shells tell it: 128 and its number for a signal. */
function statusOf({ code, signal }: CommandEnd): number {
  return signal === null ? (code ?? 0) : 128 + constants.signals[signal];
}
