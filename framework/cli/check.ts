import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type CheckReport, checkSource } from "../bcc/check.ts";
import { emitC, emitObject, type Roles } from "../bcc/emit.ts";
import { gatherFiles, type Source } from "../compile/preprocess.ts";
import { didYouMean, formatDiagnostics, linesOf, nearestNames } from "../core/diagnostics.ts";
import { UsageError } from "../core/errors.ts";
import { type ProgramRole, programKindNames, roleNamed } from "../programs/kinds.ts";
import { compileEnvironment, openHost } from "../runtimes.ts";
import { readSource } from "./source.ts";

const USAGE = `usage: rxbpf check FILE.c [OPTION...]

  FILE.c                 the source; - reads it from standard input
  --prog FUNCTION=TYPE   what a function is that neither its name nor its section tells, e.g. hello=kprobe; repeatable.
                         TYPE is a kind or a section as libbpf has it, e.g. sched_cls, tc, fentry/vfs_read
  --cflag=FLAG           a compiler argument: -D, -U or -I; repeatable
  --no-load              stop after compiling; needs no privileges
  --emit c               print the lowered C, which compiles by itself, and stop; with --output, write it and go on
  --emit object          write an object that libbpf and bpftool load, beside the source or to --output
  --output FILE          where --emit writes
  --json                 print one object instead of text
`;

/** `rxbpf check FILE.c`: exit 0 all good, 1 the source is at fault, 2 wrong usage. */
export async function check(args: readonly string[]): Promise<number> {
  try {
    return run(parse(args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`rxbpf check: ${error.describe()}\n${error instanceof WrongArguments ? USAGE : ""}`);
    return 2;
  }
}

/** Arguments that the usage explains. */
class WrongArguments extends UsageError {}

type Request = ReturnType<typeof parse>;

function run({ values, source, roles, output }: Request): number {
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const environment = compileEnvironment();
  if (values.emit === "c" && output === undefined) {
    process.stdout.write(emitC(source, environment, roles));
    return 0;
  }
  const runtime = values.load === false ? null : openHost("kernel").runtime;
  try {
    const report = checkSource(source, { environment, runtime, roles });
    if (output !== undefined && report.diagnostics.every(({ severity }) => severity !== "error")) {
      const emit = values.emit === "c" ? emitC : emitObject;
      writeFileSync(output, emit(source, environment, roles));
    }
    process.stdout.write(values.json === true ? `${JSON.stringify(report)}\n` : describe(report, source));
    return report.ok ? 0 : 1;
  } finally {
    runtime?.[Symbol.dispose]();
  }
}

function parse(args: readonly string[]) {
  const { values, positionals } = parsed(args);
  if (values.help === true) positionals.splice(0, positionals.length, "-");
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new WrongArguments("give one source file");
  const { emit } = values;
  if (emit !== undefined && emit !== "c" && emit !== "object") {
    throw new WrongArguments(`--emit takes "c" or "object", not ${JSON.stringify(emit)}`);
  }
  if (emit === undefined && values.output !== undefined) {
    throw new WrongArguments("--output says where --emit writes: give --emit c or --emit object too");
  }
  if (emit === "c" && values.json === true && values.output === undefined) {
    throw new WrongArguments("--emit c prints the C itself, not an object of JSON: give --output too");
  }
  if (emit === "object" && file === "-" && values.output === undefined) {
    throw new WrongArguments("standard input has no folder to write an object to: give --output too");
  }
  const output = values.output ?? (emit === "object" ? objectBeside(file) : undefined);
  const isHelp = values.help === true;
  const source = isHelp ? { file, text: "", folder: "", cflags: [] } : readSource(file, values.cflag);
  return { values, source, roles: readRoles(values.prog), output };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      allowNegative: true,
      options: {
        prog: { type: "string", multiple: true, default: [] },
        cflag: { type: "string", multiple: true, default: [] },
        load: { type: "boolean", default: true },
        emit: { type: "string" },
        output: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (cause) {
    throw new WrongArguments((cause as Error).message, { cause });
  }
}

function objectBeside(file: string): string {
  return `${file.replace(/\.c$/, "")}.o`;
}

function readRoles(texts: readonly string[]): Roles {
  const roles = new Map<string, ProgramRole>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    const [name, kind] = [text.slice(0, Math.max(0, equals)), text.slice(equals + 1)];
    const role = roleNamed(kind);
    if (name === "" || role === null) {
      const near = didYouMean(nearestNames(kind, programKindNames));
      throw new UsageError(`--prog takes FUNCTION=TYPE, not ${JSON.stringify(text)}`, {
        hint: near ?? `types are ${programKindNames.join(", ")}`,
      });
    }
    if (roles.has(name)) throw new UsageError(`--prog gives "${name}" two types`);
    roles.set(name, role);
  }
  return roles;
}

function describe(report: CheckReport, source: Source): string {
  const lines: string[] = [];
  if (report.diagnostics.length > 0) {
    const findings = report.diagnostics.map(({ hint, ...finding }) => ({
      ...finding,
      hint: hint ?? undefined,
    }));
    lines.push(formatDiagnostics(findings, linesOf(gatherFiles(source).texts)));
  }
  for (const map of report.maps) {
    const sizes = `key ${map.key_size} bytes, value ${map.value_size} bytes, ${map.max_entries} entries`;
    lines.push(`map ${map.name}: ${map.type}, ${sizes}`);
  }
  for (const { name, type, ok, insns, error } of report.programs) {
    lines.push(`program ${name}: ${type ?? "unknown type"}, ${insns} instructions${ok ? "" : ", refused"}`);
    if (error !== undefined)
      lines.push(error.message, ...(error.hint === null ? [] : [`  hint: ${error.hint}`]));
  }
  const { rewrite, compile, load } = report.seconds;
  const ms = (seconds: number): string => `${Math.round(seconds * 1000)} ms`;
  lines.push(
    `${report.ok ? "good" : "not good"} (rewrite ${ms(rewrite)}, compile ${ms(compile)}, load ${ms(load)})`,
  );
  return `${lines.join("\n")}\n`;
}
