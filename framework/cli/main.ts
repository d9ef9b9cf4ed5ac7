import { BpfError } from "../core/errors.ts";
import { check } from "./check.ts";
import { doctor } from "./doctor.ts";
import { run } from "./run.ts";
import { types } from "./types.ts";

/** A subcommand: takes its arguments, gives the exit status. */
type Command = (args: readonly string[]) => Promise<number>;

const commands: Readonly<Record<string, Command>> = { check, doctor, run, types };

const USAGE = `usage: rxbpf run SCRIPT.ts [ARGUMENT...] [-- COMMAND [ARGUMENT...]]
       rxbpf check FILE.c [OPTION...]
       rxbpf types FILE.c [-o FILE.ts]
       rxbpf doctor [--json]

  run     runs a TypeScript script; "rxbpf" in it is this package; with a command, for as long as that runs
  check   rewrites, compiles and loads every function of a source, and says what it found
  types   writes TypeScript declarations of a source's tables, events and variables
  doctor  says what this machine has and lacks, and the line that mends it
`;

/** The `rxbpf` command. Exit status: 0 good, 1 the script or its source is at fault, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const [name = "", ...rest] = args;
  if (name === "--help" || name === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    process.stderr.write(name === "" ? USAGE : `rxbpf: no command "${name}"\n${USAGE}`);
    return 2;
  }
  try {
    return await command(rest);
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`);
    // As after any uncaught error: what the script left running must not keep the process.
    process.exit(1);
  }
}

/** Errors of ours as people read them; others with their stack. */
function describe(error: unknown): string {
  if (error instanceof BpfError) return `${error.name}: ${error.describe()}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
