import { parseArgs } from "node:util";
import { UsageError } from "../../framework/core/errors.ts";

/** What the command line asked for. */
export interface GuestOptions {
  /** Names from kernels.json; empty for all. */
  readonly kernels: readonly string[];
  /** Parts of test files' paths, or of tests' names; empty for all tests. */
  readonly filters: readonly string[];
  /** Shell text to run in the guest instead of the tests. */
  readonly command: string | undefined;
  /** Run the tests of every way to attach, and write down what came of them. */
  readonly record: boolean;
  readonly list: boolean;
  readonly help: boolean;
  /** For one kernel, from power-on to power-off. */
  readonly timeoutMs: number;
  /** The longest time without any output, kernel console included; a test file says nothing before its first test ended. */
  readonly silenceMs: number;
}

/** What `--help` prints. */
export const usage = `Runs test/kernel and test/conformance inside guest kernels (QEMU, no KVM).

  --kernel NAME      one kernel of kernels.json, or "here" for this machine's own; repeatable; default: all of the file
  --filter TEXT      only test files whose path has TEXT, else only tests whose name matches it; repeatable
  --command TEXT     run this shell command in the guest instead of the tests
  --record           only the tests that docs/kernels.md lists, in files whose path has a filter's text; writes that page
  --timeout SECONDS  limit for one kernel (default 1800)
  --silence SECONDS  limit without any output (default 600)
  --list             show the kernels and whether they are downloaded

Exit status: 0 all passed; 1 something failed, nothing ran or the guest died; 2 wrong usage;
with --command, the command's own status.`;

/**
 * Reads the command line.
 *
 * @throws UsageError for unknown options, missing values and options that exclude each other
 */
export function parseOptions(args: readonly string[]): GuestOptions {
  const values = parseFlags(args);
  if (values.command !== undefined && values.filter !== undefined)
    throw new UsageError("--command runs no tests, so --filter has nothing to choose from", {
      hint: "give one of the two",
    });
  if (values.command !== undefined && values.record === true)
    throw new UsageError("--command runs no tests, so --record has nothing to write down", {
      hint: "give one of the two",
    });
  return {
    record: values.record ?? false,
    kernels: values.kernel ?? [],
    filters: values.filter ?? [],
    command: values.command,
    list: values.list ?? false,
    help: values.help ?? false,
    timeoutMs: seconds("--timeout", values.timeout ?? "1800"),
    silenceMs: seconds("--silence", values.silence ?? "600"),
  };
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        kernel: { type: "string", multiple: true },
        filter: { type: "string", multiple: true },
        command: { type: "string" },
        timeout: { type: "string" },
        silence: { type: "string" },
        record: { type: "boolean" },
        list: { type: "boolean" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(message, { hint: "see --help", cause });
  }
}

/** Whole or fractional seconds above zero, as milliseconds. */
function seconds(option: string, text: string): number {
  const value = Number(text);
  // setTimeout and friends count milliseconds in 31 bits.
  if (!(value > 0 && value * 1000 < 2 ** 31))
    throw new UsageError(`${option} "${text}" is not a number of seconds`, { hint: "for instance 600" });
  return value * 1000;
}
