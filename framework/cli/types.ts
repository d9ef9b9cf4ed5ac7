import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { writeDeclarations } from "../bcc/declarations.ts";
import { buildObject } from "../bcc/pipeline.ts";
import { CompileError, RewriteError, UsageError } from "../core/errors.ts";
import { compileEnvironment } from "../runtimes.ts";
import { readSource } from "./source.ts";

const USAGE = `usage: rxbpf types FILE.c [-o FILE.ts] [--cflag=FLAG...]

  FILE.c             the source; - reads it from standard input
  -o, --output FILE  where to write; standard output otherwise
  --cflag=FLAG       a compiler argument: -D, -U or -I; repeatable

Writes TypeScript declarations of the source's tables, events and variables. Needs no privileges.
`;

/** `rxbpf types FILE.c`: exit 0 written, 1 the source is at fault, 2 wrong usage. */
export async function types(args: readonly string[]): Promise<number> {
  try {
    return run(parsed(args));
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(
        `rxbpf types: ${error.describe()}\n${error instanceof WrongArguments ? USAGE : ""}`,
      );
      return 2;
    }
    if (!(error instanceof RewriteError || error instanceof CompileError)) throw error;
    process.stderr.write(`${error.name}: ${error.describe()}\n`);
    return 1;
  }
}

/** Arguments that the usage explains. */
class WrongArguments extends UsageError {}

function run({ values, positionals }: ReturnType<typeof parsed>): number {
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new WrongArguments("give one source file");
  const source = readSource(file, values.cflag);
  const { object } = buildObject(source, compileEnvironment(), { syscallTracepoint: false });
  const text = writeDeclarations(object, file === "-" ? "-" : basename(file));
  if (values.output === undefined) process.stdout.write(text);
  else writeTo(values.output, text);
  return 0;
}

function writeTo(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new UsageError(`cannot write ${path}: ${(cause as Error).message}`, { cause });
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        cflag: { type: "string", multiple: true, default: [] },
        output: { type: "string", short: "o" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (cause) {
    throw new WrongArguments((cause as Error).message, { cause });
  }
}
