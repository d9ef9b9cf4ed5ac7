import type { Execution } from "./execution.ts";
import { FIRST_HIGH, LOW_BASE, NO_REGION } from "./memory.ts";

/** Whether an operation gives back what was there; the order is that of `atomicOps`. */
const FETCHES = [false, false, false, false, true, true, true, true, true, true];
const COMPARE = 9;

/**
 * One atomic operation: on 8 bytes for the first ten numbers, on 4 for the next ten. `dst` and `src` are indexes of
 * registers.
 *
 * @throws MachineFault when the memory is not the program's to write, or the address is no multiple of the size
 */
export function atomic(
  run: Execution,
  slot: number,
  number: number,
  dst: number,
  src: number,
  off: number,
): void {
  const isWide = number < FETCHES.length;
  const op = isWide ? number : number - FETCHES.length;
  const size = isWide ? 8 : 4;
  const r = run.registers;
  const region = run.regions[r[dst + 1]! - FIRST_HIGH] ?? NO_REGION;
  const at = (r[dst]! >>> 0) - LOW_BASE + off;
  if (!region.allows(at, size, true)) {
    throw run.badAccess(slot, { low: (at + LOW_BASE) | 0, high: r[dst + 1]!, size, write: true });
  }
  if (at % size !== 0) {
    throw run.faultAt(
      slot,
      "memory",
      `an atomic operation needs an address that is a multiple of ${size}`,
      region.address(at),
    );
  }
  const { view } = region;
  const low = view.getInt32(at, true);
  const high = isWide ? view.getInt32(at + 4, true) : 0;
  const aLow = r[src]!;
  const aHigh = r[src + 1]!;
  if (op === COMPARE) {
    if (low === r[0] && (!isWide || high === r[1])) {
      view.setInt32(at, aLow, true);
      if (isWide) view.setInt32(at + 4, aHigh, true);
    }
    r[0] = low;
    r[1] = high;
    return;
  }
  view.setInt32(at, lowOf(op, low, aLow), true);
  if (isWide) view.setInt32(at + 4, highOf(op, low, high, aLow, aHigh), true);
  if (FETCHES[op]!) {
    r[src] = low;
    r[src + 1] = high;
  }
}

function lowOf(op: number, a: number, b: number): number {
  switch (op) {
    case 8:
      return b;
    case 0:
    case 4:
      return (a + b) | 0;
    case 1:
    case 5:
      return a | b;
    case 2:
    case 6:
      return a & b;
    default:
      return a ^ b;
  }
}

function highOf(op: number, aLow: number, a: number, bLow: number, b: number): number {
  if (op !== 0 && op !== 4) return lowOf(op, a, b);
  return (a + b + (((aLow + bLow) | 0) >>> 0 < aLow >>> 0 ? 1 : 0)) | 0;
}
