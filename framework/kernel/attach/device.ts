import { readFileSync } from "node:fs";
import { didYouMean, nearestNames } from "../../core/diagnostics.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import { libc } from "../../sys/libc.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach } from "./attach-error.ts";

/** The index of a network device in this process's namespace, or undefined when there is none by that name. */
export function findDevice(device: string): number | undefined {
  return libc().if_nametoindex(device) || undefined;
}

/** What to tell about a device that is not there. */
export function nearDevices(device: string): string {
  const names = deviceNames();
  return didYouMean(nearestNames(device, names)) ?? `devices here: ${names.join(", ")}`;
}

/**
 * The index of a network device in this process's namespace.
 *
 * @throws AttachError with the nearest names
 */
export function deviceIndex(program: KernelProgram, target: AttachTarget, device: string): number {
  const index = findDevice(device);
  if (index !== undefined) return index;
  throw cannotAttach(program, target, "no such device", { hint: nearDevices(device) });
}

/** Names of this namespace's devices. A sysfs that was mounted in another namespace would show those of that one. */
function deviceNames(): readonly string[] {
  const lines = readFileSync("/proc/self/net/dev", "latin1").split("\n");
  return lines.flatMap((line) => /^\s*(\S+?):/.exec(line)?.[1] ?? []);
}
