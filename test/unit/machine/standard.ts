/**
 * Which encodings RFC 9669 has, written from its tables with numbers and shared with nothing: one instruction as its
 * five fields, as they stand in the eight bytes.
 */
export interface Encoded {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
}

/** The registers r0 to r10. */
const exists = (register: number): boolean => register <= 10;

/** Whether the standard has such an instruction. Wide loads are judged by their first half. */
export function isStandard(insn: Encoded): boolean {
  // Section 3: the three lower bits are the class.
  return classes[insn.code & 7]!(insn);
}

/** Sections 4.1 and 4.2. */
function arithmetic({ code, dst, src, off, imm }: Encoded): boolean {
  const is64 = (code & 7) === 7;
  const fromRegister = (code & 8) !== 0;
  const op = code >> 4;
  if (!exists(dst) || op > 0xd) return false;
  if (op === 0xd) {
    // Byte swaps: the unconditional one is of the 64-bit class, and has no other source.
    return src === 0 && off === 0 && [16, 32, 64].includes(imm) && !(is64 && fromRegister);
  }
  if (op === 0x8) return !fromRegister && src === 0 && off === 0 && imm === 0;
  const forms = op === 0x3 || op === 0x9 ? [0, 1] : [0];
  if (op === 0xb && fromRegister) forms.push(8, 16, ...(is64 ? [32] : []));
  if (!forms.includes(off)) return false;
  return fromRegister ? exists(src) && imm === 0 : src === 0;
}

/** Sections 4.3 and 4.4. */
function jump({ code, dst, src, off, imm }: Encoded): boolean {
  const is64 = (code & 7) === 5;
  const fromRegister = (code & 8) !== 0;
  const op = code >> 4;
  if (op === 0x0) return !fromRegister && dst === 0 && src === 0 && (is64 ? imm === 0 : off === 0);
  if (op === 0x8) {
    if (!is64 || fromRegister || dst !== 0) return false;
    // A call of a function in the platform's types may say whose types with its offset.
    return src === 0 || src === 1 ? off === 0 : src === 2;
  }
  if (op === 0x9) return is64 && !fromRegister && dst === 0 && src === 0 && off === 0 && imm === 0;
  if (op > 0xd || !exists(dst)) return false;
  return fromRegister ? exists(src) && imm === 0 : src === 0;
}

/** Section 5: the mode is in the three upper bits, the size in the two below them: word, half, byte, double word. */
const mode = (code: number): number => code >> 5;
const isDouble = (code: number): boolean => ((code >> 3) & 3) === 3;
const isWordOrDouble = (code: number): boolean => ((code >> 3) & 3) === 0 || isDouble(code);

const ATOMIC = [0x00, 0x40, 0x50, 0xa0].flatMap((imm) => [imm, imm | 1]).concat(0xe1, 0xf1);

const classes: readonly ((insn: Encoded) => boolean)[] = [
  // LD: wide loads of seven forms, and the old access to packets.
  ({ code, dst, src, off }) => {
    if (mode(code) === 0) return isDouble(code) && exists(dst) && src <= 6 && off === 0;
    if (isDouble(code) || dst !== 0 || off !== 0) return false;
    return mode(code) === 1 ? src === 0 : mode(code) === 2 && exists(src);
  },
  // LDX: plain, and with the sign, which a double word has not.
  ({ code, dst, src, imm }) =>
    (mode(code) === 3 || (mode(code) === 4 && !isDouble(code))) && exists(dst) && exists(src) && imm === 0,
  // ST
  ({ code, dst, src }) => mode(code) === 3 && exists(dst) && src === 0,
  // STX: plain, and atomic of 32 and 64 bits.
  ({ code, dst, src, imm }) => {
    if (!exists(dst) || !exists(src)) return false;
    return mode(code) === 3 ? imm === 0 : mode(code) === 6 && isWordOrDouble(code) && ATOMIC.includes(imm);
  },
  arithmetic,
  jump,
  jump,
  arithmetic,
];
