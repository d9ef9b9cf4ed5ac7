// Checks every program of BCC's tools, beside BCC itself. As root:
//
// npm run test:corpus                        all programs
// npm run test:corpus -- --filter opensnoop  only those whose name has the text, or one of several
// npm run test:corpus -- --no-bcc            without BCC, which takes most of the time
// npm run test:corpus -- --fresh             asks BCC again, instead of taking what it answered before
// npm run test:corpus -- --one-per-tool      without the other runs of each tool, for machines that are slow
// npm run test:corpus -- --part 2/5          the second of five parts
//
// On another kernel: npm run test:guest -- --kernel 6.1 --command "npm run test:corpus -- --one-per-tool"
import { release } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { BpfError, UsageError } from "../../framework/core/errors.ts";
import { openHost } from "../../framework/runtimes.ts";
import { BccLoader } from "./bcc-loader.ts";
import {
  type Failure,
  failuresOf,
  instructionCounts,
  objections,
  passesInBcc,
  quantile,
  type Result,
} from "./compare.ts";
import { checkProgram } from "./ours.ts";
import { type Corpus, gatherPrograms } from "./programs.ts";
import { findTools } from "./tools.ts";

/** A line of progress after so many programs. */
const PROGRESS = 20;

process.exitCode = await main(process.argv.slice(2));

/** 0 when everything that loads in BCC loads here, except for the known failures; 1 otherwise; 2 for wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(options(args));
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    console.error(`test:corpus: ${error.describe()}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

interface Options {
  readonly filters: readonly string[];
  readonly useBcc: boolean;
  readonly useCache: boolean;
  readonly onePerTool: boolean;
  readonly part: Part;
}

/** One of so many parts of the corpus; counts from 1. */
interface Part {
  readonly number: number;
  readonly of: number;
}

async function run({ filters, useBcc, useCache, onePerTool, part }: Options): Promise<number> {
  const { runtime, environment } = openHost("kernel");
  using _ = runtime;
  const bcc = useBcc ? BccLoader.find({ useCache }) : "not asked for";
  using loader = typeof bcc === "string" ? undefined : bcc;
  const corpus = chosen(gatherPrograms(findTools(print), environment.types(), { onePerTool, filters }), part);
  const peer = typeof bcc === "string" ? bcc : `${bcc.version}, with ${basename(bcc.headers)}`;
  print(`Linux ${release()}, ${corpus.programs.length} programs; BCC: ${peer}`);
  const results: Result[] = [];
  for (const program of corpus.programs) {
    const report = checkProgram(program, environment, runtime);
    results.push({ program, report, bcc: await loader?.load(program) });
    if (results.length % PROGRESS === 0) print(`${results.length} of ${corpus.programs.length} programs`);
  }
  const failures = results.flatMap((result) => failuresOf(result, release()));
  describe(results, failures, corpus);
  const wrong = objections(failures, corpus.programs, release());
  for (const line of wrong) print(`WRONG: ${line}`);
  return wrong.length === 0 && results.length > 0 ? 0 : 1;
}

function describe(results: readonly Result[], failures: readonly Failure[], corpus: Corpus): void {
  for (const { program, name, why, loadsInBcc, known } of failures) {
    const beside = loadsInBcc === undefined ? "" : loadsInBcc ? " (loads in BCC)" : " (nor in BCC)";
    print(`fails: ${program}${name === "" ? "" : `, ${name}`}${beside}: ${why}`);
    if (known !== undefined) print(`    known: ${known.cause}`);
  }
  for (const { name, ended } of corpus.barren)
    print(`no program: ${name}: ${ended.trim().split("\n").at(-1)}`);
  const passed = results.filter(({ report }) => report.ok).length;
  print(`here: ${share(passed, results.length)} programs pass`);
  const answered = results.flatMap(({ bcc }) => bcc ?? []);
  if (answered.length === 0) return;
  const theirs = results.filter(({ bcc }) => bcc !== undefined && passesInBcc(bcc));
  const both = theirs.filter(({ report }) => report.ok).length;
  print(
    `BCC: ${share(theirs.length, results.length)} programs pass, ${share(both, theirs.length)} of these pass here`,
  );
  const counts = instructionCounts(results);
  if (counts.length === 0) return;
  const ratios = counts.map(({ ours, bcc }) => ours / bcc);
  const [median, ninth] = [quantile(ratios, 0.5), quantile(ratios, 0.9)].map((ratio) => ratio.toFixed(2));
  print(`instructions, ours/BCC over ${counts.length} functions: median ${median}, 90th percentile ${ninth}`);
}

function share(part: number, whole: number): string {
  return `${part} of ${whole} (${((100 * part) / Math.max(1, whole)).toFixed(1)} %)`;
}

function chosen({ programs, barren }: Corpus, part: Part): Corpus {
  const isIn = (_: unknown, index: number) => index % part.of === part.number - 1;
  return { programs: programs.filter(isIn), barren: barren.filter(isIn) };
}

function options(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        filter: { type: "string", multiple: true, default: [] },
        bcc: { type: "boolean", default: true },
        fresh: { type: "boolean", default: false },
        "one-per-tool": { type: "boolean", default: false },
        part: { type: "string", default: "1/1" },
      },
    });
    const { filter: filters, bcc, fresh } = values;
    const part = partOf(values.part);
    return { filters, useBcc: bcc, useCache: !fresh, onePerTool: values["one-per-tool"], part };
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function partOf(words: string): Part {
  const [number = 0, of = 0] = (/^(\d+)\/(\d+)$/.exec(words) ?? []).slice(1).map(Number);
  if (number < 1 || number > of) throw new UsageError(`--part takes one of so many, as 2/5, not ${words}`);
  return { number, of };
}

function print(line: string): void {
  console.log(line);
}
