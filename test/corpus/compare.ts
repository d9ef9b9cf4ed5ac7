import type { CheckReport } from "../../framework/bcc/check.ts";
import type { BccAnswer } from "./bcc-loader.ts";
import { type KnownFailure, knownFailure, knownFailures } from "./known-failures.ts";
import { failureOf } from "./ours.ts";
import type { Program } from "./programs.ts";

/** What both sides make of one program. */
export interface Result {
  readonly program: Program;
  readonly report: CheckReport;
  /** Undefined where BCC cannot run. */
  readonly bcc: BccAnswer | undefined;
}

/** A function that does not load here. */
export interface Failure {
  readonly program: string;
  /** "" when the program did not compile. */
  readonly name: string;
  readonly why: string;
  /** Whether BCC loads it; undefined where BCC cannot run. */
  readonly loadsInBcc: boolean | undefined;
  readonly known: KnownFailure | undefined;
}

/** Whether BCC compiled the program and loaded all its functions. */
export function passesInBcc({ error, functions }: BccAnswer): boolean {
  return error === null && Object.values(functions).every(({ ok }) => ok);
}

/** Every function that does not load here, or the program where it does not compile. */
export function failuresOf({ program, report, bcc }: Result, release: string): readonly Failure[] {
  if (report.ok) return [];
  const names = report.programs.filter(({ ok }) => !ok).map(({ name }) => name);
  return (names.length === 0 ? [""] : names).map((name) => {
    const why = failureOf(report, name) ?? "";
    const loadsInBcc =
      bcc === undefined ? undefined : name === "" ? passesInBcc(bcc) : bcc.functions[name]?.ok === true;
    return { program: program.name, name, why, loadsInBcc, known: knownFailure(program.name, why, release) };
  });
}

/** What makes a run fail: what loads in BCC and not here, and rows about failures that are none. */
export function objections(
  failures: readonly Failure[],
  programs: readonly Program[],
  release: string,
): readonly string[] {
  const unexpected = failures
    .filter(({ loadsInBcc, known }) => loadsInBcc === true && known === undefined)
    .map(
      ({ program, name, why }) =>
        `${program}${name === "" ? "" : `, ${name}`}: loads in BCC, not here: ${why}`,
    );
  const stale = knownFailures
    .filter(({ kernel, program }) => kernel.test(release) && programs.some(({ name }) => program.test(name)))
    .filter((row) => !failures.some(({ known }) => known === row))
    .map(({ program }) => `${program} is listed as a known failure, and fails no more`);
  return [...unexpected, ...stale];
}

/** Instructions here and in BCC, of every function that both have. */
export function instructionCounts(results: readonly Result[]): readonly InstructionCount[] {
  return results.flatMap(({ program, report, bcc }) =>
    report.programs.flatMap(({ name, insns }) => {
      const theirs = bcc?.functions[name]?.insns ?? 0;
      return theirs === 0 ? [] : [{ program: program.name, name, ours: insns, bcc: theirs }];
    }),
  );
}

export interface InstructionCount {
  readonly program: string;
  readonly name: string;
  readonly ours: number;
  readonly bcc: number;
}

/** The value below which a part (0 to 1) of the values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
