import { describe, expect, test } from "vitest";
import { disassemble, disassembleAll } from "../../../framework/isa/disassemble.ts";
import { decode, encode, jumpTarget, writtenRegister } from "../../../framework/isa/instruction.ts";
import {
  allOpcodes,
  type Opcode,
  type OperandField,
  opcodeNamed,
  opcodesOf,
} from "../../../framework/isa/opcodes.ts";

const opcodes = allOpcodes();

const named = (name: string): Opcode => {
  const opcode = opcodeNamed(name);
  if (opcode === undefined) throw new Error(`no instruction ${name}`);
  return opcode;
};

const OPERANDS = { dst: 3, src: 4, off: -5, imm: -6 } as const;

function withOperands(opcode: Opcode): Uint8Array {
  const fields = Object.fromEntries(opcode.fields.map((field) => [field, OPERANDS[field]]));
  return encode(opcode, { ...fields, ...(opcode.kind === "wide" ? { next: 7 } : {}) });
}

describe("the instruction table", () => {
  test("names are unique, and so are opcode byte and selector together", () => {
    expect(new Set(opcodes.map(({ name }) => name)).size).toBe(opcodes.length);
    const keys = opcodes.map(({ code, selector }) => `${code} ${selector?.field} ${selector?.value}`);
    expect(new Set(keys).size).toBe(opcodes.length);
  });

  test("opcode bytes are those of the standard's table of all instructions", () => {
    const listed = `
      04 05 06 07 0c 0f 14 15 16 17 18 1c 1d 1e 1f 20 24 25 26 27 28 2c 2d 2e 2f 30 34 35 36 37 3c 3d 3e 3f 40 44 45 46
      47 48 4c 4d 4e 4f 50 54 55 56 57 5c 5d 5e 5f 61 62 63 64 65 66 67 69 6a 6b 6c 6d 6e 6f 71 72 73 74 75 76 77 79 7a
      7b 7c 7d 7e 7f 81 84 85 87 89 91 94 95 97 9c 9f a4 a5 a6 a7 ac ad ae af b4 b5 b6 b7 bc bd be bf c3 c4 c5 c6 c7 cc
      cd ce cf d4 d5 d6 d7 db dc dd de`;
    const codes = listed
      .trim()
      .split(/\s+/)
      .map((code) => Number.parseInt(code, 16));
    expect([...new Set(opcodes.map(({ code }) => code))].sort((a, b) => a - b)).toEqual(codes);
  });

  test.each(opcodes)("$name: encoded and decoded it is the same", (opcode) => {
    const { instructions, refusal } = decode(withOperands(opcode));
    expect(refusal).toBeNull();
    expect(instructions).toHaveLength(1);
    const [insn] = instructions;
    expect(insn?.opcode.name).toBe(opcode.name);
    for (const field of opcode.fields) expect(insn?.[field]).toBe(OPERANDS[field]);
    expect(insn?.next).toBe(opcode.kind === "wide" ? 7 : 0);
  });

  test.each(opcodes)("$name: a reserved field that is set is refused", (opcode) => {
    const reserved = (["dst", "src", "off", "imm"] as const).filter(
      (field) => !opcode.fields.includes(field) && opcode.selector?.field !== field,
    );
    for (const field of reserved) {
      const bytes = withOperands(opcode);
      setField(bytes, field, 1);
      const { refusal, instructions } = decode(bytes);
      expect(instructions).toEqual([]);
      expect(refusal).toEqual({ at: 0, reason: `reserved field ${field} of ${opcode.name} is 1, not 0` });
    }
  });
});

function setField(bytes: Uint8Array, field: OperandField, value: number): void {
  const view = new DataView(bytes.buffer);
  if (field === "dst") bytes[1] = (bytes[1]! & 0xf0) | value;
  if (field === "src") bytes[1] = (bytes[1]! & 0x0f) | (value << 4);
  if (field === "off") view.setInt16(2, value, true);
  if (field === "imm") view.setInt32(4, value, true);
}

