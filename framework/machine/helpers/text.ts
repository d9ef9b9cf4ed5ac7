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

/** Bytes as a text with a character for each, and back. */
function charactersOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The bytes of a text at any address, at most so many of them; undefined when it cannot be read. */
function textAt(run: Execution, address: bigint, most: number): string | undefined {
  const bytes = new Uint8Array(most);
  const length = readText(run, address, bytes);
  return length < 0 ? undefined : charactersOf(bytes.subarray(0, length));
}

/** The format at a register, or an error: it ends with a NUL. */
function formatAt(run: Execution, register: number, size: number): string | number {
  const bytes = run.bytes(register, size, false);
  if (size === 0 || size > MOST_FORMAT || bytes[size - 1] !== 0) return errno.EINVAL;
  return charactersOf(bytes.subarray(0, bytes.indexOf(0)));
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
  run.services.print({ task, cpu, time: clock.monotonic(), text: decoder.decode(bytesOf(kept)) });
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
  const bytes = bytesOf(made);
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

/** Characters behind blanks and sign that are looked at. */
const MOST_DIGITS = 63;

/** The blanks of the kernel's character table: those of C, and the one that does not break. */
const LEAD = /^[\t-\r \u00a0]*(-?)/;

/** bpf_strtol(text, size, base, result), and bpf_strtoul: how many characters were used, or an error. Base 0 goes by the text. */
export function stringToNumber(signed: boolean): (run: Execution) => void {
  return (run) => {
    const size = run.word(2);
    const text = charactersOf(run.bytes(1, size, false).subarray(0, MOST_FORMAT));
    const at = run.reach(4, 8, true);
    const { view } = run.reached;
    const base = run.number(3);
    view.setBigInt64(at, 0n, true);
    if (![0, 8, 10, 16].includes(base)) return run.result(errno.EINVAL);
    const lead = LEAD.exec(text)!;
    const isNegative = lead[1] === "-";
    const { digits, prefix, radix } = digitsOf(text.slice(lead[0].length).slice(0, MOST_DIGITS), base);
    if (digits === "") return run.result(errno.EINVAL);
    const magnitude = BigInt((radix === 16 ? "0x" : radix === 8 ? "0o" : "") + digits);
    if (magnitude >= 2n ** 64n) return run.result(errno.ERANGE);
    if (isNegative && !signed) return run.result(errno.EINVAL);
    if (signed && magnitude > 2n ** 63n - (isNegative ? 0n : 1n)) return run.result(errno.ERANGE);
    view.setBigInt64(at, BigInt.asIntN(64, isNegative ? -magnitude : magnitude), true);
    run.result(lead[0].length + prefix + digits.length);
  };
}

function digitsOf(text: string, base: number): { digits: string; prefix: number; radix: number } {
  const isHex = /^0x[\da-f]/i.test(text);
  const radix = base !== 0 ? base : isHex ? 16 : text.startsWith("0") ? 8 : 10;
  const prefix = radix === 16 && /^0x/i.test(text) ? 2 : 0;
  const pattern = radix === 16 ? /^[\da-f]+/i : radix === 8 ? /^[0-7]+/ : /^\d+/;
  return { digits: pattern.exec(text.slice(prefix))?.[0] ?? "", prefix, radix };
}
