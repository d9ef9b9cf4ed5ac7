import type { TestContext } from "vitest";
import { isAtLeast } from "../../framework/core/version.ts";
import { supports } from "../../framework/kernel/features.ts";
import { KernelRuntime } from "../../framework/kernel/kernel-runtime.ts";
import { lockdownMode } from "../../framework/kernel/lockdown.ts";
import type { FeatureName } from "../../framework/runtime/types.ts";
import { kernelConfig, kernelRelease, kernelSymbol, kernelVersion } from "../../framework/sys/proc.ts";
import { guestVariable } from "../guest/report-line.ts";

/** What leaves a feature out of a kernel that is new enough for it. */
const CONFIGURATION: Readonly<Partial<Record<FeatureName, string>>> = {
  kprobe: "CONFIG_KPROBES",
  kprobe_multi: "CONFIG_FPROBE",
  tracepoint: "CONFIG_TRACEPOINTS",
};

/** A function of the kernel that an option brings along. */
const MADE_BY: Readonly<Record<string, string>> = {
  CONFIG_KPROBES: "register_kprobe",
  CONFIG_FPROBE: "register_fprobe",
};

/** What lockdown keeps from everybody. */
const LOCKED_DOWN: readonly FeatureName[] = ["fentry", "fmod_ret", "lsm"];

/**
 * Lets a test run only where this process may use bpf(2) and the kernel has the features; for `beforeEach` or the
 * first line of a test.
 *
 * Otherwise the test is skipped with the reason, which the reporter counts. With REQUIRE=kernel a missing privilege is a
 * failure. So is, always, a feature that the kernel is new enough for and its configuration did not leave out.
 */
export function needsKernel(context: TestContext, ...features: readonly FeatureName[]): void {
  const access = KernelRuntime.probe();
  if (!access.ok) leave(context, access.reason);
  for (const feature of features) needsFeature(context, feature);
}

/** Lets a test of what happens without kprobes run only there. */
export function needsMissingKprobes(context: TestContext): void {
  needsKernel(context);
  if (supports("kprobe").state === "yes") context.skip("this kernel has kprobes");
}

/** Lets a test that changes the whole machine run only in a guest, which is thrown away afterwards. */
export function needsGuest(context: TestContext): void {
  needsKernel(context);
  if (process.env[guestVariable] === undefined) context.skip("changes the whole machine: for guests only");
}

/** Lets a test run only where the kernel has a feature; see `needsKernel`. */
export function needsFeature(context: TestContext, feature: FeatureName): void {
  const support = supports(feature);
  if (support.state === "yes") return;
  if (LOCKED_DOWN.includes(feature) && (lockdownMode() ?? "none") !== "none") {
    context.skip("this kernel is locked down: no programs on kernel functions");
  }
  if (support.state === "unknown") throw support.cause;
  if (!isAtLeast(kernelVersion(), support.since)) {
    context.skip(`${feature} needs Linux ${support.since}; this is ${kernelRelease()}`);
  }
  const option = CONFIGURATION[feature];
  if (option !== undefined && isLeftOut(option)) context.skip(`this kernel is built without ${option}`);
  throw new Error(`${feature} is missing on ${kernelRelease()}, which should have it`);
}

/** Whether the kernel's configuration is without an option; where it is not told, whether its functions are. */
function isLeftOut(option: string): boolean {
  const configuration = kernelConfig();
  if (configuration !== undefined) return !configuration.has(option);
  const symbol = MADE_BY[option];
  return symbol !== undefined && kernelSymbol(symbol) === undefined;
}

function leave(context: TestContext, reason: string): never {
  if (process.env["REQUIRE"] === "kernel") throw new Error(`REQUIRE=kernel, and ${reason}`);
  return context.skip(reason);
}
