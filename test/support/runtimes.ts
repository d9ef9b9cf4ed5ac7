import type { TestContext } from "vitest";
import { KernelRuntime } from "../../framework/kernel/kernel-runtime.ts";
import { MachineRuntime } from "../../framework/machine/machine-runtime.ts";
import type { Runtime } from "../../framework/runtime/types.ts";

/** A runtime that tests of the contract run on. */
export interface TestedRuntime {
  readonly name: "kernel" | "machine";
  open(): Runtime;
  /** Why it cannot be used here; undefined when it can. */
  readonly reason: string | undefined;
}

const access = KernelRuntime.probe();

/** Both runtimes, for `describe.each`. */
export const runtimes: readonly TestedRuntime[] = [
  { name: "kernel", open: () => new KernelRuntime(), reason: access.ok ? undefined : access.reason },
  { name: "machine", open: () => new MachineRuntime({ cpuCount: 2 }), reason: undefined },
];

/** Skips, with the reason, a test of a runtime that cannot be used; with REQUIRE=kernel that is a failure. */
export function needsRuntime(context: TestContext, reason: string | undefined): void {
  if (reason === undefined) return;
  if (process.env["REQUIRE"] === "kernel") throw new Error(`REQUIRE=kernel, and ${reason}`);
  context.skip(reason);
}
