import { describe, expect, test } from "vitest";
import { x86Instruction } from "../../../framework/symbols/x86-instruction.ts";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

/** The length of the instruction that some bytes begin with; more bytes stand behind it. */
function lengthOf(hex: string): number | undefined {
  return x86Instruction(bytes(`${hex} 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90`), 0)?.length;
}

/** Each is one whole instruction. */
const INSTRUCTIONS: readonly (readonly [what: string, hex: string])[] = [
  ["push %rbp", "55"],
  ["push %r12", "41 54"],
  ["mov %rsp,%rbp", "48 89 e5"],
  ["endbr64", "f3 0f 1e fa"],
  ["nop", "90"],
  ["nopw 0x0(%rax,%rax,1)", "66 0f 1f 44 00 00"],
  ["nopl 0x0(%rax)", "0f 1f 80 00 00 00 00"],
  ["data16 cs nopw 0x0(%rax,%rax,1)", "66 66 2e 0f 1f 84 00 00 00 00 00"],
  ["pause", "f3 90"],
  // ModRM, SIB and displacements.
  ["mov (%rax),%eax", "8b 00"],
  ["mov 0x8(%rax),%eax", "8b 40 08"],
  ["mov 0x1000(%rax),%eax", "8b 80 00 10 00 00"],
  ["mov 0x0(%rip),%eax", "8b 05 00 00 00 00"],
  ["mov (%rsp),%eax", "8b 04 24"],
  ["mov 0x8(%rsp),%eax", "8b 44 24 08"],
  ["mov 0x1000(%rsp),%eax", "8b 84 24 00 10 00 00"],
  ["mov 0x10(,%rax,8),%eax", "8b 04 c5 10 00 00 00"],
  ["mov 0x0(%rbp,%rax,1),%eax", "8b 44 05 00"],
  ["mov 0x0(%r13),%eax", "41 8b 45 00"],
  ["mov %fs:0x28,%rax", "64 48 8b 04 25 28 00 00 00"],
  ["mov (%eax),%eax", "67 8b 00"],
  // Immediates, by operand and address size.
  ["mov $1,%al", "b0 01"],
  ["mov $1,%ax", "66 b8 01 00"],
  ["mov $1,%eax", "b8 01 00 00 00"],
  ["movabs $1,%rax", "48 b8 01 00 00 00 00 00 00 00"],
  ["mov $1,%rax", "48 c7 c0 01 00 00 00"],
  ["movw $1,(%rax)", "66 c7 00 01 00"],
  ["movq $1,(%rax), with an operand size that REX.W overrules", "66 48 c7 00 01 00 00 00"],
  ["mov $1,%eax, with a REX that a later prefix makes void", "48 66 b8 01 00"],
  ["movabs 0x1,%al", "a0 01 00 00 00 00 00 00 00"],
  ["movabs 0x1,%rax", "48 a1 01 00 00 00 00 00 00 00"],
  ["addr32 mov 0x1,%eax", "67 a1 01 00 00 00"],
  ["push $1", "6a 01"],
  ["push $0x1000", "68 00 10 00 00"],
  ["pushw $0x1000", "66 68 00 10"],
  ["imul $0x10,%rax,%rax", "48 6b c0 10"],
  ["imul $0x1000,%rax,%rax", "48 69 c0 00 10 00 00"],
  ["cmpb $0,0x0(%rip)", "80 3d 00 00 00 00 00"],
  ["add $0x1000,%rax", "48 05 00 10 00 00"],
  ["add $0x1000,%ax", "66 05 00 10"],
  ["test $1,%al by group 3", "f6 c0 01"],
  ["not %al", "f6 d0"],
  ["testl $1,(%rax)", "f7 00 01 00 00 00"],
  ["testw $1,(%rax)", "66 f7 00 01 00"],
  ["neg %rax", "48 f7 d8"],
  ["enter $0x10,$1", "c8 10 00 01"],
  ["ret $8", "c2 08 00"],
  ["int $0x80", "cd 80"],
  // Two and three byte opcodes.
  ["syscall", "0f 05"],
  ["cmove %rax,%rbx", "48 0f 44 d8"],
  ["movzbl (%rax),%eax", "0f b6 00"],
  ["shld $4,%rax,%rbx", "48 0f a4 c3 04"],
  ["bt $3,%eax", "0f ba e0 03"],
  ["bswap %rax", "48 0f c8"],
  ["lock cmpxchg %ecx,(%rdx)", "f0 0f b1 0a"],
  ["xabort $1", "c6 f8 01"],
  ["movaps %xmm0,(%rsp)", "0f 29 04 24"],
  ["pshufd $0x1b,%xmm0,%xmm1", "66 0f 70 c8 1b"],
  ["psrldq $8,%xmm0", "66 0f 73 d8 08"],
  ["pshufb %xmm1,%xmm0", "66 0f 38 00 c1"],
  ["crc32b (%rax),%ecx", "f2 0f 38 f0 08"],
  ["palignr $8,%xmm1,%xmm0", "66 0f 3a 0f c1 08"],
  ["pinsrq $1,0x8(%rsp),%xmm0", "66 48 0f 3a 22 44 24 08 01"],
  ["mov %cr0,%rax, whose ModRM has no memory form", "0f 20 00"],
  ["rep stos %rax,(%rdi)", "f3 48 ab"],
  // VEX, XOP, EVEX.
  ["vzeroupper", "c5 f8 77"],
  ["vmovdqu (%rsi),%ymm0", "c5 fe 6f 06"],
  ["vmovdqu 0x1000(%rsi),%ymm0", "c5 fe 6f 86 00 10 00 00"],
  ["vpshufd $0x1b,%ymm0,%ymm1", "c5 fd 70 c8 1b"],
  ["vpshufb %ymm1,%ymm0,%ymm0", "c4 e2 7d 00 c1"],
  ["vinserti128 $1,(%rax),%ymm0,%ymm0", "c4 e3 7d 38 00 01"],
  ["rorx $3,%rax,%rbx", "c4 e3 fb f0 d8 03"],
  ["andn %rax,%rbx,%rcx", "c4 e2 e0 f2 c8"],
  ["kmovw %k1,%eax", "c5 f8 93 c1"],
  ["vmovdqu64 0x40(%rsi),%zmm16", "62 e1 fe 48 6f 46 01"],
  ["vpternlogd $0x96,%zmm2,%zmm1,%zmm0", "62 f3 75 48 25 c2 96"],
  ["vpshufd $0x1b,(%rax),%zmm1", "62 f1 7d 48 70 08 1b"],
  ["vaddph %zmm2,%zmm1,%zmm0", "62 f5 74 48 58 c2"],
  ["vfmadd213ph %zmm2,%zmm1,%zmm0", "62 f6 75 48 a8 c2"],
  ["vpcomb $1,%xmm2,%xmm1,%xmm0", "8f e8 70 cc c2 01"],
  ["vfrczps %xmm1,%xmm0", "8f e9 78 80 c1"],
  ["bextr $0x101,%eax,%ecx", "8f ea 78 10 c8 01 01 00 00"],
  ["pop (%rax), which begins as XOP does", "8f 00"],
];

