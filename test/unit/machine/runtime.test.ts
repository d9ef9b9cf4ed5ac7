import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MachineFault, UnsupportedError } from "../../../framework/core/errors.ts";
import type { HelperName } from "../../../framework/isa/helpers.ts";
import { VirtualClock } from "../../../framework/machine/clock.ts";
import { MachineRuntime } from "../../../framework/machine/machine-runtime.ts";
import type { ProgramKindName } from "../../../framework/programs/kinds.ts";
import type { AttachTarget } from "../../../framework/programs/targets.ts";
import type { EventContext } from "../../../framework/runtime/events.ts";
import type { RawMap } from "../../../framework/runtime/types.ts";
import { key, map, program, words } from "../../kernel/runtime/assembly.ts";
import { call, copy, exit, type Insn, insn, mov, timerOf, wide } from "./assembler.ts";

const below = (dst: number, off: number): readonly Insn[] => [
  copy(dst, 10),
  insn("add64_imm", { dst, imm: off }),
];
const RAW: AttachTarget = { hook: "raw_tracepoint", name: "sys_enter" };

let runtime: MachineRuntime;
let clock: VirtualClock;

beforeEach(() => {
  clock = new VirtualClock(1_500_000_000n);
  runtime = new MachineRuntime({
    cpuCount: 4,
    clock,
    task: { pid: 7, tgid: 5, comm: "tester", uid: 1000, gid: 100, parent: 1 },
  });
});

afterEach(() => runtime[Symbol.dispose]());

interface Given {
  readonly kind?: ProgramKindName;
  readonly target?: AttachTarget;
  readonly event?: EventContext;
  /** Map references by slot. */
  readonly maps?: Readonly<Record<number, string>>;
  readonly tables?: readonly RawMap[];
}

/** Runs instructions once and gives r0, signed. */
function run(
  body: readonly Insn[],
  { kind = "raw_tracepoint", target = RAW, event = {}, maps = {}, tables = [] }: Given = {},
): bigint {
  const named = new Map(tables.map((table) => [table.spec.name, table]));
  using loaded = runtime.loadProgram(program(kind, [...body, exit], { maps }), named);
  using _ = runtime.attach(loaded, target);
  const [outcome] = runtime.fire(target, event);
  if (outcome?.fault !== null) throw outcome?.fault ?? new Error("nothing ran");
  return outcome.r0;
}

/** What a helper without arguments gives. */
const answer = (name: HelperName, event?: EventContext): bigint =>
  run([call(name)], event === undefined ? {} : { event });