describe("decoding", () => {
  test("every opcode byte that the standard leaves unused is refused by its number", () => {
    const unused = Array.from({ length: 256 }, (_, code) => code).filter(
      (code) => opcodesOf(code).length === 0,
    );
    expect(unused).toHaveLength(256 - new Set(opcodes.map(({ code }) => code)).size);
    for (const code of unused) {
      const { refusal } = decode(Uint8Array.of(code, 0, 0, 0, 0, 0, 0, 0));
      expect(refusal?.reason).toBe(`unknown opcode 0x${code.toString(16).padStart(2, "0")}`);
    }
  });

  test("a form that an opcode does not have is refused with the field that asks for it", () => {
    const reasonOf = (name: string, field: OperandField, value: number): string | undefined => {
      const bytes = encode(named(name));
      setField(bytes, field, value);
      return decode(bytes).refusal?.reason;
    };
    expect(reasonOf("div64_reg", "off", 2)).toBe("opcode 0x3f has no form with off 2");
    expect(reasonOf("movsx8_64", "off", 9)).toBe("opcode 0xbf has no form with off 9");
    expect(reasonOf("mov32_reg", "off", 32)).toBe("opcode 0xbc has no form with off 32");
    expect(reasonOf("be16", "imm", 24)).toBe("opcode 0xdc has no form with imm 24");
    expect(reasonOf("atomic_add_dw", "imm", 2)).toBe("opcode 0xdb has no form with imm 2");
    expect(reasonOf("call_helper", "src", 3)).toBe("opcode 0x85 has no form with src 3");
    expect(reasonOf("ld_imm64", "src", 7)).toBe("opcode 0x18 has no form with src 7");
  });

  test("registers above r10, half instructions and halves of wide loads are refused", () => {
    expect(decode(encode(named("mov64_reg"), { dst: 11 })).refusal?.reason).toBe(
      "register r11 does not exist",
    );
    expect(decode(encode(named("mov64_reg"), { src: 15 })).refusal?.reason).toBe(
      "register r15 does not exist",
    );
    expect(decode(new Uint8Array(12)).refusal?.reason).toMatch(/12 bytes are not a whole number/);
    expect(decode(new Uint8Array(0)).refusal?.reason).toBe("there are no instructions");
    const wide = encode(named("ld_imm64"), { dst: 1, imm: 5 });
    expect(decode(wide.subarray(0, 8)).refusal?.reason).toBe("a wide load lacks its second half");
    wide[9] = 1;
    expect(decode(wide).refusal).toEqual({
      at: 1,
      reason: "the second half of a wide load has more than an immediate",
    });
  });

  test("what came before a refusal is kept", () => {
    const bytes = Uint8Array.of(...encode(named("mov64_imm"), { dst: 1 }), 0xff, 0, 0, 0, 0, 0, 0, 0);
    const { instructions, refusal } = decode(bytes);
    expect(instructions.map(({ opcode }) => opcode.name)).toEqual(["mov64_imm"]);
    expect(refusal?.at).toBe(1);
  });
});

describe("what an instruction does to control and registers", () => {
  const only = (bytes: Uint8Array) => decode(bytes).instructions[0]!;

  test("jumps count from the instruction behind them", () => {
    expect(jumpTarget(only(encode(named("ja"), { off: 3 })))).toBe(4);
    expect(jumpTarget(only(encode(named("ja32"), { imm: 70000 })))).toBe(70001);
    expect(jumpTarget(only(encode(named("jeq_imm"), { off: -1 })))).toBe(0);
    expect(jumpTarget(only(encode(named("exit"))))).toBeUndefined();
  });

  test("the register that is written", () => {
    const written = (name: string) => writtenRegister(only(withOperands(named(name))));
    expect(written("add64_reg")).toBe(3);
    expect(written("ldx_w")).toBe(3);
    expect(written("stx_w")).toBeUndefined();
    expect(written("atomic_add_w")).toBeUndefined();
    expect(written("atomic_fetch_add_w")).toBe(4);
    expect(written("atomic_cmpxchg_w")).toBe(0);
    expect(written("call_helper")).toBe(0);
    expect(written("jeq_reg")).toBeUndefined();
  });
});

