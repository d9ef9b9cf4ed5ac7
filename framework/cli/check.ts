import { readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type CheckReport, checkSource } from "../bcc/check.ts";
import { lower } from "../bcc/pipeline.ts";
import { gatherFiles, type Source } from "../compile/preprocess.ts";
import { didYouMean, formatDiagnostics, linesOf, nearestNames } from "../core/diagnostics.ts";
import { UsageError } from "../core/errors.ts";
import { type ProgramKindName, programKindNames } from "../programs/kinds.ts";
import { compileEnvironment, openHost } from "../runtimes.ts";

const USAGE = `usage: rxbpf check FILE.c [OPTION...]

  --prog FUNCTION=TYPE   what a function is that neither its name nor its section tells, e.g. hello=kprobe; repeatable
  --cflag=FLAG           a compiler argument: -D, -U or -I; repeatable
  --no-load              stop after compiling; needs no privileges
  --emit c               print the lowered C
  --emit object          write the object file beside the source, or to --output
  --output FILE          where --emit writes
  --json                 print one object instead of text
`;

/** `rxbpf check FILE.c`: exit 0 all good, 1 the source is at fault, 2 wrong usage. */
export async function check(args: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    process.stderr.write(`rxbpf check: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  const { values, source, kinds } = parsed;
  const environment = compileEnvironment();
  if (values.emit === "c") {
    write(values.output, lower(source, gatherFiles(source), environment).text);
    return 0;
  }
  const runtime = values.load === false ? null : openHost("kernel").runtime;
  const { report, built } = checkSource(source, { environment, runtime, kinds });
  runtime?.[Symbol.dispose]();
  if (values.emit === "object" && built !== undefined) {
    writeFileSync(values.output ?? `${source.file.replace(/\.c$/, "")}.o`, built.bytes);
  }
  process.stdout.write(values.json === true ? `${JSON.stringify(report)}\n` : describe(report, source));
  return report.ok ? 0 : 1;
}

function parse(args: readonly string[]) {
  const { values, positionals } = parseArgs({
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
    },
  });
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError("give one source file");
  if (values.emit !== undefined && values.emit !== "c" && values.emit !== "object") {
    throw new UsageError(`--emit takes "c" or "object", not ${JSON.stringify(values.emit)}`);
  }
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new UsageError(`cannot read ${file}`, { cause });
  }
  const source: Source = { file, text, folder: dirname(resolve(file)), cflags: values.cflag };
  return { values, source, kinds: new Map(values.prog.map(readKind)) };
}

function readKind(text: string): readonly [string, ProgramKindName] {
  const [name = "", kind = ""] = text.split("=");
  const known = programKindNames.find((candidate) => candidate === kind);
  if (name === "" || known === undefined) {
    const hint =
      didYouMean(nearestNames(kind, programKindNames)) ?? `types are ${programKindNames.join(", ")}`;
    throw new UsageError(`--prog takes FUNCTION=TYPE, not ${JSON.stringify(text)}; ${hint}`);
  }
  return [name, known];
}

function write(file: string | undefined, text: string): void {
  if (file === undefined) process.stdout.write(text);
  else writeFileSync(file, text);
}

function describe(report: CheckReport, source: Source): string {
  const lines: string[] = [];
  if (report.diagnostics.length > 0) {
    lines.push(formatDiagnostics(report.diagnostics, linesOf(gatherFiles(source).texts)));
  }
  for (const map of report.maps) {
    const sizes = `${map.type}, key ${map.key_size} bytes, value ${map.value_size} bytes, ${map.max_entries} entries`;
    lines.push(`map ${map.name}: ${sizes}${map.error === undefined ? "" : `\n  ${map.error.message}`}`);
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
