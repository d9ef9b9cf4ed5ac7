import { expect } from "vitest";
import { openDescriptors } from "../../framework/sys/fd.ts";
import { watcherCount } from "../../framework/sys/poller.ts";
import { expectFreed, type Holdings, holdings } from "./holdings.ts";

export { expectFreed, type Holdings, holdings, kernelIds, probesOf } from "./holdings.ts";

/**
 * Fails unless this process holds exactly what it held before, and the kernel has freed the BPF objects that it held
 * in between. The kernel frees them a little after their last use.
 */
export async function expectReleased(before: Holdings, during?: Holdings): Promise<void> {
  expect(openDescriptors().map(({ label }) => label)).toEqual([]);
  expect(watcherCount()).toBe(0);
  const now = holdings();
  expect(now.descriptors).toEqual(before.descriptors);
  expect(now.probes).toEqual(before.probes);
  if (during !== undefined) await expectFreed(during, before);
}
