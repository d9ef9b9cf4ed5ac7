import { describe, expect, test } from "vitest";
import { type MachineFault, MapError } from "../../../framework/core/errors.ts";
import { VirtualClock } from "../../../framework/machine/clock.ts";
import { loadBytecode } from "../../../framework/machine/index.ts";
import { MachineRuntime } from "../../../framework/machine/machine-runtime.ts";
import type { MapSpec, ProgramSpec } from "../../../framework/object/object-spec.ts";
import { key, map, program, words } from "../../kernel/runtime/assembly.ts";
import { Random } from "../rewriter/random.ts";
import { anyInstruction, call, code, copy, exit, insn, mov, timerOf } from "./assembler.ts";

/** Bytes that this process holds, after what is garbage is gone. */
function held(): number {
  globalThis.gc?.();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

const nothing = (): void => {};

describe("a hostile program", () => {
  /** Runs a program with maps under a budget of a million instructions. */
  function stopped(spec: ProgramSpec, ...specs: readonly MapSpec[]): MachineFault {
    using runtime = new MachineRuntime({ budget: 1_000_000 });
    const maps = new Map(specs.map((each) => [each.name, runtime.createMap(each)]));
    for (const each of maps.values()) {
      if (each.spec.kind !== "hash") continue;
      for (let i = 0; i < 50_000; i++)
        each.update(new Uint8Array(Uint32Array.of(i).buffer), new Uint8Array(8), "any");
    }
    const { fault } = runtime.runOnce(runtime.loadProgram(spec, maps), null);
    if (fault === null) throw new Error("it ran to its end");
    return fault;
  }

  test("that loops through bpf_loop, one in another, is stopped by the same budget", () => {
    const callback = [
      mov(1, 1 << 23),
      insn("ld_func", { dst: 2, imm: 5 }),
      mov(3, 0),
      mov(4, 0),
      call("loop"),
      exit,
      mov(0, 0),
      exit,
    ];
    const spec = program("raw_tracepoint", [
      mov(1, 1 << 23),
      insn("ld_func", { dst: 2, imm: 5 }),
      mov(3, 0),
      mov(4, 0),
      call("loop"),
      exit,
      ...callback,
    ]);
    expect(stopped(spec).reason).toBe("budget");
  });

  test("that walks over a big table again and again is stopped by its budget", () => {
    const spec = program(
      "raw_tracepoint",
      [
        mov(6, 0),
        insn("ld_imm64", { dst: 1 }),
        insn("ld_func", { dst: 2, imm: 5 }),
        mov(3, 0),
        mov(4, 0),
        call("for_each_map_elem"),
        insn("ja", { off: -8 }),
        exit,
        mov(0, 0),
        exit,
      ],
      { maps: { 1: "counts" } },
    );
    expect(stopped(spec, map("hash", { maxEntries: 100_000 })).reason).toBe("budget");
  });

  test("that copies much memory at once pays for it, and is stopped soon", () => {
    const size = 1 << 26;
    const spec = program(
      "raw_tracepoint",
      [
        insn("ld_imm64", { dst: 6 }),
        insn("st_dw", { dst: 10, off: -8, imm: 0 }),
        copy(1, 6),
        copy(2, 10),
        insn("add64_imm", { dst: 2, imm: -8 }),
        call("map_lookup_elem"),
        insn("jeq_imm", { dst: 0, imm: 0, off: 7 }),
        copy(7, 0),
        copy(1, 7),
        mov(2, size),
        copy(3, 7),
        call("probe_read_kernel_str"),
        insn("ja", { off: -5 }),
        exit,
        exit,
      ],
      { maps: { 0: "counts" } },
    );
    expect(stopped(spec, map("array", { valueSize: size, maxEntries: 1 })).reason).toBe("budget");
  });

  test("that never gives its ring records back loses them, and the ring stays usable", () => {
    using runtime = new MachineRuntime();
    const ring = runtime.createMap(
      map("ringbuf", { name: "events", keySize: 0, valueSize: 0, maxEntries: 4096 }),
    );
    const spec = program(
      "raw_tracepoint",
      [insn("ld_imm64", { dst: 1 }), mov(2, 512), mov(3, 0), call("ringbuf_reserve"), mov(0, 1), exit],
      { maps: { 0: "events" } },
    );
    const loaded = runtime.loadProgram(spec, new Map([["events", ring]]));
    using source = runtime.openEvents(ring, { pages: 0, wakeupEvents: 1 });
    for (let i = 0; i < 100; i++) {
      expect(runtime.runOnce(loaded, null)).toMatchObject({ r0: 1n, fault: null });
      expect(source.drain(nothing, nothing)).toBe(0);
    }
  });

  test("that fills a queue of tiny values takes the memory of its values and little more", () => {
    using runtime = new MachineRuntime();
    const entries = 1 << 20;
    const before = held();
    const queue = runtime.createMap(map("queue", { keySize: 0, valueSize: 1, maxEntries: entries }));
    const none = new Uint8Array(0);
    const value = Uint8Array.of(7);
    for (let i = 0; i < entries; i++) queue.update(none, value, "any");
    expect(() => queue.update(none, value, "any")).toThrow(MapError);
    expect(held() - before).toBeLessThan(32 << 20);
  });

  test("whose timer sets itself again at once does not keep a virtual clock from going on", () => {
    const clock = new VirtualClock();
    using runtime = new MachineRuntime({ clock });
    const timers = runtime.createMap(map("array", { name: "timers", valueSize: 24, maxEntries: 1 }));
    const start = [copy(1, 6), mov(2, 0), mov(3, 0), call("timer_start")];
    const spec = program(
      "raw_tracepoint",
      [
        ...timerOf(0, 5),
        ...start,
        exit,
        copy(6, 3),
        insn("ldx_dw", { dst: 1, src: 6, off: 16 }),
        insn("add64_imm", { dst: 1, imm: 1 }),
        insn("stx_dw", { dst: 6, src: 1, off: 16 }),
        ...start,
        mov(0, 0),
        exit,
      ],
      { maps: { 1: "timers", 8: "timers" } },
    );
    expect(runtime.runOnce(runtime.loadProgram(spec, new Map([["timers", timers]])), null)).toMatchObject({
      r0: 0n,
    });
    clock.advance(50_000n);
    const value = new Uint8Array(24);
    timers.lookup(new Uint8Array(4), value);
    expect(value[16]).toBe(50);
  });
});

test.each([
  map("array", { maxEntries: 2 ** 31 }),
  map("hash", { maxEntries: 2 ** 31, valueSize: 64 }),
  map("queue", { keySize: 0, maxEntries: 2 ** 31 }),
  map("percpu_array", { maxEntries: 2 ** 27 }),
  map("ringbuf", { keySize: 0, valueSize: 0, maxEntries: 2 ** 30 }),
  map("task_storage", { valueSize: 2 ** 20, flags: 1 }),
])("a $kind of more memory than the machine gives is refused before it is taken", (spec) => {
  using runtime = new MachineRuntime({ cpuCount: 4 });
  const before = held();
  expect(() => runtime.createMap(spec)).toThrow(MapError);
  expect(held() - before).toBeLessThan(8 << 20);
});

test("a program of a hundred thousand instructions loads and runs to its end", () => {
  using runtime = new MachineRuntime();
  const added = 50_000;
  const body = Array.from({ length: added }, (_, i) => [
    insn("add64_imm", { dst: 0, imm: i }),
    insn("jeq_imm", { dst: 0, imm: -1 }),
  ]);
  const spec = program("raw_tracepoint", [mov(0, 0), ...body.flat(), exit]);
  const { r0, fault } = runtime.runOnce(runtime.loadProgram(spec, new Map()), null);
  expect({ r0, fault }).toEqual({ r0: BigInt((added * (added - 1)) / 2), fault: null });
}, 120_000);

test("a table of a million entries that a program fills takes the memory of its entries and little more", () => {
  using runtime = new MachineRuntime({ budget: 2 ** 28 });
  const entries = 1_000_000;
  const before = held();
  const table = runtime.createMap(map("hash", { maxEntries: entries }));
  expect(held() - before).toBeLessThan(1 << 20);
  const callback = [
    ...[insn("stx_w", { dst: 10, src: 1, off: -4 }), insn("stx_dw", { dst: 10, src: 1, off: -16 })],
    ...[insn("ld_imm64", { dst: 1 }), copy(2, 10), insn("add64_imm", { dst: 2, imm: -4 })],
    ...[copy(3, 10), insn("add64_imm", { dst: 3, imm: -16 }), mov(4, 0), call("map_update_elem"), exit],
  ];
  const main = [
    mov(1, entries),
    insn("ld_func", { dst: 2, imm: 5 }),
    mov(3, 0),
    mov(4, 0),
    call("loop"),
    exit,
  ];
  const spec = program("raw_tracepoint", [...main, ...callback], { maps: { 9: "counts" } });
  const loaded = runtime.loadProgram(spec, new Map([["counts", table]]));
  expect(runtime.runOnce(loaded, null)).toMatchObject({ r0: BigInt(entries), fault: null });
  const value = new Uint8Array(8);
  expect(table.lookup(key(entries - 1), value)).toBe(true);
  expect(value).toEqual(words(BigInt(entries - 1)));
  // Key, value, a gap behind it, and what finds them; tables grow by doubling.
  expect(held() - before).toBeLessThan(2 * entries * (4 + 8 + 8 + 16));
}, 120_000);

test("fifty thousand hostile programs neither crash nor leave anything behind", () => {
  const random = new Random(Number(process.env["SEED"] ?? 9));
  const block = new Uint8Array(64);
  const round = (programs: number): void => {
    for (let i = 0; i < programs; i++) {
      const insns = Array.from({ length: 1 + random.below(16) }, () => anyInstruction(random));
      try {
        loadBytecode(code(...insns, exit), { budget: 2000 }).run(block);
      } catch {
        // Refused, which other tests look at.
      }
    }
  };
  round(10_000);
  const before = held();
  round(40_000);
  expect(held() - before).toBeLessThan(32 << 20);
}, 240_000);