describe("fire", () => {
  test("runs what is attached to exactly that target, in order, until it is detached", () => {
    const load = (value: number) =>
      runtime.loadProgram(program("raw_tracepoint", [mov(0, value), exit]), new Map());
    const first = runtime.attach(load(1), RAW);
    runtime.attach(load(2), RAW);
    runtime.attach(load(3), { hook: "raw_tracepoint", name: "sys_exit" });
    expect(runtime.fire(RAW).map(({ r0 }) => r0)).toEqual([1n, 2n]);
    first[Symbol.dispose]();
    expect(first.closed).toBe(true);
    expect(runtime.fire(RAW).map(({ r0 }) => r0)).toEqual([2n]);
  });

  test("a fault stops one program and no other", () => {
    const bad = program("raw_tracepoint", [mov(1, 0), insn("ldx_b", { dst: 0, src: 1 }), exit], {
      name: "bad",
    });
    runtime.attach(runtime.loadProgram(bad, new Map()), RAW);
    runtime.attach(runtime.loadProgram(program("raw_tracepoint", [mov(0, 9), exit]), new Map()), RAW);
    const [first, second] = runtime.fire(RAW);
    expect(first?.fault).toBeInstanceOf(MachineFault);
    expect(first?.fault?.program).toBe("bad");
    expect(second?.r0).toBe(9n);
  });

  test("gives raw tracepoints and functions their arguments, 8 bytes each", () => {
    const body = [insn("ldx_dw", { dst: 0, src: 1, off: 8 })];
    expect(run(body, { event: { args: [1, -5n] } })).toBe(-5n);
    const target = { hook: "btf", name: "do_unlinkat", module: "vmlinux" } as const;
    expect(run(body, { kind: "fexit", target, event: { args: [1], result: 33 } })).toBe(33n);
  });

  test("gives probes the registers of parameters and results", () => {
    const target = { hook: "kprobe", symbol: "vfs_read", offset: 0, atReturn: false, maxActive: 0 } as const;
    const register = (at: number) => [insn("ldx_dw", { dst: 0, src: 1, off: at })];
    expect(run(register(112), { kind: "kprobe", target, event: { args: [42] } })).toBe(42n);
    expect(run(register(104), { kind: "kprobe", target, event: { args: [1, 43] } })).toBe(43n);
    expect(
      run(register(80), { kind: "kretprobe", target: { ...target, atReturn: true }, event: { result: -2 } }),
    ).toBe(-2n);
    expect(run(register(128), { kind: "kprobe", target, event: { registers: { ip: 0x1000n } } })).toBe(
      0x1000n,
    );
  });

  test("gives functions of system calls a pointer to registers, to be read as the kernel's memory", () => {
    const target = {
      hook: "kprobe",
      symbol: "__x64_sys_openat",
      offset: 0,
      atReturn: false,
      maxActive: 0,
    } as const;
    const body = [
      insn("ldx_dw", { dst: 3, src: 1, off: 112 }),
      insn("add64_imm", { dst: 3, imm: 104 }),
      ...below(1, -8),
      mov(2, 8),
      call("probe_read_kernel"),
      insn("ldx_dw", { dst: 0, src: 10, off: -8 }),
    ];
    expect(run(body, { kind: "kprobe", target, event: { args: [3, 0x77] } })).toBe(0x77n);
  });

  test("refuses hooks that a kind does not have, and those that the machine lacks", () => {
    const loaded = runtime.loadProgram(program("xdp", [mov(0, 0), exit]), new Map());
    expect(() => runtime.attach(loaded, RAW)).toThrow(
      'cannot attach "probe" to raw tracepoint sys_enter: it is a xdp program',
    );
    expect(() =>
      runtime.testRun(runtime.loadProgram(program("kprobe", [mov(0, 0), exit]), new Map()), words()),
    ).toThrow(UnsupportedError);
  });
});

describe("helpers about circumstances", () => {
  test("task, CPU and time are the runtime's, or the event's", () => {
    expect(answer("get_current_pid_tgid")).toBe((5n << 32n) | 7n);
    expect(answer("get_current_uid_gid")).toBe((100n << 32n) | 1000n);
    expect(answer("get_current_pid_tgid", { task: { pid: 9 } })).toBe((5n << 32n) | 9n);
    expect(answer("get_smp_processor_id", { cpu: 3 })).toBe(3n);
    expect(answer("ktime_get_ns")).toBe(1_500_000_000n);
    expect(answer("ktime_get_ns", { time: 12n })).toBe(12n);
    clock.advance(500_000_000n);
    expect(answer("jiffies64")).toBe(500n);
  });

  test("the task's name is cut and ends with a NUL", () => {
    const name = (size: number, comm: string): bigint =>
      run(
        [
          mov(1, -1),
          insn("stx_dw", { dst: 10, src: 1, off: -8 }),
          ...below(1, -8),
          mov(2, size),
          call("get_current_comm"),
          insn("ldx_dw", { dst: 0, src: 10, off: -8 }),
        ],
        {
          event: { task: { comm } },
        },
      );
    expect(BigInt.asUintN(64, name(8, "cat"))).toBe(0x746163n);
    expect(BigInt.asUintN(64, name(4, "catalog"))).toBe(0xffffffff_00746163n);
  });

  test("memory of the process is read at its addresses, texts to their end", () => {
    const bytes = new TextEncoder().encode("/etc/hosts\0");
    const memory = {
      read(address: bigint, into: Uint8Array): boolean {
        const at = Number(address) - 0x1000;
        if (at < 0 || at + into.length > bytes.length) return false;
        into.set(bytes.subarray(at, at + into.length));
        return true;
      },
      write: () => false,
    };
    const read = (name: HelperName, size: number, address: bigint): bigint =>
      run([...below(1, -64), mov(2, size), wide(3, address), call(name)], { event: { memory } });
    expect(read("probe_read_user_str", 64, 0x1000n)).toBe(11n);
    expect(read("probe_read_user_str", 5, 0x1000n)).toBe(5n);
    expect(read("probe_read_user", 8, 0x1000n)).toBe(0n);
    expect(read("probe_read_user", 8, 0x2000n)).toBe(-14n);
    expect(read("probe_read_kernel", 8, 0x1000n)).toBe(-14n);
    expect(read("probe_read_str", 64, 0n)).toBe(-14n);
  });
});

