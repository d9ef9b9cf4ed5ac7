import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PermissionError, UnsupportedError, VerifierError } from "../../../framework/core/errors.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { type BpfDoor, replaceBpf } from "../../../framework/sys/bpf.ts";
import { openDescriptors } from "../../../framework/sys/fd.ts";
import type { BpfCommand } from "../../../framework/uapi/constants.ts";
import { map, returns } from "./assembly.ts";
import { withLines } from "./line-records.ts";

/** A kernel that answers each command with an errno, and commands it is not told about with ENOSYS. */
const refusing =
  (answers: Partial<Record<BpfCommand, string>>, calls: BpfCommand[] = []): BpfDoor =>
  (command) => {
    calls.push(command);
    return answers[command] ?? "ENOSYS";
  };

describe.skipIf(process.platform !== "linux")("what a refused system call becomes", () => {
  let runtime: KernelRuntime;
  let door: Disposable | undefined;

  beforeEach(() => {
    runtime = new KernelRuntime();
  });

  afterEach(() => {
    door?.[Symbol.dispose]();
    runtime[Symbol.dispose]();
    expect(openDescriptors()).toEqual([]);
  });

  const failure = (action: () => unknown): unknown => {
    try {
      action();
    } catch (error) {
      return error;
    }
    throw new Error("nothing was thrown");
  };

  test("EPERM on creating a map names the capability, and what may keep it from root", () => {
    door = replaceBpf(refusing({ BPF_MAP_CREATE: "EPERM" }));
    const error = failure(() => runtime.createMap(map("hash")));
    expect(error).toBeInstanceOf(PermissionError);
    expect(error).toMatchObject({
      message: 'creating table "counts" needs CAP_BPF',
      hint: expect.stringMatching(/capability|setcap/),
    });
  });

  test("ENOSYS on creating a map says that there is no bpf(2)", () => {
    door = replaceBpf(refusing({}));
    expect(failure(() => runtime.createMap(map("hash")))).toBeInstanceOf(UnsupportedError);
  });

  test("E2BIG and ENOMEM on creating a map name its sizes", () => {
    const spec = map("hash", { valueSize: 100_000, maxEntries: 7 });
    door = replaceBpf(refusing({ BPF_MAP_CREATE: "E2BIG" }));
    expect(failure(() => runtime.createMap(spec))).toMatchObject({
      code: "MAP_CREATE",
      message: expect.stringContaining("100000-byte values, 7 entries are more than the kernel allows"),
    });
    replaceBpf(refusing({ BPF_MAP_CREATE: "ENOMEM" }));
    expect(failure(() => runtime.createMap(spec))).toMatchObject({
      message: expect.stringContaining("not enough memory for"),
    });
  });

  test("EPERM without a log on loading names the capabilities of the program's kind", () => {
    door = replaceBpf(refusing({ BPF_PROG_LOAD: "EPERM" }));
    expect(failure(() => runtime.loadProgram(returns("tracepoint", 0), new Map()))).toMatchObject({
      code: "PERMISSION",
      message: 'loading program "probe" needs CAP_BPF and CAP_PERFMON',
    });
    expect(failure(() => runtime.loadProgram(returns("xdp", 0), new Map()))).toMatchObject({
      message: 'loading program "probe" needs CAP_BPF and CAP_NET_ADMIN',
    });
  });

  test("a program that is refused without any log says how", () => {
    door = replaceBpf(refusing({ BPF_PROG_LOAD: "E2BIG" }));
    const error = failure(() => runtime.loadProgram(returns("xdp", 0), new Map()));
    expect(error).toBeInstanceOf(VerifierError);
    expect(error).toMatchObject({
      message: expect.stringContaining("the kernel does not take 2 instructions"),
    });
  });

  test("a load that a signal interrupts is tried five times", () => {
    const calls: BpfCommand[] = [];
    door = replaceBpf(refusing({ BPF_PROG_LOAD: "EAGAIN" }, calls));
    failure(() => runtime.loadProgram(returns("xdp", 0), new Map()));
    // Once without and once with a log.
    expect(calls).toHaveLength(10);
  });

  test("a kernel that refuses the types still gets the program, without them", () => {
    const calls: BpfCommand[] = [];
    door = replaceBpf(refusing({ BPF_BTF_LOAD: "EINVAL", BPF_PROG_LOAD: "EINVAL" }, calls));
    const lines = [{ insn: 0, file: "hello.c", line: 1, column: 1, text: "return 0;" }];
    failure(() => runtime.loadProgram(withLines(returns("xdp", 0), lines), new Map()));
    expect(calls).toEqual(["BPF_BTF_LOAD", "BPF_PROG_LOAD", "BPF_PROG_LOAD"]);
  });

  test("the probe says why bpf(2) cannot be used", () => {
    door = replaceBpf(refusing({ BPF_MAP_CREATE: "EPERM" }));
    expect(KernelRuntime.probe()).toEqual({ ok: false, reason: "this process lacks CAP_BPF" });
    replaceBpf(refusing({}));
    expect(KernelRuntime.probe()).toEqual({ ok: false, reason: "this kernel has no bpf(2)" });
  });

  test("a feature that a missing privilege hides is unknown, and asked again later", () => {
    door = replaceBpf(refusing({ BPF_MAP_CREATE: "EPERM" }));
    expect(runtime.supports("ringbuf").state).toBe("unknown");
    replaceBpf(refusing({ BPF_MAP_CREATE: "EINVAL" }));
    expect(runtime.supports("ringbuf")).toEqual({ state: "no", since: "5.8" });
  });
});
