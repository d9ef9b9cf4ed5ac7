import { type HelperName, helpers } from "../../../framework/isa/helpers.ts";
import { encode } from "../../../framework/isa/instruction.ts";
import { allOpcodes, opcodeNamed } from "../../../framework/isa/opcodes.ts";
import type { Random } from "../rewriter/random.ts";

/** One instruction's bytes by its name in the opcode table. */
export type Insn = readonly number[];

/** Fields of an instruction. */
export interface Fields {
  readonly dst?: number;
  readonly src?: number;
  readonly off?: number;
  readonly imm?: number;
  readonly next?: number;
}

/** An instruction, for instance `insn("add64_imm", { dst: 1, imm: 5 })`. */
export function insn(name: string, fields: Fields = {}): Insn {
  const opcode = opcodeNamed(name);
  if (opcode === undefined) throw new Error(`there is no instruction ${name}`);
  return [...encode(opcode, fields)];
}

/** A wide load of any 64-bit number. */
export function wide(dst: number, value: bigint): Insn {
  const imm = Number(BigInt.asIntN(32, value));
  return insn("ld_imm64", { dst, imm, next: Number(BigInt.asIntN(32, value >> 32n)) });
}

/** Instructions one after another. */
export function code(...insns: readonly Insn[]): Uint8Array {
  return Uint8Array.from(insns.flat());
}

export const exit = insn("exit");

/** r`dst` = imm */
export function mov(dst: number, imm: number): Insn {
  return insn("mov64_imm", { dst, imm });
}

/** r`dst` = r`src` */
export function copy(dst: number, src: number): Insn {
  return insn("mov64_reg", { dst, src });
}

/** A call of a helper. */
export function call(name: HelperName): Insn {
  return insn("call_helper", { imm: helpers[name].id });
}

/**
 * The beginning of a program that sets up the timer in the entry of a key, and leaves the timer's address in r6. Its
 * wide loads of slots 1 and 8 name the map; the timer's function begins `behind` instructions after these.
 */
export function timerOf(key: number, behind: number): readonly Insn[] {
  return [
    insn("st_w", { dst: 10, off: -4, imm: key }),
    insn("ld_imm64", { dst: 1 }),
    copy(2, 10),
    insn("add64_imm", { dst: 2, imm: -4 }),
    call("map_lookup_elem"),
    copy(6, 0),
    copy(1, 6),
    insn("ld_imm64", { dst: 2 }),
    mov(3, 1),
    call("timer_init"),
    copy(1, 6),
    insn("ld_func", { dst: 2, imm: behind + 2 }),
    call("timer_set_callback"),
  ];
}

/** Any instruction, its fields small so that most jumps stay inside and most registers exist. */
export function anyInstruction(random: Random): Insn {
  const opcode = random.pick(allOpcodes());
  const fields = {
    dst: random.below(11),
    src: random.below(11),
    off: random.below(40) - 20,
    imm: random.pick([random.below(30) - 10, random.below(2 ** 32) | 0]),
  };
  const kept = Object.fromEntries(opcode.fields.map((field) => [field, fields[field]]));
  return [...encode(opcode, { ...kept, next: random.below(2 ** 32) | 0 })];
}
