import { describe, expect, test } from "vitest";
import { allOpcodes, type Opcode } from "../../../framework/isa/opcodes.ts";
import { loadBytecode } from "../../../framework/machine/index.ts";
import { Random } from "../rewriter/random.ts";
import { code, copy, exit, type Insn, insn, mov, wide } from "./assembler.ts";
import { aluResult, atomicResult, jumps, swapResult } from "./model.ts";

/** Numbers around every place where signs, halves and carries change. */
const EDGES = [
  0n,
  1n,
  2n,
  7n,
  31n,
  32n,
  33n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0x7fffn,
  0x8000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0x8000_0001n,
  0xffff_fffen,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x1_0000_0001n,
  0x1f_ffff_ffff_ffffn,
  0x20_0000_0000_0001n,
  0x0123_4567_89ab_cdefn,
  0xfedc_ba98_7654_3210n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0x8000_0000_0000_0001n,
  0xffff_ffff_0000_0000n,
  0xffff_ffff_7fff_ffffn,
  0xffff_ffff_8000_0000n,
  0xffff_ffff_ffff_fffen,
  0xffff_ffff_ffff_ffffn,
];
const IMMEDIATES = [0, 1, 3, 31, 32, 63, 64, 0x7fffffff, -1, -2, -128, -0x80000000];

const random = new Random(20250901);
const randomWord = (): bigint => {
  const bits = random.below(64) + 1;
  let value = 0n;
  for (let i = 0; i < 4; i++) value = (value << 16n) | BigInt(random.below(65536));
  return BigInt.asUintN(bits, value);
};

