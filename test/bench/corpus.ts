import { UnsupportedError } from "../../framework/core/errors.ts";
import { openHost } from "../../framework/runtimes.ts";
import { rewrite } from "../../rewriter/index.ts";
import { BccLoader } from "../corpus/bcc-loader.ts";
import { instructionCounts, passesInBcc, quantile, type Result } from "../corpus/compare.ts";
import { checkProgram } from "../corpus/ours.ts";
import { gatherPrograms } from "../corpus/programs.ts";
import { findTools } from "../corpus/tools.ts";
import type { Context } from "./context.ts";
import { type Figures, figures, type Row } from "./report.ts";

/**
 * One program of each of BCC's tools: how long it takes from the text to the object, and how many instructions come
 * out. Both sides compile in a process that is warm, without any cache; BCC's time has the creation of maps in it.
 */
export async function corpus({ bcc, rounds, report }: Context): Promise<void> {
  large(rounds, report);
  const loader = typeof bcc === "string" ? bcc : BccLoader.find({ useCache: false });
  using running = typeof loader === "string" ? undefined : loader;
  const results = await withoutCache(() => measure(running));
  const checked = `${results.length} programs compiled and loaded, each function, on each side`;
  const ours = results.map(({ report: { seconds } }) => (seconds.rewrite + seconds.compile) * 1000);
  const theirs = results.flatMap(({ bcc: answer }) => (answer?.seconds == null ? [] : answer.seconds * 1000));
  const ratios = instructionCounts(results).map((count) => count.ours / count.bcc);
  const absent: Figures | undefined = typeof loader === "string" ? { absent: loader } : undefined;
  const row = (
    name: string,
    figures: Pick<Row, "unit" | "ours" | "target"> & { readonly peer: Figures },
  ): void => {
    const { peer, ...rest } = figures;
    report({ group: "corpus", name, ...rest, peers: { bcc: absent ?? peer }, checked });
  };
  for (const [name, part] of PARTS) {
    row(`rewrite and compile, ${name}`, {
      unit: "ms",
      ours: at(ours, part),
      target: "peer",
      peer: at(theirs, part),
    });
  }
  if (absent !== undefined) return;
  for (const [name, part] of PARTS) {
    row(`instructions of a function, ${name}`, {
      unit: "x BCC's",
      ours: at(ratios, part),
      peer: at([1], 0),
      ...(name === "median" && { target: "peer" }),
    });
  }
}

/** A source of a megabyte, as nobody writes it and a generator may: how long the rewriter takes. */
function large(rounds: number, report: Context["report"]): void {
  const unit = (i: number): string => `
struct event${i} { u32 pid; u64 time; char comm[16]; };
BPF_HASH(last${i}, u32, struct event${i});
BPF_PERF_OUTPUT(events${i});
int probe${i}(struct pt_regs *ctx, struct task_struct *task) {
  u32 key = task->pid;
  struct event${i} event = {.time = bpf_ktime_get_ns(), .pid = task->real_parent->tgid};
  struct event${i} *known = last${i}.lookup(&key);
  if (known) {
    known->time += event.time;
    events${i}.perf_submit(ctx, known, sizeof(*known));
  }
  last${i}.update(&key, &event);
  bpf_trace_printk("%d", key);
  return 0;
}
`;
  let text = '# 1 "large.c"\n';
  let units = 0;
  while (text.length < 1_000_000) text += unit(units++);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const result = rewrite({ text, originals: new Map([["large.c", text]]) });
    times.push(performance.now() - began);
    if (result.functions.length !== units || result.tables.length !== units * 2)
      throw new Error(`the rewriter found ${result.functions.length} functions of ${units}`);
  }
  const checked = `${units} functions and ${units * 2} tables in 1 MB of text`;
  report({
    group: "corpus",
    name: "rewriting 1 MB",
    unit: "ms",
    ours: figures(times),
    target: 2000,
    peers: {},
    checked,
  });
}

const PARTS = [
  ["median", 0.5],
  ["90th percentile", 0.9],
] as const;

function at(values: readonly number[], part: number): Figures {
  const value = quantile(values, part);
  return { median: value, min: value, samples: values.length };
}

/** The programs that pass on both sides. */
async function measure(loader: BccLoader | undefined): Promise<readonly Result[]> {
  const { runtime, environment } = openHost("kernel");
  using _ = runtime;
  const { programs } = gatherPrograms(findTools(console.error), environment.types(), { onePerTool: true });
  const results: Result[] = [];
  for (const program of programs) {
    const bcc = await loader?.load(program);
    const report = checkProgram(program, environment, runtime);
    if (report.ok && (bcc === undefined || passesInBcc(bcc))) results.push({ program, report, bcc });
  }
  if (results.length === 0) throw new UnsupportedError("none of BCC's tools has a program that loads here");
  return results;
}

async function withoutCache<T>(run: () => Promise<T>): Promise<T> {
  const before = process.env["RXBPF_CACHE"];
  process.env["RXBPF_CACHE"] = "";
  try {
    return await run();
  } finally {
    if (before === undefined) delete process.env["RXBPF_CACHE"];
    else process.env["RXBPF_CACHE"] = before;
  }
}
