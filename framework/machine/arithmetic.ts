/**
 * 64-bit arithmetic on registers that are two 32-bit halves in an Int32Array: index i the lower, i + 1 the upper. All of
 * it as RFC 9669 (4.1) says: division by zero gives 0, a remainder by zero leaves the dividend.
 */

const TWO_32 = 2 ** 32;
/** Upper halves below this make numbers that doubles hold exactly. */
const EXACT = 2 ** 21;

/** The upper 32 bits of the product of two unsigned 32-bit numbers. */
export function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middle = aLow * bHigh + (low & 0xffff);
  return (aHigh * bHigh + Math.floor(low / 0x10000) + Math.floor(middle / 0x10000)) | 0;
}

/** r[d] = r[d] * r[s] */
export function multiply(r: Int32Array, d: number, s: number): void {
  const a = r[d]!;
  const b = r[s]!;
  const high = multiplyHigh(a, b) + Math.imul(r[d + 1]!, b) + Math.imul(a, r[s + 1]!);
  r[d] = Math.imul(a, b);
  r[d + 1] = high | 0;
}

/** r[d] = r[d] / r[s] or r[d] % r[s], unsigned. */
export function divide(r: Int32Array, d: number, s: number, remainder: boolean): void {
  const bLow = r[s]! >>> 0;
  const bHigh = r[s + 1]! >>> 0;
  if (bLow === 0 && bHigh === 0) {
    if (!remainder) {
      r[d] = 0;
      r[d + 1] = 0;
    }
    return;
  }
  const aLow = r[d]! >>> 0;
  const aHigh = r[d + 1]! >>> 0;
  if (aHigh === 0 && bHigh === 0) {
    r[d] = remainder ? (aLow % bLow) | 0 : (aLow / bLow) | 0;
  } else if (aHigh < EXACT && bHigh < EXACT) {
    const a = aHigh * TWO_32 + aLow;
    const b = bHigh * TWO_32 + bLow;
    // A remainder of doubles is exact, and so is the quotient once the remainder is taken away.
    const rest = a % b;
    setNumber(r, d, remainder ? rest : (a - rest) / b);
  } else {
    const a = (BigInt(aHigh) << 32n) | BigInt(aLow);
    const b = (BigInt(bHigh) << 32n) | BigInt(bLow);
    setBig(r, d, remainder ? a % b : a / b);
  }
}

/** As `divide`, signed: the quotient is rounded towards zero, the remainder has the dividend's sign. */
export function divideSigned(r: Int32Array, d: number, s: number, remainder: boolean): void {
  if (r[s] === 0 && r[s + 1] === 0) {
    divide(r, d, s, remainder);
    return;
  }
  // Wraps where the quotient does not fit: only the least number divided by -1.
  const a = getBig(r, d);
  const b = getBig(r, s);
  setBig(r, d, remainder ? a % b : a / b);
}

/** A register as a signed number. */
export function getBig(r: Int32Array, at: number): bigint {
  const low = r[at]!;
  const high = r[at + 1]!;
  // Most numbers are small, and joining halves takes longer than all else about them.
  if (high === low >> 31) return BigInt(low);
  if (high === 0) return BigInt(low >>> 0);
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** Sets a register to a number of any sign; bits above 64 are dropped. */
export function setBig(r: Int32Array, at: number, value: bigint): void {
  r[at] = Number(BigInt.asIntN(32, value));
  r[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
}

/** Sets a register to a whole number that a double holds exactly. */
export function setNumber(r: Int32Array, at: number, value: number): void {
  r[at] = (value % TWO_32) | 0;
  r[at + 1] = Math.floor(value / TWO_32) | 0;
}

/** The unsigned number in a register; inexact above 2^53. */
export function getNumber(r: Int32Array, at: number): number {
  return (r[at + 1]! >>> 0) * TWO_32 + (r[at]! >>> 0);
}

/** Reverses the bytes of a word. */
export function swap32(value: number): number {
  return (value >>> 24) | ((value >>> 8) & 0xff00) | ((value << 8) & 0xff0000) | (value << 24);
}
