import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VerifierError } from "../../../framework/core/errors.ts";
import { Scope } from "../../../framework/core/scope.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { MachineRuntime } from "../../../framework/machine/machine-runtime.ts";
import type { ProgramSpec } from "../../../framework/object/object-spec.ts";
import type { ProgramKindName } from "../../../framework/programs/kinds.ts";
import type { RawMap, Runtime } from "../../../framework/runtime/types.ts";
import {
  asm,
  key,
  map,
  outputToPerf,
  outputToRing,
  program,
  reserveInRing,
  returns,
  words,
} from "../../kernel/runtime/assembly.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";
import { copy, exit, type Insn, insn, mov, wide } from "../../unit/machine/assembler.ts";
import { Random } from "../../unit/rewriter/random.ts";
import { randomProgram, SHARED } from "./random-program.ts";

const PACKET = Uint8Array.from({ length: 64 }, (_, index) => (index * 37 + 11) & 0xff);

describe.each(runtimes)("programs of the $name", ({ open, reason }) => {
  let scope: Scope;
  let runtime: Runtime;

  beforeEach((context) => {
    needsRuntime(context, reason);
    scope = new Scope("the test");
    runtime = scope.own(open());
  });

  afterEach(() => scope?.[Symbol.dispose]());

  const run = (spec: ProgramSpec, input: Uint8Array, ...maps: readonly RawMap[]) => {
    const named = new Map(maps.map((each) => [each.spec.name, each]));
    return runtime.testRun(scope.own(runtime.loadProgram(spec, named)), input);
  };

  test("test runs give the low half of r0 and the packet", () => {
    const { result, output } = run(returns("xdp", -3), PACKET);
    expect(result).toBe(0xfffffffd);
    expect(output).toEqual(PACKET);
  });

  test("a raw tracepoint reads its arguments", () => {
    const spec = program("raw_tracepoint", [asm.load64(0, 1, 8), asm.exit()]);
    expect(run(spec, words(1n, 77n)).result).toBe(77);
  });

  test("an XDP program reads and writes the packet between its ends", () => {
    const spec = program("xdp", [
      insn("ldx_w", { dst: 2, src: 1, off: 0 }),
      insn("ldx_w", { dst: 3, src: 1, off: 4 }),
      copy(4, 2),
      insn("add64_imm", { dst: 4, imm: 20 }),
      mov(0, 0),
      insn("jgt_reg", { dst: 4, src: 3, off: 3 }),
      insn("ldx_h", { dst: 0, src: 2, off: 12 }),
      insn("st_b", { dst: 2, off: 19, imm: 0x99 }),
      insn("be16", { dst: 0 }),
      exit,
    ]);
    const { result, output } = run(spec, PACKET);
    expect(result).toBe((PACKET[12]! << 8) | PACKET[13]!);
    expect(output[19]).toBe(0x99);
    expect(run(spec, PACKET.subarray(0, 16)).result).toBe(0);
  });

  test("a socket filter reads behind the link's header with the old instructions, and 0 past the end", () => {
    const load = (body: readonly Insn[]) => program("socket_filter", [copy(6, 1), ...body, exit]);
    expect(run(load([insn("ldabs_w", { imm: 2 })]), PACKET).result).toBe(
      new DataView(PACKET.buffer).getUint32(16),
    );
    expect(run(load([mov(2, 3), insn("ldind_b", { src: 2, imm: 1 })]), PACKET).result).toBe(PACKET[18]);
    expect(run(load([insn("ldabs_h", { imm: 49 }), mov(0, 7)]), PACKET).result).toBe(0);
    expect(run(load([insn("ldx_w", { dst: 0, src: 6, off: 0 })]), PACKET).result).toBe(50);
    const { output } = run(load([mov(0, 0)]), PACKET);
    expect([...output]).toEqual([...new Uint8Array(14), ...PACKET.subarray(14)]);
  });

  test("a lookup gives the value itself, or null", () => {
    const counts = scope.own(runtime.createMap(map("hash")));
    const add = program(
      "raw_tracepoint",
      [
        asm.load64(6, 1, 0),
        asm.store64(10, -4 - 4, 6),
        asm.loadMap(1),
        asm.mov(2, 10),
        asm.addImm(2, -8),
        asm.call(1),
        asm.jumpIfEqualImm(0, 0, 3),
        asm.movImm(1, 5),
        asm.atomicAdd64(0, 0, 1),
        asm.movImm(0, 1),
        asm.exit(),
      ],
      { maps: { 2: "counts" } },
    );
    expect(run(add, words(7n), counts).result).toBe(0);
    counts.update(key(7), new Uint8Array(8).fill(1), "any");
    expect(run(add, words(7n), counts).result).toBe(1);
    const into = new Uint8Array(8);
    counts.lookup(key(7), into);
    expect([...into]).toEqual([6, 1, 1, 1, 1, 1, 1, 1]);
  });

  test("ring records come out in order; discarded ones do not", () => {
    const ring = scope.own(
      runtime.createMap(map("ringbuf", { name: "events", keySize: 0, valueSize: 0, maxEntries: 4096 })),
    );
    const source = scope.own(runtime.openEvents(ring, { pages: 0, wakeupEvents: 1 }));
    run(outputToRing(), words(1n), ring);
    run(reserveInRing("discard"), words(2n), ring);
    run(reserveInRing("submit"), words(3n), ring);
    const seen: [number, bigint][] = [];
    const count = source.drain(
      (view, at, length) => seen.push([length, view.getBigUint64(at, true)]),
      () => {},
    );
    expect(count).toBe(2);
    expect(seen).toEqual([
      [8, 1n],
      [24, 3n],
    ]);
  });

  test("a full ring refuses records, and takes them again once it was read", () => {
    const ring = scope.own(
      runtime.createMap(map("ringbuf", { name: "events", keySize: 0, valueSize: 0, maxEntries: 4096 })),
    );
    const spec = outputToRing();
    const loaded = scope.own(runtime.loadProgram(spec, new Map([["events", ring]])));
    let taken = 0;
    while (runtime.testRun(loaded, words(BigInt(taken))).result === 0) taken++;
    expect(taken).toBe(255);
    const source = scope.own(runtime.openEvents(ring, { pages: 0, wakeupEvents: 1 }));
    expect(
      source.drain(
        () => {},
        () => {},
      ),
    ).toBe(255);
    expect(runtime.testRun(loaded, words(9n)).result).toBe(0);
  });

  test("perf records are padded to whole words behind their size", () => {
    const perf = scope.own(
      runtime.createMap(map("perf_event_array", { name: "events", valueSize: 4, maxEntries: 0 })),
    );
    const source = scope.own(runtime.openEvents(perf, { pages: 1, wakeupEvents: 1 }));
    expect(run(outputToPerf(), words(5n), perf).result).toBe(0);
    const seen: [number, bigint][] = [];
    source.drain(
      (view, at, length) => seen.push([length, view.getBigUint64(at, true)]),
      () => {},
    );
    expect(seen).toEqual([[12, 5n]]);
  });

  test("tail calls stop after 33", () => {
    const kind: ProgramKindName = "xdp";
    const programs = scope.own(
      runtime.createMap(map("prog_array", { name: "programs", valueSize: 4, maxEntries: 1 })),
    );
    const counts = scope.own(runtime.createMap(map("array", { maxEntries: 1 })));
    const maps = new Map([programs, counts].map((each) => [each.spec.name, each]));
    const again = program(
      kind,
      [
        asm.mov(6, 1),
        asm.storeImm32(10, -4, 0),
        asm.loadMap(1),
        asm.mov(2, 10),
        asm.addImm(2, -4),
        asm.call(1),
        asm.jumpIfEqualImm(0, 0, 2),
        asm.movImm(1, 1),
        asm.atomicAdd64(0, 0, 1),
        asm.mov(1, 6),
        asm.loadMap(2),
        asm.movImm(3, 0),
        asm.call(12),
        asm.movImm(0, 7),
        asm.exit(),
      ],
      { maps: { 2: "counts", 11: "programs" } },
    );
    const loaded = scope.own(runtime.loadProgram(again, maps));
    programs.update(key(0), key(loaded.fd), "any");
    expect(runtime.testRun(loaded, PACKET).result).toBe(7);
    const into = new Uint8Array(8);
    counts.lookup(key(0), into);
    expect(into[0]).toBe(34);
  });
});

