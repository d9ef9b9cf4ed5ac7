import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { BPF, MapError, type StackFrame, UsageError } from "../../../framework/index.ts";
import { runCommand } from "../../support/events.ts";
import { Target, Workshop } from "../../support/native.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

const program = workshop.make("calls", { source: "calls.c", link: ["-pie"] });

beforeEach((context) => needsKernel(context, "uprobe"));

const STACKS = `
  BPF_STACK_TRACE(stacks, 16384);
  BPF_STACK_TRACE_BUILDID(builds, 16384);
  BPF_ARRAY(ids, int, 4);
  int at(struct pt_regs *ctx) {
    int id = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    ids.update(&(int){0}, &id);
    id = builds.get_stackid(ctx, BPF_F_USER_STACK);
    ids.update(&(int){1}, &id);
    return 0;
  }
  TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) {
    int id = stacks.get_stackid(args, BPF_F_USER_STACK);
    ids.update(&(int){3}, &id);
    return 0;
  }`;

function idAt(b: BPF, index: number): number {
  return b.get_table<number, number>("ids").get(index)!;
}

describe("stacks of a process", () => {
  test("walk from the function that was probed to the one that the process began with", async () => {
    using target = new Target(program);
    using b = open(STACKS);
    b.attach_uprobe({ name: program, sym: "twice", fn_name: "at", pid: target.pid });
    await target.run("t");
    const { pid } = target;
    const stacks = b.get_table("stacks");
    const frames = [...stacks.walk(idAt(b, 0))];
    expect(frames.every((frame) => typeof frame === "bigint" && frame > 0n)).toBe(true);
    const names = [...stacks.walk(idAt(b, 0), (frame) => b.sym(frame, pid))];
    // Its frame pointer is not set up where a function begins, so the function's caller is left out.
    expect(names[0]).toBe("twice");
    expect(names).toContain("_start");
    const shown = BPF.sym(frames[0]!, pid, { show_module: true, show_offset: true });
    expect(shown).toBe("twice+0x0 [calls]");
  });

  test("by build id are named after the file is made known", async () => {
    using target = new Target(program);
    using b = open(STACKS);
    b.attach_uprobe({ name: program, sym: "sum_of", fn_name: "at", pid: target.pid });
    await target.run("s");
    const builds = b.get_table("builds");
    const [first] = [...builds.walk(idAt(b, 1))] as [StackFrame & object];
    expect(first).toMatchObject({ status: 1, build_id: expect.any(Uint8Array) });
    BPF.add_module(program);
    expect(BPF.sym(first, target.pid, { show_offset: true })).toBe("sum_of+0x0");
    failure(UsageError, () => BPF.add_module("/etc/passwd"));
  });

  test("are known after the process has ended, as far as they were asked for before", async () => {
    const target = new Target(program);
    const [, address] = BPF.get_user_functions_and_addresses(program, "twice$")[0]!;
    using b = open(STACKS);
    b.attach_uprobe({ name: program, sym: "twice", fn_name: "at", pid: target.pid });
    await target.run("t");
    const [frame] = [...b.get_table("stacks").walk(idAt(b, 0))] as [bigint];
    expect(Number(frame) % 4096).toBe(address % 4096);
    expect(BPF.sym(frame, target.pid)).toBe("twice");
    target[Symbol.dispose]();
    expect(BPF.sym(frame, target.pid)).toBe("twice");
    expect(BPF.sym(16, target.pid)).toBe("[unknown]");
  });

  test("of a Node program have the names of JavaScript functions", async () => {
    const script = `
      const { rmdirSync } = require("node:fs");
      function inJavaScript() { try { rmdirSync("/no/such/folder"); } catch {} }
      process.stdin.on("data", () => { inJavaScript(); console.log("done"); });
      console.log("ready");`;
    const args = ["--perf-basic-prof", "--interpreted-frames-native-stack", "-e", script];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    try {
      await once(child.stdout, "data");
      using b = open(
        STACKS.replace(
          "int id = stacks",
          `if (bpf_get_current_pid_tgid() >> 32 != ${child.pid}) return 0; int id = stacks`,
        ).replace("int at(", "int unused("),
      );
      const done = once(child.stdout, "data");
      child.stdin.write("go\n");
      await done;
      const stacks = b.get_table("stacks");
      const names = [...stacks.walk(idAt(b, 3), (frame) => b.sym(frame, child.pid!))];
      expect(names.join("\n")).toMatch(/inJavaScript/);
    } finally {
      child.kill("SIGKILL");
      rmSync(`/tmp/perf-${child.pid}.map`, { force: true });
    }
  });
});

describe("stacks of the kernel", () => {
  test("walk through kernel functions", () => {
    using b = open(`
      BPF_STACK_TRACE(stacks, 16384);
      BPF_ARRAY(ids, int, 4);
      TRACEPOINT_PROBE(sched, sched_process_exec) {
        int id = stacks.get_stackid(args, 0);
        ids.update(&(int){2}, &id);
        return 0;
      }`);
    runCommand();
    const names = [...b.get_table("stacks").walk(idAt(b, 2), (frame) => b.ksym(frame as bigint))];
    expect(names.join(" ")).toMatch(/execve/);
    const address = BPF.ksymname("schedule");
    expect(BPF.ksym(address + 1n, { show_offset: true, show_module: true })).toBe("schedule+0x1 [kernel]");
    expect(BPF.ksymname("no_such_symbol")).toBe(-1n);
    expect(BPF.ksym(4096n)).toBe("[unknown]");
  });
});

test("an id that is an error, or of a stack that is gone, is a MapError that says so", () => {
  using b = open(STACKS);
  const stacks = b.get_table("stacks");
  const error = failure(MapError, () => [...stacks.walk(-17)]);
  expect(error.code).toBe("KEY_MISSING");
  expect(error.hint).toContain("same hash");
  expect(failure(MapError, () => [...stacks.walk(3)]).message).toContain("no stack 3");
});
