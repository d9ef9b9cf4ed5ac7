import type { Execution } from "./execution.ts";
import { readAny } from "./helpers/memory.ts";

/**
 * A load of the kernel's memory without a helper, which programs by BTF may do: from what an event gave, and from
 * structures of tasks. False when the program is no such one, or there is nothing.
 */
export function loadKernel(run: Execution, address: bigint, size: number, dst: number): boolean {
  if (!run.program.readsKernel) return false;
  const bytes = new Uint8Array(8);
  if (!readAny(run, address, bytes.subarray(0, size))) return false;
  const view = new DataView(bytes.buffer);
  run.registers[dst] = view.getInt32(0, true);
  run.registers[dst + 1] = view.getInt32(4, true);
  return true;
}