describe("the length of one instruction", () => {
  test.each(INSTRUCTIONS)("%s", (_, hex) => {
    expect(lengthOf(hex)).toBe(bytes(hex).length);
  });

  test("nothing but a whole instruction has one", () => {
    const cut = INSTRUCTIONS.map(([, hex]) => bytes(hex)).filter(({ length }) => length > 1);
    const known = cut.filter((code) => x86Instruction(code.subarray(0, -1), 0) !== undefined);
    expect(known).toEqual([]);
    expect(x86Instruction(new Uint8Array(), 0)).toBeUndefined();
  });

  test("bytes behind or before others are read from where they are", () => {
    const code = bytes("90 48 b8 01 00 00 00 00 00 00 00 c3");
    expect(x86Instruction(code, 1)?.length).toBe(10);
    expect(x86Instruction(code.subarray(1), 0)?.length).toBe(10);
  });
});

describe("what has no length", () => {
  test.each([
    ["push %es, which 64-bit code lacks", "06"],
    ["an opcode of a map that nobody has", "0f 0a"],
    ["a far jump with its address", "ea 00 00 00 00 00 00"],
    ["the prefix of later processors, REX2", "d5 00 90"],
    ["EVEX with other maps", "62 f4 7c 08 01 c8"],
    ["a near jump with an operand size, for processors differ", "66 e9 00 00 00 00"],
    ["more prefixes than an instruction can have", "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90"],
  ])("%s", (_, hex) => {
    expect(lengthOf(hex)).toBeUndefined();
  });
});

describe("where code goes on", () => {
  const at = (hex: string): unknown => {
    const instruction = x86Instruction(bytes(hex), 0);
    return instruction === undefined ? undefined : [instruction.target, instruction.ends];
  };

  test.each([
    ["behind a move", "48 89 e5", [undefined, false]],
    ["at both ends of a conditional jump", "74 10", [18, false]],
    ["backwards", "75 fe", [0, false]],
    ["far away at both ends", "0f 84 00 01 00 00", [262, false]],
    ["at a jump's target only", "eb 02", [4, true]],
    ["at a far jump's target only", "e9 00 00 00 00", [5, true]],
    ["in a called function and behind the call", "e8 fb ff ff ff", [0, false]],
    ["in a called function, for thread local variables with prefixes", "66 48 e8 00 00 00 00", [7, false]],
    ["nowhere behind a return", "c3", [undefined, true]],
    ["nowhere behind a trap", "0f 0b", [undefined, true]],
    ["nowhere that is told by a jump through a register", "ff e0", [undefined, true]],
    ["nor by one through memory", "ff 24 c5 00 00 00 00", [undefined, true]],
    ["behind a call through a register", "ff d0", [undefined, false]],
    ["behind an increment, whose opcode is that of jumps", "ff c0", [undefined, false]],
  ])("%s", (_, hex, expected) => {
    expect(at(hex)).toEqual(expected);
  });
});
