import { describe, expect, test } from "vitest";
import { VerifierError } from "../../../framework/core/errors.ts";
import { type HelperName, helpers } from "../../../framework/isa/helpers.ts";
import { implementations } from "../../../framework/machine/helpers/index.ts";
import { loadBytecode } from "../../../framework/machine/index.ts";
import { Machine } from "../../../framework/machine/machine.ts";
import { program as programSpec } from "../../kernel/runtime/assembly.ts";
import { withLines } from "../../kernel/runtime/line-records.ts";
import { code, copy, exit, insn, mov, wide } from "./assembler.ts";

function refusal(bytes: Uint8Array): string {
  try {
    loadBytecode(bytes);
  } catch (error) {
    if (error instanceof VerifierError) return error.message;
    throw error;
  }
  throw new Error("the program was not refused");
}

describe("the loader refuses", () => {
  test.each([
    ["no instructions", new Uint8Array(0), "there are no instructions"],
    ["half an instruction", new Uint8Array(4), "4 bytes are not a whole number of instructions"],
    ["an unknown opcode", code([0xff, 0, 0, 0, 0, 0, 0, 0], exit), "instruction 0: unknown opcode 0xff"],
    [
      "a reserved field",
      code([0xb7, 0, 1, 0, 0, 0, 0, 0], exit),
      "reserved field off of mov64_imm is 1, not 0",
    ],
    ["a jump before the program", code(insn("ja", { off: -2 }), exit), "it jumps out of its function, to -1"],
    ["a jump behind it", code(insn("jeq_imm", { off: 1 }), exit), "it jumps out of its function, to 2"],
    [
      "a long jump behind it",
      code(insn("ja32", { imm: 0x7fffffff }), exit),
      "it jumps out of its function, to 2147483648",
    ],
    [
      "a jump into a wide load",
      code(insn("ja", { off: 1 }), wide(0, 1n), exit),
      "it jumps into the middle of the wide load at 1",
    ],
    [
      "an end that is none",
      code(exit, mov(0, 1)),
      "instruction 1, r0 = 1: the function goes on past its last instruction",
    ],
    [
      "a conditional end",
      code(exit, insn("jeq_imm", { off: -2 })),
      "the function goes on past its last instruction",
    ],
    [
      "a call at the end",
      code(insn("call_helper", { imm: 5 })),
      "the function goes on past its last instruction",
    ],
    [
      "a call to nowhere",
      code(insn("call_local", { imm: 9 }), exit),
      "there is no function at instruction 10",
    ],
    [
      "a call into a wide load",
      code(insn("call_local", { imm: 2 }), exit, wide(0, 1n), exit),
      "there is no function at instruction 3",
    ],
    [
      "a jump from one function into another",
      code(insn("call_local", { imm: 2 }), insn("ja", { off: 2 }), exit, mov(0, 1), exit),
      "it jumps out of its function, to 4",
    ],
    [
      "a function that runs into the next",
      code(insn("call_local", { imm: 1 }), mov(0, 1), exit),
      "the function goes on past its last instruction",
    ],
    ["writing the frame pointer", code(mov(10, 1), exit), "the frame pointer r10 is read-only"],
    [
      "fetching into the frame pointer",
      code(insn("atomic_xchg_dw", { dst: 10, src: 10, off: -8 }), exit),
      "r10 is read-only",
    ],
    [
      "a helper that does not exist",
      code(insn("call_helper", { imm: 9999 }), exit),
      "there is no helper with number 9999",
    ],
    [
      "a helper that the machine lacks",
      code(insn("call_helper", { imm: 69 }), exit),
      "the machine has no helper bpf_fib_lookup()",
    ],
    [
      "a kernel function",
      code(insn("call_kernel", { imm: 5 }), exit),
      "the machine has no kernel functions (kfuncs)",
    ],
    [
      "a map by a number that is none",
      code(insn("ld_map", { dst: 1, imm: 77 }), exit),
      "r1 = map[fd:77] names nothing",
    ],
    [
      "a variable of the kernel",
      code(insn("ld_variable", { dst: 1, imm: 7 }), exit),
      "names nothing that the machine has",
    ],
  ])("%s", (_what, bytes, reason) => {
    expect(refusal(bytes)).toContain('program "main" was rejected: ');
    expect(refusal(bytes)).toContain(reason);
  });

  test("every helper of the kernel that the machine lacks, by its name", () => {
    const names = Object.keys(helpers) as HelperName[];
    const lacked = names.filter((name) => implementations[name] === undefined);
    const reasons = lacked.map((name) => refusal(code(insn("call_helper", { imm: helpers[name].id }), exit)));
    expect(reasons).toEqual(
      lacked.map((name) => expect.stringContaining(`: the machine has no helper bpf_${name}()`)),
    );
    expect(lacked).toContain("dynptr_from_mem");
    expect(lacked).not.toContain("map_lookup_elem");
  });

  test("helpers for GPL programs in a program that is none", () => {
    using machine = new Machine({ cpuCount: 1 });
    const insns = [[...copy(3, 10)], [...insn("call_helper", { imm: 4 })], [...exit]];
    const spec = programSpec("tracepoint", insns, { license: "Proprietary" });
    expect(() => machine.loadProgram(spec, "tracepoint", new Map())).toThrow(
      "bpf_probe_read() is for GPL programs only",
    );
    expect(() =>
      machine.loadProgram({ ...spec, license: "Dual MIT/GPL" }, "tracepoint", new Map()),
    ).not.toThrow();
  });

  test("with the user's file, line and column when the program has line records", () => {
    using machine = new Machine({ cpuCount: 1 });
    const spec = withLines(programSpec("xdp", [mov(0, 1), insn("call_helper", { imm: 69 }), exit]), [
      { insn: 0, file: "main.c", line: 3, column: 1, text: "int probe(void)" },
      { insn: 1, file: "main.c", line: 5, column: 11, text: "  return bpf_fib_lookup();" },
    ]);
    let failure: unknown;
    try {
      machine.loadProgram(spec, "xdp", new Map());
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(VerifierError);
    expect(failure).toMatchObject({
      at: { file: "main.c", line: 5, column: 11 },
      hint: expect.stringContaining("kernel"),
      message: expect.stringContaining("main.c:5:11: return bpf_fib_lookup();"),
    });
  });
});

test("a program that never ends by itself may load: its budget ends it", () => {
  const result = loadBytecode(code(insn("ja", { off: -1 }), exit), { budget: 1000 }).run();
  expect(result).toMatchObject({ ok: false, fault: { reason: "budget", insn: 0 } });
});
