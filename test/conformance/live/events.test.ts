import { describe, expect, test } from "vitest";
import { BPF } from "../../../framework/index.ts";
import { needsKernel } from "../../support/skip.ts";
import { LIVES, OPENAT, TELLING, type Told, toldBy } from "./told.ts";

function pathsOf(told: readonly Told[]): readonly string[] {
  return told.map(({ comm, text }) => `${comm} ${text}`);
}

describe("what a command does", () => {
  test("an openat is seen with its path, process, name and user", async () => {
    const told = await toldBy(OPENAT, ["cat", "/etc/hostname"]);
    const { pid, tid, uid, comm } = told.find(({ text }) => text === "/etc/hostname")!;
    expect({ tid, uid, comm }).toEqual({ tid: pid, uid: process.getuid!(), comm: "cat" });
    expect(told.every((event) => event.pid === pid)).toBe(true);
  });

  test("the same command does the same to the kernel's programs", async (context) => {
    needsKernel(context);
    const script = "exec cat /etc/hostname /dev/null";
    const machine = await toldBy(OPENAT, ["sh", "-c", script]);
    const seen = await toldBy(OPENAT, ["sh", "-c", script], {
      runtime: "kernel",
      isLast: ({ comm, text }) => comm === "cat" && text === "/dev/null",
    });
    // Before it is the command, the process that Node starts opens files too.
    const kernel = seen.filter(({ isOwn, comm }) => isOwn && /^(?:sh|cat)$/.test(comm));
    // The kernel's programs read nothing from a page that nobody has touched yet.
    const known = kernel.map((event, index) => (event.text === "" ? machine[index]! : event));
    expect(pathsOf(machine)).toEqual(pathsOf(known));
    expect(machine.length).toBeGreaterThan(3);
  });

  test("children are seen, each as itself", async () => {
    const told = await toldBy(OPENAT, ["sh", "-c", "cat /etc/hostname; head -c1 /etc/passwd; :"]);
    const own = told.filter(({ text }) => text === "/etc/hostname" || text === "/etc/passwd");
    expect(pathsOf(own)).toEqual(["cat /etc/hostname", "head /etc/passwd"]);
    expect(new Set(own.map(({ pid }) => pid)).size).toBe(2);
  });

  test("threads are seen with their own ids, and their process's", async () => {
    // libuv reads files in threads of its own.
    const script = 'require("fs").readFile("/etc/hostname", () => {})';
    const told = await toldBy(OPENAT, [process.execPath, "-e", script]);
    const { pid, tid } = told.find(({ text }) => text === "/etc/hostname")!;
    const main = told[0]!;
    expect([pid, tid === pid]).toEqual([main.pid, false]);
    expect(main.tid).toBe(main.pid);
  });

  test("a name that a task gives itself is its name from then on", async () => {
    const told = await toldBy(OPENAT, [
      "sh",
      "-c",
      "printf other > /proc/$$/comm; read -r x < /etc/hostname",
    ]);
    expect(pathsOf(told)).toContain("other /etc/hostname");
  });

  test("a user that a task becomes is its user from then on", async (context) => {
    if (process.getuid!() !== 0) context.skip("only root can become somebody else");
    const told = await toldBy(OPENAT, ["setpriv", "--reuid=54321", "--clear-groups", "cat", "/etc/hostname"]);
    const users = told.filter(({ text }) => text === "/etc/hostname").map(({ uid }) => uid);
    expect([told[0]!.uid, ...users]).toEqual([0, 54321]);
  });
});