test("what programs print comes out in the form of the trace pipe", () => {
  const source = runtime.openTrace();
  const text = [..."pid %d %s\0\0\0"].map((letter) => letter.charCodeAt(0));
  const low = new DataView(Uint8Array.from([...text, 0, 0, 0, 0, 0]).buffer);
  const body = [
    wide(1, low.getBigInt64(0, true)),
    insn("stx_dw", { dst: 10, src: 1, off: -16 }),
    wide(1, low.getBigInt64(8, true)),
    insn("stx_dw", { dst: 10, src: 1, off: -8 }),
    insn("st_dw", { dst: 10, off: -24, imm: 0x6968 }),
    ...below(1, -16),
    mov(2, 10),
    mov(3, -7),
    ...below(4, -24),
    call("trace_printk"),
  ];
  expect(run(body)).toBe(9n);
  expect(source.read()).toBe(
    "          tester-7       [000] .....     1.500000: bpf_trace_printk: pid -7 hi\n",
  );
  expect(source.read()).toBe("");
});

describe("callbacks", () => {
  test("bpf_loop calls until it is told to stop, with its index and its context", () => {
    // The callback adds its index to *context and stops at index r.
    const loops = (count: number, stopAt: number): bigint => {
      const body = [
        insn("st_dw", { dst: 10, off: -8, imm: 0 }),
        mov(1, count),
        insn("ld_func", { dst: 2, imm: 9 }),
        ...below(3, -8),
        mov(4, 0),
        call("loop"),
        insn("ldx_dw", { dst: 1, src: 10, off: -8 }),
        insn("lsh64_imm", { dst: 1, imm: 32 }),
        insn("or64_reg", { dst: 0, src: 1 }),
        exit,
        insn("ldx_dw", { dst: 3, src: 2 }),
        insn("add64_reg", { dst: 3, src: 1 }),
        insn("stx_dw", { dst: 2, src: 3 }),
        mov(0, 0),
        insn("jne_imm", { dst: 1, imm: stopAt, off: 1 }),
        mov(0, 1),
      ];
      return run(body);
    };
    expect(loops(5, 100)).toBe((10n << 32n) | 5n);
    expect(loops(5, 2)).toBe((3n << 32n) | 3n);
    expect(BigInt.asIntN(32, loops((1 << 23) + 1, 0))).toBe(-7n);
  });

  test("a timer calls with its map, key and value when its time has come, and goes with its entry", () => {
    const timers = runtime.createMap(map("hash", { name: "timers", valueSize: 24 }));
    const set = (body: readonly Insn[], maps: Readonly<Record<number, string>>) =>
      run(body, { maps, tables: [timers] });
    timers.update(key(3), new Uint8Array(24), "any");
    const named = new Map([["timers", timers]]);
    const spec = program(
      "raw_tracepoint",
      [
        ...timerOf(3, 5),
        copy(1, 6),
        mov(2, 1000),
        mov(3, 0),
        call("timer_start"),
        exit,
        // (map, key, value): value[2] = *key
        insn("ldx_w", { dst: 4, src: 2 }),
        insn("stx_dw", { dst: 3, src: 4, off: 16 }),
        mov(0, 0),
        exit,
      ],
      { maps: { 1: "timers", 8: "timers" } },
    );
    const loaded = runtime.loadProgram(spec, named);
    runtime.attach(loaded, RAW);
    expect(runtime.fire(RAW)[0]).toMatchObject({ r0: 0n, fault: null });
    const value = (): number => {
      const into = new Uint8Array(24);
      return timers.lookup(key(3), into) ? into[16]! : -1;
    };
    clock.advance(999n);
    expect(value()).toBe(0);
    clock.advance(1n);
    expect(value()).toBe(3);
    expect(set([mov(0, 0)], {})).toBe(0n);
  });
});
