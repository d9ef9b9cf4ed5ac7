import { AttachError, type BpfError } from "../../core/errors.ts";
import { type AttachTarget, describeTarget } from "../../programs/targets.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { isPermission, missingPrivilege } from "../permission.ts";
import type { KernelProgram } from "../programs.ts";

/** "attaching "do_entry" to kprobe do_sys_open": what messages begin with. */
function attaching(program: KernelProgram, target: AttachTarget): string {
  return `"${program.spec.name}" to ${describeTarget(target)}`;
}

/** An attachment that cannot be: why, and what to do instead. */
export function cannotAttach(
  program: KernelProgram,
  target: AttachTarget,
  why: string,
  details: { readonly hint?: string | undefined; readonly cause?: unknown } = {},
): AttachError {
  return new AttachError(`cannot attach ${attaching(program, target)}: ${why}`, details);
}

/**
 * Turns a failed call into its meaning for an attachment. Errors that are not a system call's pass unchanged.
 *
 * @param reasons what an errno means for this hook; others stand as they are
 */
export function explainAttach(
  failure: { readonly program: KernelProgram; readonly target: AttachTarget; readonly capability: string },
  cause: unknown,
  reasons: Readonly<Record<string, string>> = {},
): unknown {
  const { program, target, capability } = failure;
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  if (isPermission(errno)) return denied(program, target, capability, cause);
  const why = reasons[errno];
  return cannotAttach(program, target, why === undefined ? errno : `${why} (${errno})`, { cause });
}

function denied(program: KernelProgram, target: AttachTarget, capability: string, cause: unknown): BpfError {
  return missingPrivilege(`attaching ${attaching(program, target)}`, capability, cause);
}
