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

/** What is asked of a probe. */
interface Form {
  readonly macro: string;
  readonly arguments: number;
  /** What the arguments are, as a hint says it. */
  readonly takes: string;
  /** Whether the first argument is the number of one of the probe's. */
  readonly isNumbered: boolean;
}

/** Macros by what they are for. */
// biome-ignore format: a table reads best with one row per line
const FORMS: ReadonlyMap<string, Form> = new Map([
  ["bpf_usdt_readarg", { macro: "bcc_usdt_readarg", arguments: 3, takes: "the argument's number, ctx, and the address of a variable", isNumbered: true }],
  ["bpf_usdt_readarg_p", { macro: "bcc_usdt_readarg_p", arguments: 4, takes: "the argument's number, ctx, a buffer and its size", isNumbered: true }],
  ["bpf_usdt_arg_cnt", { macro: "bcc_usdt_arg_cnt", arguments: 1, takes: "ctx", isNumbered: false }],
  ["bpf_usdt_cookie", { macro: "bcc_usdt_cookie", arguments: 1, takes: "ctx", isNumbered: false }],
]);

/**
 * `bpf_usdt_readarg(n, ctx, &x)` becomes a call of the reader of the program that it stands in, or, in a function that
 * programs share, of the reader that serves all. So do libbpf's questions for how many arguments there are, and for the
 * user's own number of the probe.
 */
export function usdt({ facts, usdtPrograms }: PassInput): PassResult {
  const edits: Edit[] = [];
  const diagnostics: PassDiagnostic[] = [];
  for (const call of facts.calls) {
    const form = FORMS.get(call.name);
    if (form === undefined || facts.fileNames.has(call.name) || facts.isLocal(call.name, call.start))
      continue;
    const program = programOf(facts, call, usdtPrograms);
    const finding = check(call, form, program, facts);
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
  form: Form,
  program: UsdtProgram | undefined,
  facts: Facts,
): Finding | undefined {
  const wanted = form.arguments;
  if (call.arguments.length !== wanted) {
    return {
      ...call.nameRange,
      code: "USDT_ARGUMENT",
      message: `${call.name} takes ${wanted} ${wanted === 1 ? "argument" : "arguments"}, not ${call.arguments.length}`,
      hint: form.takes,
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
  if (!form.isNumbered) return undefined;
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
