import { roleOfFunction } from "../../framework/programs/kinds.ts";
import { syscallRegisters } from "../../framework/programs/syscalls.ts";
import type { Edit } from "../edits.ts";
import { type Facts, type FunctionFact, isLibbpf, type Parameter } from "../facts.ts";
import { tokenAfter } from "../lexer.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";

/** No system call has more parameters. */
const MOST_SYSCALL_PARAMETERS = 6;
/** Parameters that the macros of lower.h can read: more than any kernel function has. */
const MOST_PARAMETERS = 16;

/**
 * BCC's program functions get a section, their further parameters come from registers and the stack, and static
 * functions are inlined. A source with section names of its own is libbpf's dialect: its functions stay as they are.
 */
export function probeFunctions({ facts, sectionOf }: PassInput): PassResult {
  const edits: Edit[] = [];
  const diagnostics: PassDiagnostic[] = [];
  for (const attribute of facts.normalized.attributes) {
    // As a macro the word would also expand inside __attribute__((noinline)).
    if (attribute.text === "noinline" || attribute.text === "__noinline") {
      edits.push({
        kind: "replace",
        start: attribute.start,
        end: attribute.end,
        text: "__attribute__((noinline))",
      });
    }
  }
  if (isLibbpf(facts)) return { edits, diagnostics };
  const called = new Set(facts.calls.map((call) => call.name));
  const bound = new Set<string>();
  for (const fact of facts.functions) {
    if (fact.isHelper) {
      if (!fact.isAlwaysInline && !fact.isNoinline)
        edits.push(insert(fact.start, "inline __attribute__((always_inline)) "));
      continue;
    }
    const findings = checkParameters(fact);
    diagnostics.push(...findings);
    if (findings.length > 0) continue;
    if (fact.parameters.length > 1 || fact.returnsVoid || called.has(fact.name)) {
      bound.add(fact.name);
      edits.push(...bindParameters(facts, fact, sectionAttribute(fact.name, sectionOf)));
    } else {
      edits.push(insert(fact.start, sectionAttribute(fact.name, sectionOf)));
    }
  }
  return { edits: [...edits, ...renameUses(facts, bound), ...nameRecords(facts)], diagnostics };
}

const LOCATED: Readonly<Record<string, string>> = {
  TP_DATA_LOC_READ: "bcc_data_loc",
  TP_DATA_LOC_READ_CONST: "bcc_data_loc_const",
  TP_DATA_LOC_READ_STR: "bcc_data_loc_str",
};

/** BCC's readers of fields of variable place mean a record called `args`; elsewhere they are told its name. */
function nameRecords({ text, calls, functions }: Facts): readonly Edit[] {
  return calls.flatMap((call): readonly Edit[] => {
    const reader = LOCATED[call.name];
    const first = call.arguments[0];
    if (reader === undefined || first === undefined) return [];
    const around = functions.find(({ body }) => body.start <= call.start && call.start < body.end);
    const record = around?.parameters.find(({ start, end }) =>
      /\bstruct\s+tracepoint__/.test(text.slice(start, end)),
    );
    if (record === undefined || record.name === "args" || record.name === "") return [];
    return [{ kind: "replace", ...call.nameRange, text: reader }, insert(first.start, `${record.name}, `)];
  });
}

/** Declarations and calls of a function whose body got another name. */
function renameUses(facts: Facts, bound: ReadonlySet<string>): readonly Edit[] {
  const edits: Edit[] = [];
  for (const { name, nameRange, start, extern } of facts.prototypes) {
    if (!bound.has(name)) continue;
    // A later definition may not be static when an earlier declaration is not.
    if (extern !== null) edits.push({ kind: "replace", ...extern, text: "static" });
    else edits.push(insert(start, "static "));
    edits.push({ kind: "replace", ...nameRange, text: `____${name}` });
  }
  for (const { name, nameRange } of facts.calls) {
    if (bound.has(name) && !facts.isLocal(name, nameRange.start)) {
      edits.push({ kind: "replace", ...nameRange, text: `____${name}` });
    }
  }
  return edits;
}

