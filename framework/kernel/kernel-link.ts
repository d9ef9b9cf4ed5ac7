import { Scope } from "../core/scope.ts";
import { type AttachTarget, describeTarget } from "../programs/targets.ts";
import type { Link } from "../runtime/types.ts";
import type { KernelProgram } from "./programs.ts";

/** One attachment in the running kernel: what it opened is closed with it, last first. */
export class KernelLink implements Link {
  readonly program: KernelProgram;
  readonly target: AttachTarget;
  readonly #scope: Scope;

  /** Takes over what `parts` owns. */
  constructor(program: KernelProgram, target: AttachTarget, parts: Scope) {
    this.program = program;
    this.target = target;
    this.#scope = new Scope(`the link of "${program.spec.name}" to ${describeTarget(target)}`);
    parts.moveTo(this.#scope);
  }

  get closed(): boolean {
    return this.#scope.closed;
  }

  /** Gives what it opened to another link, which goes on in its place; this one counts as closed. */
  handOver(parts: Scope): void {
    this.#scope.moveTo(parts);
    this.#scope[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** Builds a link out of parts; what was made is disposed again when a later part fails. */
export function buildLink<L extends Link>(what: string, build: (parts: Scope) => L): L {
  const parts = new Scope(what);
  try {
    return build(parts);
  } catch (error) {
    parts[Symbol.dispose]();
    throw error;
  }
}
