import type { Scope } from "../../core/scope.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import { KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";

/** Links whose effect the kernel keeps when the process is gone: those to dispose when this one exits. */
const alive = new Set<LastingLink>();

function disposeAll(): void {
  for (const link of alive) link[Symbol.dispose]();
}

/**
 * A link that the kernel does not take off when the process ends: disposed at the latest when the process exits. A
 * process that a signal ends has no such moment, and leaves the attachment behind.
 */
export class LastingLink extends KernelLink {
  constructor(program: KernelProgram, target: AttachTarget, parts: Scope) {
    super(program, target, parts);
    if (alive.size === 0) process.on("exit", disposeAll);
    alive.add(this);
  }

  override handOver(parts: Scope): void {
    this.#forget();
    super.handOver(parts);
  }

  override [Symbol.dispose](): void {
    this.#forget();
    super[Symbol.dispose]();
  }

  #forget(): void {
    if (alive.delete(this) && alive.size === 0) process.off("exit", disposeAll);
  }
}
