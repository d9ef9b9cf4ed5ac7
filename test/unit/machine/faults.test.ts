import { describe, expect, test } from "vitest";
import type { MachineFault } from "../../../framework/core/errors.ts";
import { type BytecodeOptions, loadBytecode } from "../../../framework/machine/index.ts";
import { code, copy, exit, type Insn, insn, mov, wide } from "./assembler.ts";

function run(body: readonly Insn[], block?: Uint8Array, options: BytecodeOptions = {}) {
  return loadBytecode(code(...body), options).run(block);
}

function faultOf(body: readonly Insn[], block?: Uint8Array, options?: BytecodeOptions): MachineFault {
  const result = run(body, block, options);
  if (result.ok) throw new Error(`no fault, r0 is ${result.r0}`);
  return result.fault;
}

describe("a block of memory", () => {
  test("r1 is its address, r2 its length, and the program may change it", () => {
    const block = Uint8Array.of(1, 2, 3, 4);
    const body = [
      insn("ldx_b", { dst: 0, src: 1, off: 3 }),
      insn("st_b", { dst: 1, off: 0, imm: 9 }),
      insn("add64_reg", { dst: 0, src: 2 }),
      exit,
    ];
    expect(run(body, block)).toEqual({ ok: true, r0: 8n });
    expect([...block]).toEqual([9, 2, 3, 4]);
  });

  test("without one both are 0", () => {
    expect(run([copy(0, 1), insn("or64_reg", { dst: 0, src: 2 }), exit])).toEqual({ ok: true, r0: 0n });
  });

  test("r0 comes back unsigned, with all 64 bits", () => {
    expect(run([mov(0, -1), exit])).toEqual({ ok: true, r0: 2n ** 64n - 1n });
  });

  test.each([1, 2, 4, 8])(
    "an access of %i bytes that ends behind it is a fault, one that ends with it is none",
    (size) => {
      const letter = { 1: "b", 2: "h", 4: "w", 8: "dw" }[size]!;
      const block = new Uint8Array(16);
      expect(run([insn(`ldx_${letter}`, { dst: 0, src: 1, off: 16 - size }), exit], block).ok).toBe(true);
      expect(run([insn(`st_${letter}`, { dst: 1, off: 16 - size }), mov(0, 0), exit], block).ok).toBe(true);
      for (const off of [17 - size, 16, -1, -size, 32767, -32768]) {
        expect(faultOf([insn(`ldx_${letter}`, { dst: 0, src: 1, off }), exit], block).reason).toBe("memory");
        expect(faultOf([insn(`st_${letter}`, { dst: 1, off }), exit], block).reason).toBe("memory");
      }
    },
  );
});

