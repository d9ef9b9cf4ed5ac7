import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";
import { format } from "./format.ts";
import { readAny, readText } from "./memory.ts";

/** Bytes of a text that conversions print at most. */
const MOST_TEXT = 512;
/** Bytes that bpf_trace_printk prints at most (MAX_BPRINTF_BUF). */
const MOST_PRINTED = 1024;

/** Bytes of a format, and of a text that is to be a number, that are looked at. */
const MOST_FORMAT = 4096;

const decoder = new TextDecoder();

/** A text at any address, at most so many bytes of it; undefined when it cannot be read. */
function textAt(run: Execution, address: bigint, most: number): string | undefined {
  const bytes = new Uint8Array(most);
  const length = readText(run, address, bytes);
  return length < 0 ? undefined : decoder.decode(bytes.subarray(0, length));
}

/** The format at a register, or an error: it ends with a NUL. */
function formatAt(run: Execution, register: number, size: number): string | number {
  const bytes = run.bytes(register, size, false);
  if (size === 0 || size > MOST_FORMAT || bytes[size - 1] !== 0) return errno.EINVAL;
  return decoder.decode(bytes.subarray(0, bytes.indexOf(0)));
}

function formatted(run: Execution, text: string | number, values: readonly bigint[]): string | number {
  if (typeof text === "number") return text;
  let at = 0;
  return format(text, {
    next: () => values[at++],
    text(address) {
      return textAt(run, address, MOST_TEXT);
    },
    bytes(address, size) {
      const bytes = new Uint8Array(size);
      return readAny(run, address, bytes) ? bytes : undefined;
    },
  });
}

function print(run: Execution, text: string | number): void {
  if (typeof text === "number") return run.result(text);
  const { task, cpu, clock } = run.happening;
  const kept = text.slice(0, MOST_PRINTED);
  run.services.print({ task, cpu, time: clock.monotonic(), text: kept });
  run.result(kept.length);
}

/** bpf_trace_printk(format, size, …) with up to three values */
export function tracePrintk(run: Execution): void {
  const values = [3, 4, 5].map((register) => BigInt.asUintN(64, run.big(register)));
  print(run, formatted(run, formatAt(run, 1, run.word(2)), values));
}

/** The values at a register: words of 8 bytes. */
function valuesAt(run: Execution, register: number, size: number): readonly bigint[] | undefined {
  if (size % 8 !== 0 || size > 12 * 8) return undefined;
  const bytes = run.bytes(register, size, false);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: size / 8 }, (_, index) => view.getBigUint64(index * 8, true));
}

/** bpf_trace_vprintk(format, size, values, bytes) */
export function traceVprintk(run: Execution): void {
  const values = valuesAt(run, 3, run.word(4));
  if (values === undefined) return run.result(errno.EINVAL);
  print(run, formatted(run, formatAt(run, 1, run.word(2)), values));
}

/** bpf_snprintf(to, size, format, values, bytes): the length with its NUL that the whole text would have. */
export function snprintf(run: Execution): void {
  const size = run.word(2);
  const into = run.bytes(1, size, true);
  const values = valuesAt(run, 4, run.word(5));
  const text = textAt(run, run.big(3), MOST_PRINTED);
  if (values === undefined || text === undefined) return run.result(errno.EINVAL);
  const made = formatted(run, text, values);
  if (typeof made === "number") return run.result(made);
  const bytes = new TextEncoder().encode(made);
  if (size > 0) {
    const kept = bytes.subarray(0, size - 1);
    into.set(kept);
    into[kept.length] = 0;
  }
  run.result(bytes.length + 1);
}

/** bpf_strncmp(s1, size, s2) */
export function strncmp(run: Execution): void {
  const size = run.word(2);
  const left = run.bytes(1, size, false);
  // Behind the end of the first text nothing counts.
  const end = left.indexOf(0);
  const right = new Uint8Array(end < 0 ? size : end + 1);
  const length = readText(run, run.big(3), right);
  right.fill(0, Math.max(length, 0));
  for (let i = 0; i < size; i++) {
    const difference = left[i]! - (right[i] ?? 0);
    if (difference !== 0) return run.result(difference < 0 ? -1 : 1);
    if (left[i] === 0) break;
  }
  run.result(0);
}

/** Bits of the flags of bpf_strtol that hold the base; 0 tells it from the text. */
const BASE_MASK = 0x1f;

/** bpf_strtol(text, size, flags, result), and bpf_strtoul: how many characters were used, or an error. */
export function stringToNumber(signed: boolean): (run: Execution) => void {
  return (run) => {
    const size = run.word(2);
    const text = decoder.decode(run.bytes(1, size, false).subarray(0, MOST_FORMAT));
    const at = run.reach(4, 8, true);
    const { view } = run.reached;
    const flags = run.number(3);
    const base = flags & BASE_MASK;
    if (size === 0 || (flags & ~BASE_MASK) !== 0 || ![0, 8, 10, 16].includes(base))
      return run.result(errno.EINVAL);
    const lead = /^[\s\0]*?(-?)/.exec(text)!;
    const isNegative = lead[1] === "-";
    if (isNegative && !signed) return run.result(errno.EINVAL);
    const rest = text.slice(lead[0].length);
    const { digits, prefix, radix } = digitsOf(rest, base);
    if (digits === "") return run.result(errno.EINVAL);
    const magnitude = [...digits].reduce(
      (sum, digit) => sum * BigInt(radix) + BigInt(Number.parseInt(digit, 16)),
      0n,
    );
    const value = isNegative ? -magnitude : magnitude;
    const least = signed ? -(2n ** 63n) : 0n;
    const most = signed ? 2n ** 63n - 1n : 2n ** 64n - 1n;
    if (value < least || value > most) return run.result(errno.ERANGE);
    view.setBigInt64(at, BigInt.asIntN(64, value), true);
    run.result(lead[0].length + prefix + digits.length);
  };
}

function digitsOf(text: string, base: number): { digits: string; prefix: number; radix: number } {
  const isHex = /^0[xX][\da-fA-F]/.test(text);
  const radix = base !== 0 ? base : isHex ? 16 : text.startsWith("0") ? 8 : 10;
  const prefix = radix === 16 && isHex ? 2 : 0;
  const pattern = radix === 16 ? /^[\da-fA-F]+/ : radix === 8 ? /^[0-7]+/ : /^\d+/;
  return { digits: pattern.exec(text.slice(prefix))?.[0] ?? "", prefix, radix };
}