test("compare and exchange gives the same on both runtimes, in both sizes, equal or not", (context) => {
  needsRuntime(context, runtimes[0]!.reason);
  using kernel = new KernelRuntime();
  using machine = new MachineRuntime();
  const edges = [0n, 1n, 0x4c49_7751n, 0x8000_0000_4c49_7751n, 0xffff_ffff_0000_0001n, 2n ** 64n - 1n];
  for (const [memory, wanted] of edges.flatMap((each) => edges.map((other) => [each, other] as const))) {
    for (const size of ["w", "dw"]) {
      const spec = program("xdp", [
        wide(0, wanted),
        wide(2, memory),
        wide(3, 0xa5a5_5a5a_1234_5678n),
        insn("stx_dw", { dst: 10, src: 2, off: -8 }),
        insn(`atomic_cmpxchg_${size}`, { dst: 10, src: 3, off: -8 }),
        insn("ldx_dw", { dst: 2, src: 10, off: -8 }),
        // Both halves of r0 and of the memory count.
        ...[insn("mul64_imm", { dst: 0, imm: 31 }), insn("xor64_reg", { dst: 0, src: 2 }), copy(2, 0)],
        ...[insn("rsh64_imm", { dst: 2, imm: 32 }), insn("xor64_reg", { dst: 0, src: 2 }), exit],
      ]);
      using there = kernel.loadProgram(spec, new Map());
      using here = machine.loadProgram(spec, new Map());
      const { result } = kernel.testRun(there, PACKET);
      expect(machine.testRun(here, PACKET).result, `${size}: ${memory}, ${wanted}`).toBe(result);
    }
  }
});

