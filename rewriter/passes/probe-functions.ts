import { roleOfFunction } from "../../framework/programs/kinds.ts";
import type { Edit } from "../edits.ts";
import { type Facts, type FunctionFact, isLibbpf } from "../facts.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";

/** BCC binds the context and six parameters: what the calling convention passes in registers. */
const MOST_PARAMETERS = 7;

/**
 * BCC's program functions get a section, their further parameters come from registers, and static functions are
 * inlined. A source with section names of its own is libbpf's dialect: its functions stay as they are.
 */
export function probeFunctions({ facts }: PassInput): PassResult {
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
      edits.push(...bindParameters(fact));
    } else {
      edits.push(insert(fact.start, sectionOf(fact.name)));
    }
  }
  return { edits: [...edits, ...renameUses(facts, bound)], diagnostics };
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

function sectionOf(name: string): string {
  return `__attribute__((section(".bpf.fn.${name}"), used)) `;
}

function checkParameters(fact: FunctionFact): readonly PassDiagnostic[] {
  const findings: PassDiagnostic[] = [];
  const { parameters, name } = fact;
  if (parameters.length > MOST_PARAMETERS) {
    findings.push({
      ...parameters[MOST_PARAMETERS]!,
      severity: "error",
      code: "PARAMETER_COUNT",
      message: `program "${name}" has ${parameters.length} parameters; a probe passes the context and at most ${MOST_PARAMETERS - 1}`,
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
        hint: "take a pointer to it",
      });
    }
  }
  return findings;
}

/**
 * The user's function becomes an inlined one under another name; the program calls it with its parameters read from
 * the registers. The user's text stays as written.
 */
function bindParameters(fact: FunctionFact): readonly Edit[] {
  const reader = isSystemCall(fact.name) ? "bcc_syscall_parm" : "bcc_parm";
  const values = fact.parameters.map((_, index) =>
    index === 0 ? "ctx" : `(void *)${reader}(ctx, ${index})`,
  );
  const call = `____${fact.name}(${values.join(", ")});`;
  const body = fact.returnsVoid ? `${call} return 0;` : `return ${call}`;
  const program = `${sectionOf(fact.name)}int ${fact.name}(void *ctx) { ${body} }`;
  return [
    insert(fact.start, "static inline __attribute__((always_inline)) "),
    { kind: "replace", ...fact.nameRange, text: `____${fact.name}` },
    insert(fact.end, ` ${program}`),
  ];
}

const SYSTEM_CALL = /^(?:sys_|__x64_sys_|__ia32_sys_|__arm64_sys_|__s390x?_sys_|__riscv_sys_)/;

/** Functions of system calls get their parameters from the registers the caller had. */
export function isSystemCall(name: string): boolean {
  if (name.startsWith("syscall__")) return true;
  const target = roleOfFunction(name)?.target;
  return target?.hook === "kprobe" && SYSTEM_CALL.test(target.symbol);
}
