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

/** What was read of a text last: one read is over before the next. */
const page = new Uint8Array(Number(PAGE_BYTES));

/** Copies a text from any address, without its NUL: its length, or -1 when it cannot be read. What does not fit is left. */
export function readText(run: Execution, address: bigint, into: Uint8Array): number {
  let at = BigInt.asUintN(64, address);
  for (let done = 0; done < into.length; ) {
    // Up to the end of a page at a time, and byte by byte where that much cannot be read.
    const left = Number(PAGE_BYTES - (at % PAGE_BYTES));
    let part = page.subarray(0, Math.min(left, into.length - done));
    if (!readAny(run, at, part)) {
      part = page.subarray(0, 1);
      if (!readAny(run, at, part)) return -1;
    }
    const end = part.indexOf(0);
    into.set(end < 0 ? part : part.subarray(0, end), done);
    if (end >= 0) return done + end;
    done += part.length;
    at += BigInt(part.length);
  }
  return into.length;
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
    const length = isIn(space, address) ? readText(run, address, into.subarray(0, size - 1)) : -1;
    if (length < 0) into.fill(0);
    else into[length] = 0;
    run.result(length < 0 ? errno.EFAULT : length + 1);
  };
}

/** bpf_probe_write_user(dst, src, len) */
export function probeWriteUser(run: Execution): void {
  const bytes = run.bytes(2, run.word(3), false);
  const address = BigInt.asUintN(64, run.big(1));
  const done = address < USER_END && (run.happening.memory?.write(address, bytes) ?? false);
  run.result(done ? 0 : errno.EPERM);
}