/** Whether the kernel has the instructions of version 4. */
function hasVersion4(kernel: KernelRuntime): boolean {
  try {
    using loaded = kernel.loadProgram(
      program("xdp", [mov(0, 1), insn("bswap64", { dst: 0 }), exit]),
      new Map(),
    );
    return loaded.spec.kind === "xdp";
  } catch (error) {
    expect(error).toBeInstanceOf(VerifierError);
    return false;
  }
}

test("random programs give the same on both runtimes, and leave the same in a map", (context) => {
  const seed = Number(process.env["SEED"] ?? 11);
  const rounds = Number(process.env["ROUNDS"] ?? 300);
  needsRuntime(context, runtimes[0]!.reason);
  const random = new Random(seed);
  using kernel = new KernelRuntime();
  using machine = new MachineRuntime();
  const allowed = { version4: hasVersion4(kernel) };
  const sides = [kernel, machine].map((runtime) => ({ runtime, shared: runtime.createMap(SHARED) }));
  const initial = Uint8Array.from({ length: SHARED.valueSize }, (_, index) => (index * 73 + 5) & 0xff);
  for (let round = 0; round < rounds; round++) {
    const spec = randomProgram(random, allowed);
    const [wanted, given] = sides.map(({ runtime, shared }) => {
      shared.update(key(0), initial, "any");
      using loaded = runtime.loadProgram(spec, new Map([[SHARED.name, shared]]));
      const { result } = runtime.testRun(loaded, PACKET);
      const left = new Uint8Array(SHARED.valueSize);
      shared.lookup(key(0), left);
      return { result, left };
    });
    expect(given, `seed ${seed}, program ${round}`).toEqual(wanted);
  }
  for (const { shared } of sides) shared[Symbol.dispose]();
});

describe("a fetched word of the frame decides a branch", () => {
  const FIRST = 5;
  const SECOND = 7;
  /**
   * Two ways lead to the fetch, with different words in the frame; the word decides what comes back. Between the ways'
   * beginnings lies enough for the verifier to keep a state where they meet.
   */
  const fetching = (name: string): ProgramSpec =>
    program("xdp", [
      insn("ldx_w", { dst: 6, src: 1, off: 16 }), // rx_queue_index, which is 0
      ...[mov(0, 0), mov(2, 0), mov(3, FIRST), insn("stx_dw", { dst: 10, src: 3, off: -8 })],
      ...Array.from({ length: 4 }, () => [insn("jset_imm", { dst: 6, imm: 64 }), mov(4, 0)]).flat(),
      insn("jeq_imm", { dst: 6, imm: 0, off: 1 }),
      insn("st_dw", { dst: 10, imm: SECOND, off: -8 }),
      insn(`atomic_${name}`, { dst: 10, src: 2, off: -8 }),
      ...(name.startsWith("cmpxchg") ? [copy(2, 0)] : []),
      ...[mov(0, 1), insn("jeq_imm", { dst: 2, imm: SECOND, off: 1 }), mov(0, 2), exit],
    ]);
  const names = ["fetch_add", "fetch_or", "fetch_and", "fetch_xor", "xchg", "cmpxchg"];

  test.each(names.flatMap((name) => [`${name}_w`, `${name}_dw`]))("by %s, as RFC 9669 says", (name) => {
    using machine = new MachineRuntime();
    using loaded = machine.loadProgram(fetching(name), new Map());
    expect(machine.testRun(loaded, PACKET).result).toBe(2);
  });

  test("the kernel agrees, or has a verifier that takes one way for the other and removes the branch", (context) => {
    needsRuntime(context, runtimes[0]!.reason);
    using kernel = new KernelRuntime();
    const results = names.map((name) => {
      using loaded = kernel.loadProgram(fetching(`${name}_dw`), new Map());
      return kernel.testRun(loaded, PACKET).result;
    });
    // Until "bpf: Fix incorrect pruning due to atomic fetch precision tracking" (CVE-2026-43009: 5.12 to 6.18.49 and
    // 6.19.11) it does not follow the word back to the frame. Which of both it is, is the same for all fetches.
    expect([Array(6).fill(2), Array(6).fill(1)]).toContainEqual(results);
  });
});
