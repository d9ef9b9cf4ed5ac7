import type { Edit } from "../edits.ts";
import type { Facts, FunctionCall } from "../facts.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";

/** What a program may read of the USDT probes that it is enabled for. */
export interface UsdtProgram {
  /** Name of the C function that reads arguments. */
  readonly reader: string;
  /** "provider:name" of the probes. */
  readonly probes: readonly string[];
  /** How many arguments they have. */
  readonly argumentCount: number;
  /** Numbers, from 1, of arguments that are where no program can read. */
  readonly unreadable: readonly number[];
}

/** Macros by what they are for, with how many arguments they take. */
const READERS: ReadonlyMap<string, { readonly macro: string; readonly arguments: number }> = new Map([
  ["bpf_usdt_readarg", { macro: "bcc_usdt_readarg", arguments: 3 }],
  ["bpf_usdt_readarg_p", { macro: "bcc_usdt_readarg_p", arguments: 4 }],
]);

/**
 * `bpf_usdt_readarg(n, ctx, &x)` becomes a call of the reader of the program that it stands in, or, in a function that
 * programs share, of the reader that serves all.
 */
export function usdt({ facts, usdtPrograms }: PassInput): PassResult {
  const edits: Edit[] = [];
  const diagnostics: PassDiagnostic[] = [];
  for (const call of facts.calls) {
    const form = READERS.get(call.name);
    if (form === undefined || facts.fileNames.has(call.name) || facts.isLocal(call.name, call.start))
      continue;
    const program = programOf(facts, call, usdtPrograms);
    const finding = check(call, form.arguments, program, facts);
    if (finding !== undefined) {
      diagnostics.push({ severity: "error", ...finding });
      continue;
    }
    const start = call.nameRange.start;
    const text = `${form.macro}(${program!.reader}, `;
    edits.push({ kind: "replace", start, end: call.arguments[0]!.start, text });
    for (const argument of call.arguments) {
      edits.push({ kind: "wrap", start: argument.start, end: argument.end, before: "(", after: ")" });
    }
  }
  return { edits, diagnostics };
}

/** The program a call stands in; "" is for functions that others call. Undefined when no probe is enabled for it. */
function programOf(
  facts: Facts,
  call: FunctionCall,
  programs: ReadonlyMap<string, UsdtProgram>,
): UsdtProgram | undefined {
  const around = facts.functions.find(({ start, end }) => start <= call.start && call.end <= end);
  const isShared =
    around === undefined || around.isHelper || facts.calls.some(({ name }) => name === around.name);
  return programs.get(around?.name ?? "") ?? (isShared ? programs.get("") : undefined);
}

type Finding = Omit<PassDiagnostic, "severity">;

function check(
  call: FunctionCall,
  wanted: number,
  program: UsdtProgram | undefined,
  facts: Facts,
): Finding | undefined {
  if (call.arguments.length !== wanted) {
    return {
      ...call.nameRange,
      code: "USDT_ARGUMENT",
      message: `${call.name} takes ${wanted} arguments, not ${call.arguments.length}`,
      hint:
        wanted === 3
          ? "the argument's number, ctx, and the address of a variable"
          : "the argument's number, ctx, a buffer and its size",
    };
  }
  if (program === undefined) {
    return {
      ...call.nameRange,
      code: "USDT_PROBE",
      message: "no USDT probe is enabled for this function",
      hint: "usdt.enable_probe(probe, function), then new BPF({ text, usdt_contexts: [usdt] })",
    };
  }
  const { start, end } = call.arguments[0]!;
  const number = /^\s*\(?\s*(\d+)\s*\)?\s*$/.exec(facts.text.slice(start, end))?.[1];
  if (number === undefined) return undefined;
  const probes = program.probes.join(", ");
  if (Number(number) < 1 || Number(number) > program.argumentCount) {
    const has = program.argumentCount === 0 ? "no arguments" : `arguments 1 to ${program.argumentCount}`;
    return { start, end, code: "USDT_ARGUMENT", message: `${probes} has ${has}, not ${number}` };
  }
  if (program.unreadable.includes(Number(number))) {
    const message = `argument ${number} of ${probes} is in a register or segment that programs cannot read`;
    return { start, end, code: "USDT_ARGUMENT", message };
  }
  return undefined;
}
