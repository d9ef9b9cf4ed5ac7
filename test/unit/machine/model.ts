import type { AluName, AtomicName, JumpName } from "../../../framework/isa/opcodes.ts";

/**
 * What RFC 9669 says about arithmetic, written with whole numbers of any size and shared with nothing: registers are
 * numbers from 0 to 2^64 - 1.
 */

const u = (bits: number, value: bigint): bigint => BigInt.asUintN(bits, value);
const s = (bits: number, value: bigint): bigint => BigInt.asIntN(bits, value);

/** Section 4.1. The second operand of an immediate form is sign-extended by the caller. */
export function aluResult(op: AluName, width: 32 | 64, left: bigint, right: bigint): bigint {
  const a = u(width, left);
  const b = u(width, right);
  const shift = b & BigInt(width - 1);
  switch (op) {
    case "add":
      return u(width, a + b);
    case "sub":
      return u(width, a - b);
    case "mul":
      return u(width, a * b);
    case "div":
      return b === 0n ? 0n : a / b;
    case "sdiv":
      return b === 0n ? 0n : u(width, s(width, a) / s(width, b));
    case "or":
      return a | b;
    case "and":
      return a & b;
    case "lsh":
      return u(width, a << shift);
    case "rsh":
      return a >> shift;
    case "neg":
      return u(width, -a);
    case "mod":
      return b === 0n ? a : a % b;
    case "smod":
      return b === 0n ? a : u(width, s(width, a) % s(width, b));
    case "xor":
      return a ^ b;
    case "mov":
      return b;
    case "movsx8":
      return u(width, s(8, b));
    case "movsx16":
      return u(width, s(16, b));
    case "movsx32":
      return u(width, s(32, b));
    case "arsh":
      return u(width, s(width, a) >> shift);
  }
}

/** Section 4.2, on a little-endian machine. */
export function swapResult(op: "le" | "be" | "bswap", width: 16 | 32 | 64, value: bigint): bigint {
  const kept = u(width, value);
  if (op === "le") return kept;
  let swapped = 0n;
  for (let byte = 0n; byte < BigInt(width / 8); byte++)
    swapped = (swapped << 8n) | ((kept >> (byte * 8n)) & 0xffn);
  return swapped;
}

/** Section 4.3: whether a jump is taken. */
export function jumps(op: JumpName, width: 32 | 64, left: bigint, right: bigint): boolean {
  const a = u(width, left);
  const b = u(width, right);
  const sa = s(width, left);
  const sb = s(width, right);
  switch (op) {
    case "jeq":
      return a === b;
    case "jne":
      return a !== b;
    case "jset":
      return (a & b) !== 0n;
    case "jgt":
      return a > b;
    case "jge":
      return a >= b;
    case "jlt":
      return a < b;
    case "jle":
      return a <= b;
    case "jsgt":
      return sa > sb;
    case "jsge":
      return sa >= sb;
    case "jslt":
      return sa < sb;
    case "jsle":
      return sa <= sb;
  }
}

/** Section 5.3: what memory, the source register and r0 are afterwards. */
export function atomicResult(
  op: AtomicName,
  size: 4 | 8,
  given: { readonly memory: bigint; readonly source: bigint; readonly r0: bigint },
): { readonly memory: bigint; readonly source: bigint; readonly r0: bigint } {
  const bits = size * 8;
  const memory = u(bits, given.memory);
  const source = u(bits, given.source);
  const plain = op.replace("fetch_", "");
  const next = {
    add: u(bits, memory + source),
    or: memory | source,
    and: memory & source,
    xor: memory ^ source,
    xchg: source,
    cmpxchg: memory === u(bits, given.r0) ? source : memory,
  }[plain as "add"];
  if (op === "cmpxchg") return { memory: next, source: given.source, r0: memory };
  const fetches = op.startsWith("fetch_") || op === "xchg";
  return { memory: next, source: fetches ? memory : given.source, r0: given.r0 };
}