describe("a fault", () => {
  test("names program, instruction, size, address and what was missed", () => {
    const fault = faultOf([mov(0, 0), insn("ldx_w", { dst: 0, src: 1, off: 2 }), exit], new Uint8Array(4), {
      name: "count",
    });
    expect(fault).toMatchObject({ code: "FAULT", reason: "memory", program: "count", insn: 1 });
    expect(fault.message).toBe(
      `program "count" was stopped at instruction 1: a read of 4 bytes at 0x${fault.address?.toString(16)}, outside the block of memory, at offset 2`,
    );
  });

  test("through a null pointer says so", () => {
    expect(faultOf([mov(1, 0), insn("ldx_b", { dst: 0, src: 1, off: 8 }), exit])).toMatchObject({
      address: 8n,
      message: expect.stringContaining("a read of 1 byte at 0x8, through a null pointer"),
    });
  });

  test("counts the slots of wide loads", () => {
    expect(faultOf([wide(1, 0n), insn("ldx_b", { dst: 0, src: 1, off: 0 }), exit]).insn).toBe(2);
  });

  test.each([
    0n,
    1n,
    4096n,
    0x7fff_ffff_f000n,
    0xffff_8880_0000_0000n,
    0xffff_8000_0000_0000n,
    0xffff_ffff_ffff_fff8n,
    0x8000_0000_0000_0000n,
  ])("follows from touching the address %s, which is nobody's", (address) => {
    for (const body of [
      [insn("ldx_dw", { dst: 0, src: 1, off: 0 })],
      [insn("ldxs_w", { dst: 0, src: 1, off: 0 })],
      [insn("stx_b", { dst: 1, src: 0, off: 0 })],
      [insn("atomic_add_dw", { dst: 1, src: 0, off: 0 })],
    ]) {
      const fault = faultOf([wide(1, address), ...body, exit]);
      expect(fault.reason).toBe("memory");
      expect(fault.address).toBe(address);
    }
  });

  test("leaves the program fit to run again", () => {
    const bytecode = loadBytecode(
      code(
        insn("jeq_imm", { dst: 2, imm: 1, off: 1 }),
        insn("call_local", { imm: 2 }),
        mov(0, 5),
        exit,
        insn("ldx_b", { dst: 0, src: 1, off: 100 }),
        exit,
      ),
    );
    const small = new Uint8Array(1);
    expect(bytecode.run(new Uint8Array(2)).ok).toBe(false);
    expect(bytecode.run(small)).toEqual({ ok: true, r0: 5n });
    expect(bytecode.run(new Uint8Array(200))).toEqual({ ok: true, r0: 5n });
  });
});

describe("the stack", () => {
  test("has 512 bytes, zero at first, and nothing on either side", () => {
    expect(run([insn("ldx_dw", { dst: 0, src: 10, off: -512 }), exit])).toEqual({ ok: true, r0: 0n });
    for (const off of [0, -1, -7, -513, -520, 8]) {
      expect(faultOf([insn("ldx_dw", { dst: 0, src: 10, off }), exit]).message).toContain(
        "outside the stack",
      );
    }
  });

  test("shows nothing of an earlier run", () => {
    const bytecode = loadBytecode(
      code(insn("ldx_dw", { dst: 0, src: 10, off: -8 }), insn("st_dw", { dst: 10, off: -8, imm: 7 }), exit),
    );
    expect(bytecode.run()).toEqual({ ok: true, r0: 0n });
    expect(bytecode.run()).toEqual({ ok: true, r0: 0n });
  });

  test("an atomic operation at an address that is no multiple of its size is a fault", () => {
    expect(
      faultOf([mov(1, 1), insn("atomic_add_dw", { dst: 10, src: 1, off: -12 }), exit]).message,
    ).toContain("multiple of 8");
  });
});

