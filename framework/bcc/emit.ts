import type { CompileEnvironment } from "../compile/environment.ts";
import { standaloneText } from "../compile/lower.ts";
import { gatherFiles, type Source } from "../compile/preprocess.ts";
import { type ProgramRole, roleOfFunction, sectionOfRole } from "../programs/kinds.ts";
import { compile, lower, withDeclarations } from "./pipeline.ts";

/** What functions are that neither their names nor their sections tell. */
export type Roles = ReadonlyMap<string, ProgramRole>;

/** A source as plain C that compiles by itself. @throws RewriteError, CompileError from preprocessing */
export function emitC(source: Source, environment: CompileEnvironment, roles: Roles): string {
  return standaloneText(
    withDeclarations(lower(source, gatherFiles(source), environment, standardSections(roles)), environment),
    environment,
  );
}

/**
 * A source as an object that libbpf loads: sections say what each function is. Functions that nothing gives a kind keep
 * a section of ours, for which libbpf asks.
 *
 * @throws RewriteError, CompileError
 */
export function emitObject(source: Source, environment: CompileEnvironment, roles: Roles): Uint8Array {
  const files = gatherFiles(source);
  const lowered = lower(source, files, environment, standardSections(roles));
  return compile(source, files, lowered, environment, { syscallTracepoint: false });
}

function standardSections(roles: Roles): (name: string) => string | null {
  return (name) => {
    const role = roles.get(name) ?? roleOfFunction(name);
    return role === null ? null : sectionOfRole(role);
  };
}
