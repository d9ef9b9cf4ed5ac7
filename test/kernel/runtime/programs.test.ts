import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UnsupportedError, UsageError, VerifierError } from "../../../framework/core/errors.ts";
import { Scope } from "../../../framework/core/scope.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import type { ProgramSpec } from "../../../framework/object/object-spec.ts";
import type { RawMap } from "../../../framework/runtime/types.ts";
import { needsKernel } from "../../support/skip.ts";
import { asm, key, map, program, returns, words } from "./assembly.ts";
import { isFreed, objectIds, openLabels } from "./kernel-objects.ts";
import { withLines } from "./line-records.ts";

const NO_MAPS: ReadonlyMap<string, RawMap> = new Map();

describe("programs of the running kernel", () => {
  let scope: Scope;
  let runtime: KernelRuntime;

  beforeEach((context) => {
    scope = new Scope("the test");
    needsKernel(context);
    runtime = scope.own(new KernelRuntime());
  });

  afterEach(() => {
    scope[Symbol.dispose]();
    expect(openLabels()).toEqual([]);
  });

  const rejected = (spec: ProgramSpec, maps = NO_MAPS): VerifierError => {
    try {
      runtime.loadProgram(spec, maps)[Symbol.dispose]();
    } catch (error) {
      if (error instanceof VerifierError) return error;
      throw error;
    }
    throw new Error("the program was accepted");
  };

  test("a loaded program is there under its id until it is closed, and gone after", async () => {
    const loaded = scope.own(runtime.loadProgram(returns("socket_filter", 0), NO_MAPS));
    const { id } = loaded;
    expect(objectIds("BPF_PROG_GET_NEXT_ID")).toContain(id);
    loaded[Symbol.dispose]();
    expect(await isFreed("BPF_PROG_GET_NEXT_ID", id)).toBe(true);
  });

  test("a packet program runs once on given bytes and returns what it returned", () => {
    const loaded = scope.own(runtime.loadProgram(returns("xdp", 2), NO_MAPS));
    const packet = new Uint8Array(64).fill(7);
    const { result, output } = runtime.testRun(loaded, packet);
    expect(result).toBe(2);
    expect(output).toEqual(packet);
  });

  test("a raw tracepoint program sees the context words it is run on", () => {
    const spec = program("raw_tracepoint", [asm.load64(0, 1, 8), asm.exit()]);
    const loaded = scope.own(runtime.loadProgram(spec, NO_MAPS));
    expect(runtime.testRun(loaded, words(1n, 0x1_0000_002an)).result).toBe(0x2a);
  });

  test("a packet too short for a link header is a usage error", () => {
    const loaded = scope.own(runtime.loadProgram(returns("xdp", 2), NO_MAPS));
    expect(() => runtime.testRun(loaded, new Uint8Array(4))).toThrow(UsageError);
  });

  test("a tracepoint program cannot be run on given bytes", () => {
    const loaded = scope.own(runtime.loadProgram(returns("tracepoint", 0), NO_MAPS));
    expect(() => runtime.testRun(loaded, new Uint8Array(64))).toThrow(UnsupportedError);
  });

  test("global data is reached at its offset in the map's value", () => {
    const initial = new Uint8Array(new Uint32Array([11, 22, 33]).buffer);
    const data = scope.own(
      runtime.createMap(map("array", { name: "data", valueSize: 12, maxEntries: 1, initial })),
    );
    const insns = [asm.loadMap(1), asm.load64(0, 1, 0), asm.exit()];
    const spec = {
      ...program("socket_filter", insns),
      mapReferences: [{ insn: 0, map: "data", valueOffset: 4 }],
    };
    const loaded = scope.own(runtime.loadProgram(spec, new Map([["data", data]])));
    expect(runtime.testRun(loaded, new Uint8Array(64)).result).toBe(22);
  });

  test("a program without a kind is refused before the kernel sees it", () => {
    const spec = program(null, [asm.movImm(0, 0), asm.exit()]);
    expect(() => runtime.loadProgram(spec, NO_MAPS)).toThrow('its section "unknown" does not say its kind');
  });

  test("a program whose table was not given is refused by the table's name", () => {
    const spec = program("socket_filter", [asm.loadMap(1), asm.movImm(0, 0), asm.exit()], {
      maps: { 0: "counts" },
    });
    expect(() => runtime.loadProgram(spec, NO_MAPS)).toThrow('it uses table "counts", which was not given');
  });

  test("a rejection gives the verifier's reason, how much was left out, and the whole log", () => {
    const error = rejected(program("socket_filter", [asm.movImm(1, 5), asm.load64(0, 1, 0), asm.exit()]));
    expect(error.message).toMatch(
      /^program "probe" was rejected: R1 invalid mem access '\w+' \(\d+ lines? left out\)$/,
    );
    expect(error.hint).toContain("bpf_probe_read_kernel()");
    expect(error.log).toContain("0: (b7) r1 = 5");
    expect(error.program).toBe("probe");
    expect(error.at).toBeUndefined();
  });

  test("a rejection of a program with line records names the user's line and column", () => {
    const spec = withLines(program("socket_filter", [asm.movImm(1, 5), asm.load64(0, 1, 0), asm.exit()]), [
      { insn: 0, file: "hello.c", line: 3, column: 1, text: "int probe(void *ctx)" },
      { insn: 1, file: "hello.c", line: 5, column: 17, text: "  /* é */ return *(u64 *)5;" },
    ]);
    const error = rejected(spec);
    // The column in the record counts bytes, and é takes two.
    expect(error.at).toEqual({ file: "hello.c", line: 5, column: 16 });
    expect(error.message).toMatch(/\n {2}hello\.c:5:16: \/\* é \*\/ return \*\(u64 \*\)5;$/);
    expect(error.log).toContain("return *(u64 *)5");
  });

  test("a lookup whose result is not checked is rejected with what to check", () => {
    const counts = scope.own(runtime.createMap(map("hash")));
    const insns = [
      asm.storeImm32(10, -4, 0),
      asm.loadMap(1),
      asm.mov(2, 10),
      asm.addImm(2, -4),
      asm.call(1),
      asm.load64(0, 0, 0),
      asm.exit(),
    ];
    const error = rejected(
      program("socket_filter", insns, { maps: { 1: "counts" } }),
      new Map([["counts", counts]]),
    );
    expect(error.hint).toContain("check the pointer for NULL");
  });

  test("a missing return value, a GPL-only helper and a foreign helper each have their hint", () => {
    expect(rejected(program("socket_filter", [asm.exit()])).hint).toContain("must return a value");
    const probeRead = [asm.mov(1, 10), asm.addImm(1, -8), asm.movImm(2, 8), asm.movImm(3, 0), asm.call(113)];
    const end = [asm.movImm(0, 0), asm.exit()];
    const noLicense = program("raw_tracepoint", [...probeRead, ...end], { license: "Proprietary" });
    expect(rejected(noLicense).hint).toContain("GPL");
    expect(rejected(program("socket_filter", [asm.call(44), ...end])).hint).toMatch(/helper|kind of program/);
  });

  test("a log of several megabytes does not hide the reason", () => {
    // Forty branches on an unknown number, each explored both ways until the limit.
    const branches = Array.from({ length: 40 }, () => [
      asm.call(7),
      asm.jumpIfEqualImm(0, 0, 1),
      asm.addImm(6, 1),
    ]);
    const insns = [asm.movImm(6, 0), ...branches.flat(), asm.load64(0, 6, 0), asm.exit()];
    expect(rejected(program("socket_filter", insns)).message).toContain("R6 invalid mem access");
  });

  test("types of one object are loaded once and freed with the runtime", async () => {
    const lines = [{ insn: 0, file: "hello.c", line: 1, column: 1, text: "return 0;" }];
    const spec = withLines(returns("socket_filter", 0), lines);
    const before = objectIds("BPF_BTF_GET_NEXT_ID");
    const first = runtime.loadProgram(spec, NO_MAPS);
    const second = runtime.loadProgram(spec, NO_MAPS);
    expect(openLabels().filter((label) => label === "BTF")).toHaveLength(1);
    const added = objectIds("BPF_BTF_GET_NEXT_ID").filter((id) => !before.includes(id));
    expect(added.length).toBeGreaterThan(0);
    for (const loaded of [first, second]) loaded[Symbol.dispose]();
    runtime[Symbol.dispose]();
    expect(openLabels()).toEqual([]);
    expect(() => runtime.loadProgram(spec, NO_MAPS)).toThrow("the kernel runtime was closed");
  });

  test("a prog array shows a program under its id", () => {
    const loaded = scope.own(runtime.loadProgram(returns("socket_filter", 0), NO_MAPS));
    const jumps = scope.own(runtime.createMap(map("prog_array", { valueSize: 4 })));
    jumps.update(key(3), key(loaded.fd), "any");
    const into = new Uint8Array(4);
    expect(jumps.lookup(key(3), into)).toBe(true);
    expect(into).toEqual(key(loaded.id));
  });
});
