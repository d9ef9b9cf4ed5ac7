import { type PinnedMemory, pinned, processCalls } from "./libc.ts";

/** Bytes that are copied at a time. */
const CHUNK = 64 * 1024;

interface Scratch {
  readonly bytes: PinnedMemory;
  /** Two of struct iovec: ours, and the other process's. */
  readonly vectors: PinnedMemory;
}

let own: Scratch | undefined;

/** One copy between memory of this process and of another; true when all of it was copied. */
function transfer(pid: number, address: bigint, length: number, direction: "read" | "write"): boolean {
  const { bytes, vectors } = own!;
  const { view } = vectors;
  view.setBigUint64(0, BigInt(bytes.address), true);
  view.setBigUint64(8, BigInt(length), true);
  view.setBigUint64(16, address, true);
  view.setBigUint64(24, BigInt(length), true);
  const calls = processCalls();
  const call = direction === "read" ? calls.process_vm_readv : calls.process_vm_writev;
  return call(pid, vectors.address, 1, vectors.address + 16, 1, 0) === length;
}

function prepare(): Scratch {
  own ??= { bytes: pinned(CHUNK), vectors: pinned(32) };
  return own;
}

/** Fills `into` from an address in a process that this one may trace; false when any of it cannot be read. */
export function readProcess(pid: number, address: bigint, into: Uint8Array): boolean {
  const { bytes } = prepare();
  for (let at = 0; at < into.length; at += CHUNK) {
    const length = Math.min(CHUNK, into.length - at);
    if (!transfer(pid, address + BigInt(at), length, "read")) return false;
    into.set(bytes.bytes.subarray(0, length), at);
  }
  return true;
}

/** Writes at an address in a process that this one may trace; false when any of it cannot be written. */
export function writeProcess(pid: number, address: bigint, from: Uint8Array): boolean {
  const { bytes } = prepare();
  for (let at = 0; at < from.length; at += CHUNK) {
    const length = Math.min(CHUNK, from.length - at);
    bytes.bytes.set(from.subarray(at, at + length));
    if (!transfer(pid, address + BigInt(at), length, "write")) return false;
  }
  return true;
}
