import { type CheckReport, checkSource } from "../../framework/bcc/check.ts";
import type { CompileEnvironment } from "../../framework/compile/environment.ts";
import { BpfError } from "../../framework/core/errors.ts";
import { type ProgramRole, roleOfFunction } from "../../framework/programs/kinds.ts";
import type { Runtime } from "../../framework/runtime/types.ts";
import { OTHERWISE, type Program } from "./programs.ts";

/** What a program's functions are as its tool has them; functions it does not attach are something too. */
class RolesOf extends Map<string, ProgramRole> {
  constructor({ kinds, text }: Program) {
    const roles = Object.entries(kinds).map(([name, kind]) => [name, { kind, target: null }] as const);
    super(roles.filter(([name]) => text.includes(name)));
  }

  override get(name: string): ProgramRole | undefined {
    if (super.has(name) || roleOfFunction(name) !== null) return super.get(name);
    return { kind: OTHERWISE, target: null };
  }
}

/** Checks a program as `rxbpf check` does. An error that is not about the source is a finding here too. */
export function checkProgram(
  program: Program,
  environment: CompileEnvironment,
  runtime: Runtime | null,
): CheckReport {
  const { name, text, folder, cflags } = program;
  const source = { file: `${name.replace(/\W+/g, "_")}.c`, text, folder, cflags };
  try {
    return checkSource(source, { environment, runtime, roles: new RolesOf(program) });
  } catch (error) {
    const message = error instanceof BpfError ? error.describe() : String(error);
    const finding = {
      severity: "error",
      code: "THROWN",
      message,
      file: source.file,
      line: 1,
      column: 1,
      hint: null,
    } as const;
    return {
      ok: false,
      programs: [],
      maps: [],
      diagnostics: [finding],
      seconds: { rewrite: 0, compile: 0, load: 0 },
    };
  }
}

/** Why a function does not load; null when it does. */
export function failureOf(report: CheckReport, name: string): string | null {
  const program = report.programs.find((candidate) => candidate.name === name);
  if (program?.ok === true) return null;
  if (program?.error !== undefined) return `${program.error.code}: ${firstLine(program.error.message)}`;
  const finding = report.diagnostics.find(({ severity }) => severity === "error");
  if (finding !== undefined) return `${finding.line}: ${finding.code}: ${firstLine(finding.message)}`;
  return "there is no such function";
}

function firstLine(text: string): string {
  return text.split("\n")[0]!;
}