function insert(at: number, text: string): Edit {
  return { kind: "replace", start: at, end: at, text };
}

function sectionAttribute(name: string, sectionOf: PassInput["sectionOf"]): string {
  return `__attribute__((section("${sectionOf(name) ?? `.bpf.fn.${name}`}"), used)) `;
}

function checkParameters(fact: FunctionFact): readonly PassDiagnostic[] {
  const findings: PassDiagnostic[] = [];
  const { parameters, name } = fact;
  const isCall = isSystemCall(name);
  const most = isCall ? MOST_SYSCALL_PARAMETERS : MOST_PARAMETERS;
  const extra = parameters[most + 1];
  if (extra !== undefined) {
    const what = isCall ? "a system call has" : "a probe passes";
    findings.push({
      ...extra,
      severity: "error",
      code: "PARAMETER_COUNT",
      message: `program "${name}" has ${parameters.length} parameters; ${what} at most ${most} beside the context`,
    });
  }
  for (const parameter of parameters) {
    if (parameter.name === "") {
      findings.push({
        ...parameter,
        severity: "error",
        code: "PARAMETER_NAME",
        message: `a parameter of program "${name}" has no name`,
      });
    }
    if (parameter.isRecord) {
      findings.push({
        ...parameter,
        severity: "error",
        code: "PARAMETER_TYPE",
        message: `parameter "${parameter.name}" of program "${name}" is a struct by value; registers do not pass one`,
        hint: "one of up to 8 bytes, such as kuid_t, comes as one word: take an integer of its size",
      });
    }
  }
  return findings;
}

/**
 * The user's function becomes an inlined one under another name; the program calls it with those parameters that it
 * uses. The user's text stays as written.
 */
function bindParameters(facts: Facts, fact: FunctionFact, section: string): readonly Edit[] {
  const reader = readerOf(fact.name);
  const values = fact.parameters.map((parameter, index) => {
    if (index === 0) return "ctx";
    return isUsed(facts, fact, parameter) ? `(void *)${reader}(ctx, ${index})` : "0";
  });
  const call = `____${fact.name}(${values.join(", ")});`;
  const body = fact.returnsVoid ? `${call} return 0;` : `return ${call}`;
  const program = `${section}int ${fact.name}(void *ctx) { ${body} }`;
  return [
    insert(fact.start, "static inline __attribute__((always_inline)) "),
    { kind: "replace", ...fact.nameRange, text: `____${fact.name}` },
    insert(fact.end, ` ${program}`),
  ];
}

/** Whether the body has a parameter's name in it, other than as a member's. */
function isUsed(
  { text, normalized: { tokens } }: Facts,
  { body }: FunctionFact,
  { name }: Parameter,
): boolean {
  for (let i = tokenAfter(tokens, body.start); i < tokens.length && tokens[i]!.start < body.end; i++) {
    const { kind, start, end } = tokens[i]!;
    if (kind !== "name" || end - start !== name.length || !text.startsWith(name, start)) continue;
    const before = tokens[i - 1]!;
    if (!/^(?:\.|->)$/.test(text.slice(before.start, before.end))) return true;
  }
  return false;
}

/** The macro that reads a program's parameters. Functions of system calls have theirs in the caller's registers. */
function readerOf(name: string): "bcc_parm" | "bcc_syscall_parm" | "bcc_ia32_parm" {
  if (name.startsWith("syscall__")) return "bcc_syscall_parm";
  const target = roleOfFunction(name)?.target;
  const registers = target?.hook === "kprobe" ? syscallRegisters(target.symbol) : null;
  if (registers === null) return "bcc_parm";
  return registers === "native" ? "bcc_syscall_parm" : "bcc_ia32_parm";
}

/** Whether a function's parameters are those of a system call. */
export function isSystemCall(name: string): boolean {
  return readerOf(name) !== "bcc_parm";
}
