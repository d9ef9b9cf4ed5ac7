import type { Instruction } from "../isa/instruction.ts";
import { REGISTERS } from "../isa/instruction.ts";
import { type AluName, type AtomicName, aluOps, atomicOps, type JumpName, jumpOps } from "../isa/opcodes.ts";
import type { CheckedProgram, HelperFunction } from "./engine.ts";

/** Words of one lowered instruction: operation, destination, source, and an offset or a jump's target. */
export const WORDS = 4;

/**
 * Numbers of the interpreter's operations. They are what its switch compares with, where they stand as plain numbers:
 * engines make a table of jumps only from those.
 */
const ALU64 = 0;
const ALU32 = 18;
const SWAP = 36;
const GOTO = 42;
const JUMP64 = 43;
const JUMP32 = 54;
const CALL = 65;
const CALL_LOCAL = 66;
const EXIT = 67;
const LOAD = 68;
const LOAD_SIGNED = 72;
const STORE = 75;
const PACKET = 79;
const TAIL_CALL = 80;
export const ATOMIC = 81;

const TAIL_CALL_HELPER = 12;

const aluNames = Object.keys(aluOps) as AluName[];
const jumpNames = Object.keys(jumpOps) as JumpName[];
/** Atomic operations in the order of their numbers. */
export const atomicNames = Object.keys(atomicOps) as AtomicName[];

/** A program as the interpreter runs it. */
export interface Lowered {
  readonly code: Int32Array;
  /** Values of the slots behind the registers: each constant's lower and upper half. */
  readonly constants: Int32Array;
  /** Index into `code` of each slot. */
  readonly starts: Int32Array;
  /** Slot of each lowered instruction. */
  readonly slots: Int32Array;
  readonly helpers: readonly HelperFunction[];
}

/**
 * Lowers a program: wide loads become moves, immediates become registers behind the real ones, and jumps know where
 * they lead. So every operation has one form, with its operands in registers.
 */
export function lower(program: CheckedProgram): Lowered {
  const { instructions } = program;
  const starts = new Int32Array(program.slots);
  const slots = new Int32Array(instructions.length);
  for (const [index, { at }] of instructions.entries()) {
    starts[at] = index * WORDS;
    slots[index] = at;
  }
  const constants = new Constants();
  const helpers: HelperFunction[] = [];
  const code = new Int32Array(instructions.length * WORDS);
  // Reached behind a jump by adding one instruction, as from everywhere else.
  const jump = (slot: number): number => starts[slot]! - WORDS;
  for (const [index, insn] of instructions.entries()) {
    code.set(lowerOne(insn, { program, constants, helpers, jump }), index * WORDS);
  }
  return { code, constants: constants.values(), starts, slots, helpers };
}

interface Context {
  readonly program: CheckedProgram;
  readonly constants: Constants;
  readonly helpers: HelperFunction[];
  jump(slot: number): number;
}

function lowerOne(insn: Instruction, { program, constants, helpers, jump }: Context): readonly number[] {
  const { opcode, at, off, imm } = insn;
  const dst = 2 * insn.dst;
  const src = 2 * insn.src;
  switch (opcode.kind) {
    case "alu": {
      const second = opcode.source === "reg" ? src : constants.of(imm, imm >> 31);
      return [(opcode.width === 64 ? ALU64 : ALU32) + aluNames.indexOf(opcode.op), dst, second, 0];
    }
    case "swap": {
      // bswap does on every machine what be does on a little-endian one.
      const size = [16, 32, 64].indexOf(opcode.width);
      return [SWAP + (opcode.op === "le" ? 0 : 3) + size, dst, 0, 0];
    }
    case "jump": {
      const second = opcode.source === "reg" ? src : constants.of(imm, imm >> 31);
      const base = opcode.width === 64 ? JUMP64 : JUMP32;
      return [base + jumpNames.indexOf(opcode.op), dst, second, jump(at + 1 + off)];
    }
    case "goto":
      return [GOTO, 0, 0, jump(at + 1 + (opcode.from === "off" ? off : imm))];
    case "call": {
      if (opcode.callee === "local") return [CALL_LOCAL, 0, 0, jump(at + 1 + imm)];
      if (imm === TAIL_CALL_HELPER) return [TAIL_CALL, 0, 0, 0];
      helpers.push(program.helpers.get(imm)!);
      return [CALL, helpers.length - 1, 0, 0];
    }
    case "exit":
      return [EXIT, 0, 0, 0];
    case "load":
      return [(opcode.signed ? LOAD_SIGNED : LOAD) + sizeIndex(opcode.size), dst, src, off];
    case "store": {
      const second = opcode.source === "reg" ? src : constants.of(imm, imm >> 31);
      return [STORE + sizeIndex(opcode.size), dst, second, off];
    }
    case "atomic": {
      const half = opcode.size === 8 ? 0 : atomicNames.length;
      return [ATOMIC + half + atomicNames.indexOf(opcode.op), dst, src, off];
    }
    case "wide": {
      const value = program.wide.get(at)!;
      const low = Number(BigInt.asIntN(32, value));
      return [
        ALU64 + aluNames.indexOf("mov"),
        dst,
        constants.of(low, Number(BigInt.asIntN(32, value >> 32n))),
        0,
      ];
    }
    case "packet":
      // The offset says how many bytes, negative for a direct access.
      return [PACKET, opcode.indirect ? src : constants.of(0, 0), constants.of(imm, imm >> 31), opcode.size];
  }
}

function sizeIndex(size: number): number {
  return 31 - Math.clz32(size);
}

/** Constants of a program, each kept once. */
class Constants {
  readonly #values: number[] = [];
  readonly #places = new Map<string, number>();

  /** The index of a constant among the registers. */
  of(low: number, high: number): number {
    const key = `${low} ${high}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = 2 * REGISTERS + this.#values.length;
      this.#places.set(key, place);
      this.#values.push(low, high);
    }
    return place;
  }

  values(): Int32Array {
    return Int32Array.from(this.#values);
  }
}