/** Runs instructions with r1 and r2 set and gives r0 as they leave it. */
function run(r1: bigint, r2: bigint, ...body: readonly Insn[]): bigint {
  const result = loadBytecode(code(wide(1, r1), wide(2, r2), ...body, exit)).run();
  if (!result.ok) throw result.fault;
  return result.r0;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;
const opcodes = allOpcodes();
const alu = opcodes.filter((opcode): opcode is Opcode & { kind: "alu" } => opcode.kind === "alu");
const swaps = opcodes.filter((opcode): opcode is Opcode & { kind: "swap" } => opcode.kind === "swap");
const conditions = opcodes.filter((opcode): opcode is Opcode & { kind: "jump" } => opcode.kind === "jump");
const atomics = opcodes.filter((opcode): opcode is Opcode & { kind: "atomic" } => opcode.kind === "atomic");

/**
 * One program that tries many operand pairs: it reads them from a block of memory and leaves the results there, so that
 * a program is loaded once per instruction and not once per pair.
 */
function table(pairs: readonly (readonly [bigint, bigint])[], body: readonly Insn[]): readonly bigint[] {
  const block = new BigUint64Array(pairs.length * 2);
  for (const [index, [left, right]] of pairs.entries()) block.set([left, right], index * 2);
  const bytes = new Uint8Array(block.buffer);
  const length = body.flat().length / 8;
  const result = loadBytecode(
    code(
      copy(6, 1),
      mov(7, pairs.length),
      insn("ldx_dw", { dst: 1, src: 6, off: 0 }),
      insn("ldx_dw", { dst: 2, src: 6, off: 8 }),
      ...body,
      insn("stx_dw", { dst: 6, src: 0, off: 0 }),
      insn("add64_imm", { dst: 6, imm: 16 }),
      insn("sub64_imm", { dst: 7, imm: 1 }),
      insn("jne_imm", { dst: 7, imm: 0, off: -(length + 6) }),
      exit,
    ),
  ).run(bytes);
  if (!result.ok) throw result.fault;
  return pairs.map((_, index) => block[index * 2]!);
}

const pairs = [
  ...EDGES.flatMap((left) => EDGES.map((right) => [left, right] as const)),
  ...Array.from({ length: 200 }, () => [randomWord(), randomWord()] as const),
];

/** Where results are not the wanted ones: at most a few, since one defect makes thousands. */
function differences(
  results: readonly bigint[],
  wanted: (left: bigint, right: bigint) => bigint,
  right?: bigint,
): readonly string[] {
  const wrong: string[] = [];
  for (const [index, [left, second]] of pairs.entries()) {
    const other = right ?? second;
    const value = wanted(left, other);
    if (results[index] === value || wrong.length === 5) continue;
    wrong.push(`${hex(left)} and ${hex(other)}: ${hex(results[index]!)}, not ${hex(value)}`);
  }
  return wrong;
}

const extended = (imm: number): bigint => BigInt.asUintN(64, BigInt(imm));

describe("arithmetic agrees with the standard's text for edge values and random ones", () => {
  test.each(alu.filter(({ source }) => source === "reg"))("$name", ({ name, op, width }) => {
    const results = table(pairs, [copy(0, 1), insn(name, { dst: 0, src: 2 })]);
    expect(differences(results, (left, right) => aluResult(op, width, left, right))).toEqual([]);
    const own = table(pairs, [copy(0, 1), insn(name, { dst: 0, src: 0 })]);
    expect(differences(own, (left) => aluResult(op, width, left, left))).toEqual([]);
  });

  test.each(alu.filter(({ source }) => source === "imm"))("$name", ({ name, op, width }) => {
    for (const imm of op === "neg" ? [0] : IMMEDIATES) {
      const results = table(pairs, [copy(0, 1), insn(name, op === "neg" ? { dst: 0 } : { dst: 0, imm })]);
      const wanted = (left: bigint, right: bigint): bigint => aluResult(op, width, left, right);
      expect(differences(results, wanted, extended(imm))).toEqual([]);
    }
  });

  test.each(swaps)("$name", ({ name, op, width }) => {
    const results = table(pairs, [copy(0, 1), insn(name, { dst: 0 })]);
    expect(differences(results, (left) => swapResult(op, width, left))).toEqual([]);
  });
});

describe("conditions agree with the standard's text", () => {
  const taken = (jump: Insn): readonly Insn[] => [mov(0, 1), jump, mov(0, 0)];

  test.each(conditions.filter(({ source }) => source === "reg"))("$name", ({ name, op, width }) => {
    const results = table(pairs, taken(insn(name, { dst: 1, src: 2, off: 1 })));
    expect(differences(results, (left, right) => (jumps(op, width, left, right) ? 1n : 0n))).toEqual([]);
  });

  test.each(conditions.filter(({ source }) => source === "imm"))("$name", ({ name, op, width }) => {
    for (const imm of IMMEDIATES) {
      const results = table(pairs, taken(insn(name, { dst: 1, imm, off: 1 })));
      const wanted = (left: bigint, right: bigint): bigint => (jumps(op, width, left, right) ? 1n : 0n);
      expect(differences(results, wanted, extended(imm))).toEqual([]);
    }
  });

  test("jumps without a condition go forward and back, the long one by its immediate", () => {
    const far = 40_000;
    const filler = Array.from({ length: far }, () => mov(0, 7));
    expect(run(0n, 0n, insn("ja", { off: 1 }), mov(0, 1), mov(0, 2))).toBe(2n);
    expect(run(0n, 0n, mov(0, 5), insn("ja32", { imm: far }), ...filler)).toBe(5n);
    const back = [insn("ja", { off: 2 }), mov(0, 9), insn("ja", { off: 1 }), insn("ja", { off: -3 })];
    expect(run(0n, 0n, ...back)).toBe(9n);
    const longBack = [
      insn("ja32", { imm: far + 2 }),
      ...[mov(0, 6), insn("ja32", { imm: far + 1 })],
      ...[...filler, insn("ja32", { imm: -(far + 3) })],
    ];
    expect(run(0n, 0n, ...longBack)).toBe(6n);
  });
});

describe("memory", () => {
  const sizes = { b: 1, h: 2, w: 4, dw: 8 } as const;
  const letters = Object.keys(sizes) as (keyof typeof sizes)[];

  test.each(letters)("a load of %s extends with zeros, a signed one with the sign", (letter) => {
    const bits = sizes[letter] * 8;
    for (const value of [...EDGES, ...Array.from({ length: 50 }, randomWord)]) {
      const put = insn("stx_dw", { dst: 10, src: 1, off: -8 });
      expect(run(value, 0n, put, insn(`ldx_${letter}`, { dst: 0, src: 10, off: -8 }))).toBe(
        BigInt.asUintN(bits, value),
      );
      if (letter === "dw") continue;
      const signed = run(value, 0n, put, insn(`ldxs_${letter}`, { dst: 0, src: 10, off: -8 }));
      expect(signed).toBe(BigInt.asUintN(64, BigInt.asIntN(bits, value)));
    }
  });

  test.each(letters)("a store of %s writes its own bytes and no others", (letter) => {
    const bits = BigInt(sizes[letter] * 8);
    const mask = 2n ** bits - 1n;
    const before = 0x1122_3344_5566_7788n;
    for (const value of EDGES) {
      const body = [
        insn("stx_dw", { dst: 10, src: 2, off: -16 }),
        insn(`stx_${letter}`, { dst: 10, src: 1, off: -16 }),
        insn("ldx_dw", { dst: 0, src: 10, off: -16 }),
      ];
      expect(run(value, before, ...body)).toBe((before & ~mask) | (value & mask));
    }
    for (const imm of IMMEDIATES) {
      const body = [
        insn("stx_dw", { dst: 10, src: 2, off: -16 }),
        insn(`st_${letter}`, { dst: 10, imm, off: -16 }),
        insn("ldx_dw", { dst: 0, src: 10, off: -16 }),
      ];
      expect(run(0n, before, ...body)).toBe((before & ~mask) | (BigInt.asUintN(64, BigInt(imm)) & mask));
    }
  });

  test.each(atomics)("$name", ({ name, op, size }) => {
    const some = EDGES.filter((_, index) => index % 5 === 0);
    for (const memory of some) {
      for (const source of some) {
        for (const r0 of op === "cmpxchg" ? [memory, source, BigInt.asUintN(32, memory)] : [5n]) {
          const block = new BigUint64Array(3);
          block[0] = memory;
          const result = loadBytecode(
            code(
              copy(6, 1),
              wide(2, source),
              wide(0, r0),
              insn(name, { dst: 6, src: 2, off: 0 }),
              insn("stx_dw", { dst: 6, src: 2, off: 8 }),
              insn("stx_dw", { dst: 6, src: 0, off: 16 }),
              exit,
            ),
          ).run(new Uint8Array(block.buffer));
          expect(result.ok).toBe(true);
          const wanted = atomicResult(op, size, { memory, source, r0 });
          const whole = size === 8 ? wanted.memory : (memory & ~0xffff_ffffn) | wanted.memory;
          expect([...block].map(hex)).toEqual([whole, wanted.source, wanted.r0].map(hex));
        }
      }
    }
  });
});

test("every instruction of the table is tried here or in the tests of calls and packets", () => {
  const tried = new Set([...alu, ...swaps, ...conditions, ...atomics].map(({ name }) => name));
  const others = opcodes.filter(({ name }) => !tried.has(name)).map(({ kind }) => kind);
  expect([...new Set(others)].sort()).toEqual(["call", "exit", "goto", "load", "packet", "store", "wide"]);
});
