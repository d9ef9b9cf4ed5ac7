import { describe, expect, test } from "vitest";
import { BpfError, VerifierError } from "../../../framework/core/errors.ts";
import { type HelperName, helpers } from "../../../framework/isa/helpers.ts";
import { realClock } from "../../../framework/machine/clock.ts";
import { implementations } from "../../../framework/machine/helpers/index.ts";
import { loadBytecode } from "../../../framework/machine/index.ts";
import { Machine } from "../../../framework/machine/machine.ts";
import { map as mapSpec, program } from "../../kernel/runtime/assembly.ts";
import { Random } from "../rewriter/random.ts";
import { anyInstruction, code, exit, type Insn, insn, mov } from "./assembler.ts";

const seed = Number(process.env["SEED"] ?? 5);

describe(`with seed ${seed}`, () => {
  test("random bytes are refused with a reason, or run to an end or a fault", () => {
    const random = new Random(seed);
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      const bytes = Uint8Array.from({ length: 8 * (1 + random.below(12)) }, () => random.below(256));
      try {
        loadBytecode(bytes, { budget: 10_000 }).run(new Uint8Array(16));
      } catch (error) {
        expect(error).toBeInstanceOf(VerifierError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(2000);
  });

  test("random instructions run to an end or a fault, and change nothing but their memory", () => {
    const random = new Random(seed + 1);
    const outcomes = { refused: 0, fault: 0, end: 0 };
    const guard = new Uint8Array(4096).fill(0x5a);
    const block = guard.subarray(1024, 1088);
    for (let round = 0; round < 4000; round++) {
      const insns = Array.from({ length: 1 + random.below(24) }, () => anyInstruction(random));
      try {
        const result = loadBytecode(code(...insns, exit), { budget: 10_000 }).run(block);
        outcomes[result.ok ? "end" : "fault"]++;
      } catch (error) {
        expect(error).toBeInstanceOf(BpfError);
        outcomes.refused++;
      }
    }
    const around = [...guard.subarray(0, 1024), ...guard.subarray(1088)];
    expect(around.every((byte) => byte === 0x5a)).toBe(true);
    expect(Math.min(outcomes.refused, outcomes.fault, outcomes.end)).toBeGreaterThan(20);
  });

  test("every helper with any arguments gives a number or a fault", () => {
    const random = new Random(seed + 2);
    using machine = new Machine({ cpuCount: 2, budget: 100_000 });
    const maps = new Map(
      [
        mapSpec("hash", { name: "hash" }),
        mapSpec("array", { name: "array" }),
        mapSpec("percpu_array", { name: "percpu" }),
        mapSpec("queue", { name: "queue", keySize: 0 }),
        mapSpec("ringbuf", { name: "ring", keySize: 0, valueSize: 0, maxEntries: 4096 }),
        mapSpec("perf_event_array", { name: "perf", valueSize: 4 }),
        mapSpec("stack_trace", { name: "stacks", valueSize: 64 }),
        mapSpec("task_storage", { name: "storage", flags: 1 }),
        mapSpec("prog_array", { name: "programs", valueSize: 4 }),
      ].map((spec) => [spec.name, machine.createMap(spec)]),
    );
    const names = [...maps.keys()];
    const happening = {
      task: { pid: 7, tgid: 7, comm: "fuzz", uid: 0, gid: 0, parent: 1 },
      cpu: 1,
      clock: realClock(),
      kernelStack: [1n, 2n],
      userStack: [],
      memory: null,
    };
    const argument = (register: number): { insns: readonly Insn[]; map: string | null } => {
      switch (random.below(5)) {
        case 0:
          return { insns: [mov(register, random.below(64) - 8)], map: null };
        case 1:
          return {
            insns: [
              insn("mov64_reg", { dst: register, src: 10 }),
              insn("add64_imm", { dst: register, imm: -8 * random.below(70) }),
            ],
            map: null,
          };
        case 2:
          return { insns: [insn("ld_imm64", { dst: register })], map: random.pick(names) };
        case 3:
          return {
            insns: [
              insn("ld_imm64", {
                dst: register,
                imm: random.below(2 ** 32) | 0,
                next: random.below(2 ** 32) | 0,
              }),
            ],
            map: null,
          };
        default:
          return { insns: [insn("ld_func", { dst: register, imm: 0 })], map: null };
      }
    };
    let ended = 0;
    let stopped = 0;
    for (const name of Object.keys(implementations) as HelperName[]) {
      for (let round = 0; round < 60; round++) {
        const insns: Insn[] = [];
        const references: Record<number, string> = {};
        let slot = 0;
        const functions: number[] = [];
        for (let register = 1; register <= 5; register++) {
          const { insns: own, map } = argument(register);
          for (const each of own) {
            if (each[0] === 0x18 && map !== null) references[slot] = map;
            if (each[0] === 0x18 && each[1]! >> 4 === 4) functions.push(insns.length);
            insns.push(each);
            slot += each.length / 8;
          }
        }
        insns.push(insn("call_helper", { imm: helpers[name].id }), exit);
        const callback = slot + 2;
        for (const at of functions) {
          const before = insns.slice(0, at).flat().length / 8;
          insns[at] = insn("ld_func", { dst: insns[at]![1]! & 15, imm: callback - before - 1 });
        }
        insns.push(mov(0, 0), exit);
        const spec = program("tracepoint", insns, { maps: references });
        try {
          using loaded = machine.loadProgram(spec, "tracepoint", maps);
          machine.run(loaded, { happening, context: null, packet: null });
          ended++;
        } catch (error) {
          expect(error, `${name}: ${String((error as Error).stack)}`).toBeInstanceOf(BpfError);
          stopped++;
        }
      }
    }
    expect(Math.min(ended, stopped)).toBeGreaterThan(500);
  });

  test("a machine does not grow with the programs that ran on it", () => {
    using machine = new Machine({ cpuCount: 1 });
    const counts = machine.createMap(mapSpec("hash"));
    const once = (): void => {
      const spec = program("tracepoint", [insn("ld_imm64", { dst: 1 }), mov(0, 0), exit], {
        maps: { 0: "counts" },
      });
      using loaded = machine.loadProgram(spec, "tracepoint", new Map([["counts", counts]]));
      expect(loaded.closed).toBe(false);
      using inner = machine.createMap(mapSpec("array", { name: "inner" }));
      expect(inner.store.region!.id).toBeLessThan(30);
    };
    for (let round = 0; round < 2000; round++) once();
  });
});