describe("each place that programs attach to", () => {
  test("functions of system calls get a pointer to the caller's registers; their returns the result", async () => {
    const source = `
      int syscall__umask(struct pt_regs *ctx, int mask) {
        struct told e = {.a = mask, .b = 1}; fill(&e);
        return told.ringbuf_output(&e, sizeof(e), 0); }
      int returned(struct pt_regs *ctx) {
        struct told e = {.a = PT_REGS_RC(ctx), .b = 2}; fill(&e);
        return told.ringbuf_output(&e, sizeof(e), 0); }`;
    using b = new BPF({ runtime: "machine", text: TELLING + source });
    const fnname = b.get_syscall_fnname("umask");
    b.attach_kprobe({ event: fnname, fn_name: "syscall__umask" });
    b.attach_kretprobe({ event: fnname, fn_name: "returned" });
    const seen: (readonly bigint[])[] = [];
    b.get_table<never, Told>("told")
      .events()
      .subscribe(({ a, b: which }) => seen.push([which, a]));
    await b.spawn("sh", ["-c", "umask 027; umask 077"], { stdio: "ignore" }).exited;
    expect(seen.slice(-2)).toEqual([
      [1n, 0o77n],
      [2n, 0o27n],
    ]);
  });

  test("syscalls and raw_syscalls have the kernel's records", async () => {
    const source = `
      TRACEPOINT_PROBE(syscalls, sys_enter_umask) {
        struct told e = {.a = args->mask, .b = args->__syscall_nr}; __builtin_memcpy(e.text, "enter", 6);
        return told.ringbuf_output(&e, sizeof(e), 0); }
      TRACEPOINT_PROBE(syscalls, sys_exit_umask) {
        struct told e = {.a = args->ret, .b = args->__syscall_nr}; __builtin_memcpy(e.text, "exit", 5);
        return told.ringbuf_output(&e, sizeof(e), 0); }
      TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
        if (args->id != ${process.arch === "arm64" ? 166 : 95}) return 0;
        struct told e = {.a = args->args[0], .b = args->id}; __builtin_memcpy(e.text, "raw enter", 10);
        return told.ringbuf_output(&e, sizeof(e), 0); }
      TRACEPOINT_PROBE(raw_syscalls, sys_exit) {
        if (args->id != ${process.arch === "arm64" ? 166 : 95}) return 0;
        struct told e = {.a = args->ret, .b = args->id}; __builtin_memcpy(e.text, "raw exit", 9);
        return told.ringbuf_output(&e, sizeof(e), 0); }`;
    const told = await toldBy(source, ["sh", "-c", "umask 027; umask 077"]);
    const number = process.arch === "arm64" ? 166n : 95n;
    expect(told.slice(-4).map(({ text, a, b }) => [text, a, b])).toEqual([
      ["raw enter", 0o77n, number],
      ["enter", 0o77n, number],
      ["raw exit", 0o27n, number],
      ["exit", 0o27n, number],
    ]);
  });

  test("raw tracepoints get the caller's registers and the number, or the result", async () => {
    const source = `
      RAW_TRACEPOINT_PROBE(sys_enter) {
        struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
        if (ctx->args[1] != ${process.arch === "arm64" ? 166 : 95}) return 0;
        struct told e = {.b = ctx->args[1]}; fill(&e);
        e.a = PT_REGS_PARM1_CORE(regs);
        return told.ringbuf_output(&e, sizeof(e), 0); }`.replace(
      "PT_REGS_PARM1_CORE(regs)",
      process.arch === "arm64" ? "regs->regs[0]" : "regs->di",
    );
    const told = await toldBy(source, ["sh", "-c", "umask 077"]);
    expect(told.at(-1)!.a).toBe(0o77n);
  });

  test("a process's life: fork, exec and exit, with the kernel's records", async () => {
    const told = await toldBy(LIVES, ["/bin/sh", "-c", "/bin/cat /dev/null; :"]);
    const parent = BigInt(told[0]!.pid);
    const child = told.find(({ text }) => text === "fork")!.b;
    expect(told.map(({ text, a, b }) => [text, a, b])).toEqual([
      ["/bin/sh", parent, parent],
      ["fork", parent, child],
      ["/bin/cat", child, child],
      ["exit", child, 0n],
      ["exit", parent, 0n],
    ]);
    expect(told.map(({ comm }) => comm)).toEqual(["sh", "sh", "cat", "cat", "sh"]);
  });

  test("a new task comes out of the call that made it with 0, its maker with its id", async () => {
    const source = `
      TRACEPOINT_PROBE(raw_syscalls, sys_exit) {
        if (args->id != 56 && args->id != 57 && args->id != 58 && args->id != 220 && args->id != 435) return 0;
        struct told e = {.a = args->ret}; fill(&e);
        return told.ringbuf_output(&e, sizeof(e), 0); }`;
    const told = await toldBy(source, ["sh", "-c", "cat /dev/null; :"]);
    const maker = told.find(({ a }) => a !== 0n)!;
    const made = told.find(({ a }) => a === 0n)!;
    expect(maker.a).toBe(BigInt(made.pid));
  });

  test("all objects of the process see what a command does, whichever started it", async () => {
    const counting =
      "BPF_ARRAY(n, u64, 1); TRACEPOINT_PROBE(syscalls, sys_enter_umask) { n.increment(0); return 0; }";
    using one = new BPF({ runtime: "machine", text: counting });
    using two = new BPF({ runtime: "machine", text: counting });
    await one.spawn("sh", ["-c", "umask 077"]).exited;
    const counts = [one, two].map((b) => b.get_table<number, bigint>("n").get(0));
    expect(counts[0]).toBeGreaterThan(0n);
    expect(counts[1]).toBe(counts[0]);
  });
});
