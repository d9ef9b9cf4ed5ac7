import { viewOf } from "../core/layout.ts";
import { type Opcode, type OperandField, opcodesOf } from "./opcodes.ts";

/** Bytes of an instruction, and of each half of a wide one. */
export const INSN_BYTES = 8;

/** One decoded instruction. Fields that its opcode does not use are 0. */
export interface Instruction {
  readonly opcode: Opcode;
  /** Its place, in slots of 8 bytes from the start. */
  readonly at: number;
  readonly dst: number;
  readonly src: number;
  /** 16 bits, signed. */
  readonly off: number;
  /** 32 bits, signed. */
  readonly imm: number;
  /** The second slot's immediate of a wide load, signed; 0 for others. */
  readonly next: number;
}

/** Why bytes are no program. */
export interface Refusal {
  /** The slot it is about. */
  readonly at: number;
  readonly reason: string;
}

/** What decoding gave: all instructions, or those before the first that is none, and why it is not. */
export interface Decoded {
  readonly instructions: readonly Instruction[];
  readonly refusal: Refusal | null;
}

/** The number of registers; the last one is the frame pointer, which programs cannot write. */
export const REGISTERS = 11;
export const FRAME_POINTER = 10;

/**
 * Reads instructions, strictly: unknown opcodes, registers that do not exist and reserved fields that are not zero end
 * the reading, as RFC 9669 asks.
 */
export function decode(bytes: Uint8Array): Decoded {
  const instructions: Instruction[] = [];
  const refuse = (at: number, reason: string): Decoded => ({ instructions, refusal: { at, reason } });
  const slots = Math.floor(bytes.length / INSN_BYTES);
  if (bytes.length % INSN_BYTES !== 0) {
    return refuse(slots, `${bytes.length} bytes are not a whole number of instructions`);
  }
  if (slots === 0) return refuse(0, "there are no instructions");
  const view = viewOf(bytes);
  for (let at = 0; at < slots; at++) {
    const byte = at * INSN_BYTES;
    const code = bytes[byte]!;
    const raw = {
      dst: bytes[byte + 1]! & 0x0f,
      src: bytes[byte + 1]! >> 4,
      off: view.getInt16(byte + 2, true),
      imm: view.getInt32(byte + 4, true),
    };
    const candidates = opcodesOf(code);
    if (candidates.length === 0) return refuse(at, `unknown opcode 0x${hex(code)}`);
    const opcode = candidates.find(
      ({ selector }) => selector === null || raw[selector.field] === selector.value,
    );
    if (opcode === undefined) return refuse(at, unknownForm(code, candidates, raw));
    const reserved = reservedField(opcode, raw);
    if (reserved !== undefined) return refuse(at, reserved);
    if (raw.dst >= REGISTERS || (opcode.fields.includes("src") && raw.src >= REGISTERS)) {
      return refuse(at, `register r${Math.max(raw.dst, raw.src)} does not exist`);
    }
    if (opcode.kind !== "wide") {
      instructions.push({ opcode, at, ...raw, next: 0 });
      continue;
    }
    if (at + 1 >= slots) return refuse(at, "a wide load lacks its second half");
    const second = byte + INSN_BYTES;
    if (bytes[second] !== 0 || bytes[second + 1] !== 0 || view.getInt16(second + 2, true) !== 0) {
      return refuse(at + 1, "the second half of a wide load has more than an immediate");
    }
    instructions.push({ opcode, at, ...raw, next: view.getInt32(second + 4, true) });
    at++;
  }
  return { instructions, refusal: null };
}

type Fields = Readonly<Record<OperandField, number>>;

function reservedField(opcode: Opcode, raw: Fields): string | undefined {
  for (const field of ["dst", "src", "off", "imm"] as const) {
    if (raw[field] === 0 || opcode.fields.includes(field) || opcode.selector?.field === field) continue;
    return `reserved field ${field} of ${opcode.name} is ${raw[field]}, not 0`;
  }
  return undefined;
}

function unknownForm(code: number, candidates: readonly Opcode[], raw: Fields): string {
  const field = candidates.find(({ selector }) => selector !== null)!.selector!.field;
  return `opcode 0x${hex(code)} has no form with ${field} ${raw[field]}`;
}

/** Bytes of one instruction: 8, or 16 for a wide load. */
export function encode(
  opcode: Opcode,
  fields: Partial<Fields> & { readonly next?: number } = {},
): Uint8Array {
  const isWide = opcode.kind === "wide";
  const bytes = new Uint8Array(isWide ? 2 * INSN_BYTES : INSN_BYTES);
  const view = viewOf(bytes);
  const { selector } = opcode;
  const selected: Partial<Fields> = selector === null ? {} : { [selector.field]: selector.value };
  const { dst = 0, src = 0, off = 0, imm = 0 } = { ...fields, ...selected };
  bytes[0] = opcode.code;
  bytes[1] = (dst & 0x0f) | (src << 4);
  view.setInt16(2, off, true);
  view.setInt32(4, imm, true);
  if (isWide) view.setInt32(12, fields.next ?? 0, true);
  return bytes;
}

/** The register an instruction writes, or undefined: the fetching atomics write their source, or r0. */
export function writtenRegister({ opcode, dst, src }: Instruction): number | undefined {
  switch (opcode.kind) {
    case "alu":
    case "swap":
    case "load":
    case "wide":
      return dst;
    case "atomic":
      if (opcode.op === "cmpxchg") return 0;
      return opcode.op.startsWith("fetch") || opcode.op === "xchg" ? src : undefined;
    case "call":
    case "packet":
      return 0;
    default:
      return undefined;
  }
}

/** The slot that a jump goes to; undefined for instructions that do not jump. */
export function jumpTarget({ opcode, at, off, imm }: Instruction): number | undefined {
  if (opcode.kind === "jump") return at + 1 + off;
  if (opcode.kind === "goto") return at + 1 + (opcode.from === "off" ? off : imm);
  return undefined;
}

function hex(code: number): string {
  return code.toString(16).padStart(2, "0");
}
