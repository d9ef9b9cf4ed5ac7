import { fileURLToPath } from "node:url";
import { BpfError, UsageError } from "../../framework/core/errors.ts";
import { kernelVersion } from "../../framework/sys/proc.ts";
import { type GuestOutcome, runInGuest } from "./guest.ts";
import { runHere } from "./here.ts";
import { chooseKernels, type KernelChoice, prepareKernel } from "./kernels.ts";
import { type GuestOptions, parseOptions, usage } from "./options.ts";
import { cachedPackage } from "./packages.ts";
import { chooseKinds, recordRun } from "./record.ts";
import { TestResults } from "./results.ts";
import { ensureTools } from "./tools.ts";
import { chooseTests, type TestChoice, vitestCommand } from "./vitest-command.ts";

const checkout = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The name of this machine's own kernel. */
const HERE = "here";

process.exitCode = await main(process.argv.slice(2));

/** Runs everything that was asked for; gives the process's exit status. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const named = options.kernels.filter((name) => name !== HERE);
    const isHereOnly = named.length === 0 && options.kernels.length > 0;
    const kernels = isHereOnly ? [] : chooseKernels(named);
    if (options.help) return show([usage]);
    if (options.list) return show(kernels.map(describeKernel));
    const here = options.kernels.includes(HERE) ? await runTestsHere(options) : 0;
    if (isHereOnly) return here;
    ensureTools(print);
    return Math.max(here, await runAll(kernels, options));
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    console.error(`test:guest: ${error.describe()}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function testsOf({ filters, record }: GuestOptions): TestChoice {
  return record ? chooseKinds(filters) : chooseTests(checkout, filters);
}

async function runTestsHere(options: GuestOptions): Promise<number> {
  if (options.command !== undefined) {
    throw new UsageError("--command is for guests", { hint: "run it in a shell" });
  }
  const say = (line: string) => print(`[${HERE}] ${line}`);
  const start = performance.now();
  const tests = testsOf(options);
  const results = new TestResults({ byName: tests.name !== undefined });
  const status = await runHere({
    checkout,
    text: vitestCommand(tests),
    onOutput: (line) => say(`| ${line}`),
    onResult: (line) => {
      const shown = results.add(line);
      if (shown !== undefined) say(shown);
    },
  });
  const { major, minor } = kernelVersion();
  if (options.record) recordRun(`${major}.${minor}`, results.all);
  const elapsed = `${((performance.now() - start) / 1000).toFixed(1)} s in all`;
  return reportTests(results, { status, trouble: undefined, console: [] }, { say, elapsed });
}

/** One kernel after the other: two emulated guests at a time would only slow each other down. */
async function runAll(kernels: readonly KernelChoice[], options: GuestOptions): Promise<number> {
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => interrupt.abort());
  const statuses: number[] = [];
  for (const choice of kernels) {
    if (interrupt.signal.aborted) break;
    const status = await runKernel(choice, options, interrupt.signal);
    statuses.push(status);
  }
  return interrupt.signal.aborted ? 130 : Math.max(...statuses);
}

async function runKernel(choice: KernelChoice, options: GuestOptions, signal: AbortSignal): Promise<number> {
  const say = (line: string) => print(`[${choice.name}] ${line}`);
  const kernel = prepareKernel(choice, say);
  say(`booting ${kernel.packageName}`);
  const start = performance.now();
  const tests = testsOf(options);
  const results = new TestResults({ byName: tests.name !== undefined });
  const outcome = await runInGuest({
    kernel,
    checkout,
    text: options.command ?? vitestCommand(tests),
    timeoutMs: options.timeoutMs,
    silenceMs: options.silenceMs,
    signal,
    say,
    onOutput: (line) => say(`| ${line}`),
    onResult: (line) => {
      const shown = results.add(line);
      if (shown !== undefined) say(shown);
    },
  });
  const elapsed = `${((performance.now() - start) / 1000).toFixed(1)} s in all`;
  reportTrouble(outcome, say);
  if (options.record) recordRun(choice.name, results.all);
  if (options.command === undefined) return reportTests(results, outcome, { say, elapsed });
  say(`${outcome.status === undefined ? "did not end" : `exit status ${outcome.status}`}, ${elapsed}`);
  return outcome.trouble === undefined ? (outcome.status ?? 1) : 1;
}

function reportTrouble({ trouble, console: lines }: GuestOutcome, say: (line: string) => void): void {
  if (trouble === undefined) return;
  say(`FAIL  ${trouble}`);
  say(lines.length === 0 ? "the kernel's console was empty" : "the end of the kernel's console:");
  for (const line of lines) say(`> ${line}`);
}

function reportTests(
  results: TestResults,
  { status, trouble }: GuestOutcome,
  { say, elapsed }: { readonly say: (line: string) => void; readonly elapsed: string },
): number {
  const skips = results.skips;
  for (const skip of skips) say(`skipped: ${skip}`);
  const failures = [...results.failures];
  // Unless our own report explains it, a status that says "failed" is a failure of vitest itself.
  if (failures.length === 0 && status !== undefined && status !== 0)
    failures.push(`vitest ended with status ${status}`);
  for (const failure of failures) say(`FAILED: ${failure}`);
  say(`${results.passed} passed, ${failures.length} failed, ${skips.length} skipped, ${elapsed}`);
  return failures.length === 0 && trouble === undefined ? 0 : 1;
}

function describeKernel(choice: KernelChoice): string {
  const cached = cachedPackage(choice.package)?.name ?? "not downloaded";
  return `${choice.name.padEnd(6)} ${cached.padEnd(40)} ${choice.why}`;
}

function show(lines: readonly string[]): number {
  for (const line of lines) print(line);
  return 0;
}

function print(line: string): void {
  console.log(line);
}