describe("local calls", () => {
  const call = (imm: number): Insn => insn("call_local", { imm });

  test("keep r6 to r9 and the frame of the caller, and give the callee a frame of its own", () => {
    const body = [
      mov(6, 1),
      mov(9, 4),
      insn("st_dw", { dst: 10, off: -8, imm: 100 }),
      call(6),
      insn("add64_reg", { dst: 0, src: 6 }),
      insn("add64_reg", { dst: 0, src: 9 }),
      insn("ldx_dw", { dst: 1, src: 10, off: -8 }),
      insn("add64_reg", { dst: 0, src: 1 }),
      exit,
      mov(0, 0),
      // The callee: its own frame is empty, and it changes everything.
      mov(6, 50),
      mov(9, 60),
      insn("ldx_dw", { dst: 0, src: 10, off: -8 }),
      insn("st_dw", { dst: 10, off: -8, imm: 1000 }),
      exit,
    ];
    body.splice(9, 1);
    body[3] = call(5);
    expect(run(body)).toEqual({ ok: true, r0: 105n });
  });

  test("pass pointers to the caller's frame", () => {
    const body = [
      insn("st_dw", { dst: 10, off: -16, imm: 21 }),
      copy(1, 10),
      insn("add64_imm", { dst: 1, imm: -16 }),
      call(2),
      insn("ldx_dw", { dst: 0, src: 10, off: -16 }),
      exit,
      insn("ldx_dw", { dst: 2, src: 1, off: 0 }),
      insn("lsh64_imm", { dst: 2, imm: 1 }),
      insn("stx_dw", { dst: 1, src: 2, off: 0 }),
      exit,
    ];
    expect(run(body)).toEqual({ ok: true, r0: 42n });
  });

  test("the frame of a function that returned is nobody's", () => {
    const body = [call(2), insn("ldx_dw", { dst: 0, src: 0, off: -8 }), exit, copy(0, 10), exit];
    expect(faultOf(body).message).toContain("outside the stack");
  });

  test("go 8 functions deep and no further", () => {
    // Calls itself r1 times, then returns how many frames there were.
    const down = [
      insn("jne_imm", { dst: 1, imm: 0, off: 2 }),
      mov(0, 1),
      exit,
      insn("add64_imm", { dst: 1, imm: -1 }),
      call(-5),
      insn("add64_imm", { dst: 0, imm: 1 }),
      exit,
    ];
    const deep = (times: number) => run([mov(1, times), call(1), exit, ...down]);
    expect(deep(6)).toEqual({ ok: true, r0: 7n });
    expect(deep(7)).toMatchObject({ ok: false, fault: { reason: "stack" } });
  });
});

describe("helpers given by number", () => {
  test("get r1 to r5 unsigned and give r0", () => {
    const seen: bigint[][] = [];
    const helpers = {
      200: (...args: readonly unknown[]) => {
        seen.push(args.slice(0, 5) as bigint[]);
        return -1n;
      },
    };
    const body = [
      mov(1, 1),
      mov(2, -1),
      wide(3, 2n ** 63n),
      mov(4, 4),
      mov(5, 5),
      insn("call_helper", { imm: 200 }),
      exit,
    ];
    expect(run(body, undefined, { helpers })).toEqual({ ok: true, r0: 2n ** 64n - 1n });
    expect(seen).toEqual([[1n, 2n ** 64n - 1n, 2n ** 63n, 4n, 5n]]);
  });

  test("reach the program's memory and nothing else", () => {
    const options: BytecodeOptions = {
      helpers: {
        7: (address, size, _3, _4, _5, memory) => {
          const bytes = memory.write(address, Number(size));
          bytes.reverse();
          return bytes[0];
        },
      },
    };
    const block = Uint8Array.of(1, 2, 3);
    expect(run([insn("call_helper", { imm: 7 }), exit], block, options)).toEqual({ ok: true, r0: 3n });
    expect([...block]).toEqual([3, 2, 1]);
    expect(
      faultOf([insn("add64_imm", { dst: 2, imm: 1 }), insn("call_helper", { imm: 7 }), exit], block, options),
    ).toMatchObject({
      reason: "memory",
      insn: 1,
    });
  });

  test("an exception of a helper is the caller's, and leaves the program fit to run", () => {
    const helpers = {
      7: (size: bigint) => {
        if (size === 0n) throw new RangeError("no");
        return 1n;
      },
    };
    const bytecode = loadBytecode(code(insn("call_helper", { imm: 7 }), exit), { helpers });
    expect(() => bytecode.run()).toThrow(RangeError);
    expect(bytecode.run(new Uint8Array(1))).toEqual({ ok: true, r0: 1n });
  });
});

test("a budget stops a program at the instruction after it", () => {
  const loop = [
    mov(0, 0),
    insn("add64_imm", { dst: 0, imm: 1 }),
    insn("jlt_imm", { dst: 0, imm: 100, off: -2 }),
    exit,
  ];
  expect(run(loop, undefined, { budget: 202 })).toEqual({ ok: true, r0: 100n });
  expect(faultOf(loop, undefined, { budget: 201 })).toMatchObject({ reason: "budget", insn: 3 });
});
