import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";
import { FIRST_HIGH, LOW_BASE, NO_REGION, type Region } from "../memory.ts";

/** Addresses of processes are below this one on every machine that the kernel runs on. */
const USER_END = 1n << 56n;

/** Bytes that a process' memory is read in when its end is not known. */
const PAGE_BYTES = 4096n;

/** Where memory of the kernel's kind is: the program's own regions, or structures that the machine made up. */
function kernelRegion(run: Execution, high: number): Region {
  const own = run.regions[high - FIRST_HIGH] ?? NO_REGION;
  return own === NO_REGION ? run.services.tasks.at(high) : own;
}

/** Copies from any address into `into`, as the kernel's fault-safe reads do; false when some of it is not there. */
export function readAny(run: Execution, address: bigint, into: Uint8Array): boolean {
  const unsigned = BigInt.asUintN(64, address);
  if (unsigned < USER_END) return run.happening.memory?.read(unsigned, into) ?? false;
  const region = kernelRegion(run, Number(BigInt.asIntN(32, unsigned >> 32n)));
  const at = Number(unsigned & 0xffffffffn) - LOW_BASE;
  if (region === NO_REGION) return run.happening.memory?.read(unsigned, into) ?? false;
  if (at < region.start || at + into.length > region.length) return false;
  into.set(region.bytes.subarray(at, at + into.length));
  return true;
}

/** The bytes of a text before its NUL, at most `most`; undefined when they cannot be read. */
export function readText(run: Execution, address: bigint, most: number): Uint8Array | undefined {
  const parts: number[] = [];
  let at = BigInt.asUintN(64, address);
  while (parts.length < most) {
    // Up to the end of a page at a time, and byte by byte where that much cannot be read.
    const left = Number(PAGE_BYTES - (at % PAGE_BYTES));
    let part = new Uint8Array(Math.min(left, most - parts.length));
    if (!readAny(run, at, part)) {
      part = new Uint8Array(1);
      if (!readAny(run, at, part)) return undefined;
    }
    const end = part.indexOf(0);
    for (const byte of end < 0 ? part : part.subarray(0, end)) parts.push(byte);
    if (end >= 0) return Uint8Array.from(parts);
    at += BigInt(part.length);
  }
  return Uint8Array.from(parts);
}

type Space = "user" | "kernel" | "any";

function isIn(space: Space, address: bigint): boolean {
  return space === "any" || BigInt.asUintN(64, address) < USER_END === (space === "user");
}

/** bpf_probe_read and its relatives: a destination that is zeroed when the source cannot be read. */
export function probeRead(space: Space): (run: Execution) => void {
  return (run) => {
    const size = run.word(2);
    const into = run.bytes(1, size, true);
    const address = run.big(3);
    if (size === 0 || (isIn(space, address) && readAny(run, address, into))) return run.result(0);
    into.fill(0);
    run.result(errno.EFAULT);
  };
}

/** bpf_probe_read_str and its relatives: the length with the NUL. */
export function probeReadText(space: Space): (run: Execution) => void {
  return (run) => {
    const size = run.word(2);
    const into = run.bytes(1, size, true);
    const address = run.big(3);
    if (size === 0) return run.result(0);
    const text = isIn(space, address) ? readText(run, address, size - 1) : undefined;
    if (text === undefined) {
      into.fill(0);
      return run.result(errno.EFAULT);
    }
    into.set(text);
    into[text.length] = 0;
    run.result(text.length + 1);
  };
}

/** bpf_probe_write_user(dst, src, len) */
export function probeWriteUser(run: Execution): void {
  const bytes = run.bytes(2, run.word(3), false);
  const address = BigInt.asUintN(64, run.big(1));
  const done = address < USER_END && (run.happening.memory?.write(address, bytes) ?? false);
  run.result(done ? 0 : errno.EPERM);
}