describe("disassembly", () => {
  test.each([
    ["add64_reg", { dst: 1, src: 2 }, "r1 += r2"],
    ["add32_imm", { dst: 1, imm: -5 }, "w1 += -5"],
    ["sdiv64_reg", { dst: 1, src: 2 }, "r1 s/= r2"],
    ["arsh32_imm", { dst: 1, imm: 3 }, "w1 s>>= 3"],
    ["neg64", { dst: 7 }, "r7 = -r7"],
    ["mov64_imm", { dst: 0, imm: 1 }, "r0 = 1"],
    ["movsx16_64", { dst: 1, src: 2 }, "r1 = (s16)r2"],
    ["movsx8_32", { dst: 1, src: 2 }, "w1 = (s8)w2"],
    ["be16", { dst: 1 }, "r1 = be16 r1"],
    ["bswap64", { dst: 1 }, "r1 = bswap64 r1"],
    ["jsgt_imm", { dst: 1, imm: 5, off: 2 }, "if r1 s> 5 goto pc+2"],
    ["jeq32_reg", { dst: 1, src: 2, off: -3 }, "if w1 == w2 goto pc-3"],
    ["ja", { off: 1 }, "goto pc+1"],
    ["ja32", { imm: 1 }, "gotol pc+1"],
    ["ldx_w", { dst: 1, src: 2, off: 8 }, "r1 = *(u32 *)(r2 +8)"],
    ["ldxs_b", { dst: 1, src: 2, off: -8 }, "r1 = *(s8 *)(r2 -8)"],
    ["st_h", { dst: 10, off: -2, imm: 7 }, "*(u16 *)(r10 -2) = 7"],
    ["stx_dw", { dst: 10, off: -8, src: 3 }, "*(u64 *)(r10 -8) = r3"],
    ["atomic_add_dw", { dst: 1, src: 2 }, "lock *(u64 *)(r1 +0) += r2"],
    ["atomic_fetch_xor_w", { dst: 1, src: 2 }, "w2 = atomic32_fetch_xor((u32 *)(r1 +0), w2)"],
    ["atomic_xchg_dw", { dst: 1, src: 2 }, "r2 = atomic64_xchg((u64 *)(r1 +0), r2)"],
    ["atomic_cmpxchg_dw", { dst: 1, src: 2 }, "r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)"],
    ["call_helper", { imm: 1 }, "call bpf_map_lookup_elem#1"],
    ["call_helper", { imm: 9999 }, "call unknown#9999"],
    ["call_local", { imm: 4 }, "call pc+4"],
    ["call_kernel", { imm: 4 }, "call kernel function 4"],
    ["ld_imm64", { dst: 1, imm: -1, next: 1 }, "r1 = 0x1ffffffff ll"],
    ["ld_map", { dst: 1, imm: 5 }, "r1 = map[fd:5]"],
    ["ld_map_value", { dst: 1, imm: 5, next: 16 }, "r1 = map[fd:5][0]+16"],
    ["ld_func", { dst: 2, imm: 3 }, "r2 = func[4]"],
    ["ldabs_h", { imm: 12 }, "r0 = *(u16 *)skb[12]"],
    ["ldind_b", { src: 1, imm: 2 }, "r0 = *(u8 *)skb[r1 + 2]"],
    ["exit", {}, "exit"],
  ])("%s %o is %s", (name, fields, text) => {
    expect(disassemble(decode(encode(named(name), fields)).instructions[0]!)).toBe(text);
  });

  test("every instruction has a text of its own", () => {
    const texts = opcodes.map((opcode) => disassemble(decode(withOperands(opcode)).instructions[0]!));
    // A swap of one's own order is the same text for no two; wide map forms differ by their words.
    expect(new Set(texts).size).toBe(opcodes.length);
  });

  test("a program is numbered by slots, and ends where bytes are none", () => {
    const bytes = Uint8Array.of(
      ...encode(named("ld_imm64"), { dst: 1, imm: 2 }),
      ...encode(named("exit")),
      ...[0, 0, 0, 0, 0, 0, 0, 0],
    );
    expect(disassembleAll(bytes)).toEqual(["0: r1 = 0x2 ll", "2: exit", "3: (unknown opcode 0x00)"]);
  });
});
