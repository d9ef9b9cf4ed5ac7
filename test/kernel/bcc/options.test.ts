import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { setNotifier } from "../../../framework/core/notify.ts";
import { BPF, type BpfOptions, UsageError } from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const SOURCE = "int f(void *ctx) { return 0; }";

/** Options that TypeScript would not let through. */
function openAnyhow(options: Record<string, unknown>): BPF {
  return new BPF({ runtime: "kernel", ...options } as BpfOptions);
}

describe("options of new BPF", () => {
  let folder = "";

  beforeEach((context) => {
    needsKernel(context);
    folder = mkdtempSync(join(tmpdir(), "rxbpf-"));
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("an unknown option is an error that names it and what it may mean", () => {
    const error = failure(UsageError, () => openAnyhow({ txt: SOURCE }));
    expect([error.code, error.message, error.hint]).toEqual([
      "USAGE",
      'BPF: unknown option "txt"',
      "did you mean text?",
    ]);
  });

  test("an option of the wrong type is an error that shows the value", () => {
    expect(failure(UsageError, () => openAnyhow({ text: 5 })).message).toBe(
      'BPF: "text" must be a string, not 5',
    );
    expect(failure(UsageError, () => openAnyhow({ text: SOURCE, cflags: "-DA" })).message).toBe(
      'BPF: "cflags" must be an array of strings, not "-DA"',
    );
  });

  test("text and src_file exclude each other, and one is needed", () => {
    const both = failure(UsageError, () => openAnyhow({ text: SOURCE, src_file: "x.c" }));
    const none = failure(UsageError, () => openAnyhow({}));
    expect([both.message, none.message]).toEqual([
      "BPF takes either text or src_file",
      "BPF takes either text or src_file",
    ]);
  });

  test("a src_file that is not there is an error that names it", () => {
    const error = failure(UsageError, () => openAnyhow({ src_file: join(folder, "none.c") }));
    expect(error.message).toBe(`cannot read src_file ${join(folder, "none.c")}`);
    expect(error.cause).toMatchObject({ code: "ENOENT" });
  });

  test("src_file reads a C file, which finds headers beside it", () => {
    writeFileSync(join(folder, "own.h"), "#define ANSWER 42\n");
    writeFileSync(join(folder, "main.c"), '#include "own.h"\nint f(void *ctx) { return ANSWER; }\n');
    using b = openAnyhow({ src_file: join(folder, "main.c") });
    expect(run(b, "f")).toBe(42);
  });

  test("cflags define macros and add include folders", () => {
    writeFileSync(join(folder, "own.h"), "#define BASE 40\n");
    using b = open('#include "own.h"\nint f(void *ctx) { return BASE + MORE; }', {
      cflags: ["-DMORE=2", `-I${folder}`],
    });
    expect(run(b, "f")).toBe(42);
  });

  test("an empty source makes an object without tables and functions", () => {
    using b = open("");
    expect(b.tableNames).toEqual([]);
    expect(b.load_funcs()).toEqual([]);
  });

  test("runtime says where it lives; an unknown one is an error", () => {
    using b = open(SOURCE);
    expect(b.runtime).toBe("kernel");
    const unknown = failure(UsageError, () => openAnyhow({ text: SOURCE, runtime: "kernle" }));
    expect(unknown.message).toBe('no runtime "kernle"');
    using machine = new BPF({ text: SOURCE, runtime: "machine" });
    expect(machine.runtime).toBe("machine");
  });

  test('runtime "auto" takes the kernel and says so once', () => {
    const notices: string[] = [];
    using _ = setNotifier((line) => notices.push(line));
    using first = new BPF({ text: SOURCE });
    using second = new BPF({ text: SOURCE, runtime: "auto" });
    expect([first.runtime, second.runtime]).toEqual(["kernel", "kernel"]);
    expect(notices).toEqual(["rxbpf: using the running kernel, which this process may program"]);
  });
});

describe("functions", () => {
  beforeEach((context) => needsKernel(context));

  test("load_func loads a function once per type", () => {
    using b = open("int f(void *ctx) { return 0; }");
    const first = b.load_func("f", BPF.KPROBE);
    expect(b.load_func("f", BPF.KPROBE).fd).toBe(first.fd);
    expect(b.load_func("f", BPF.RAW_TRACEPOINT).fd).not.toBe(first.fd);
    expect(first).toMatchObject({ name: "f", bpf: b });
  });

  test.each([
    ["KPROBE", 2],
    ["TRACEPOINT", 5],
    ["PERF_EVENT", 7],
    ["RAW_TRACEPOINT", 17],
    ["SOCKET_FILTER", 1],
    ["SCHED_CLS", 3],
    ["SCHED_ACT", 4],
    ["XDP", 6],
    ["CGROUP_SKB", 8],
    ["CGROUP_SOCK", 9],
    ["LWT_IN", 10],
    ["SOCK_OPS", 13],
    ["SK_SKB", 14],
    ["CGROUP_DEVICE", 15],
    ["SK_MSG", 16],
  ] as const)("load_func loads as BPF.%s, type %d of the kernel", (name, number) => {
    expect(BPF[name]).toBe(number);
    using b = open("int f(void *ctx) { return 0; }");
    expect(b.load_func("f", BPF[name]).program.id).toBeGreaterThan(0);
  });

  test("load_funcs loads every function", () => {
    using b = open(
      "int f(void *ctx) { return 0; } static int helper(void) { return 1; } int g(void *ctx) { return helper(); }",
    );
    expect(b.load_funcs(BPF.RAW_TRACEPOINT).map(({ name }) => name)).toEqual(["f", "g"]);
  });

  test("an unknown function or type is an error", () => {
    using b = open("int first(void *ctx) { return 0; } int other(void *ctx) { return 0; }");
    const name = failure(UsageError, () => b.load_func("second", BPF.KPROBE));
    expect([name.message, name.hint]).toEqual([
      'the source has no program function "second"',
      "program functions are first, other",
    ]);
    expect(failure(UsageError, () => b.load_func("first", 99)).message).toBe("no program type 99");
  });

  test("a function loaded as one type is refused where another is needed, with what to write", () => {
    using b = open(SOURCE);
    const f = b.load_func("f", BPF.KPROBE);
    const xdp = failure(UsageError, () => b.attach_xdp("nodevice", f));
    expect([xdp.message, xdp.hint]).toEqual([
      'attach_xdp: "f" is loaded as a kprobe program',
      'load it as one that fits: load_func("f", BPF.XDP)',
    ]);
    const socket = failure(UsageError, () => b.attach_raw_socket(f, "nodevice"));
    expect(socket.hint).toBe('load it as one that fits: load_func("f", BPF.SOCKET_FILTER)');
  });

  test("get_syscall_fnname gives a function that the kernel has, and fix_syscall_fnname any prefix's", () => {
    using b = open(SOURCE);
    const name = b.get_syscall_fnname("execve");
    expect(name).toBe(`${b.get_syscall_prefix()}execve`);
    expect(name).toMatch(/sys_execve$/);
    expect(b.fix_syscall_fnname("sys_execve")).toBe(name);
    expect(b.fix_syscall_fnname("__arm64_sys_execve")).toBe(name);
    expect(b.fix_syscall_fnname("do_execve")).toBe("do_execve");
  });

  test("get_table gives one table object per name; an unknown name is an error with near names", () => {
    using b = open(
      "BPF_HASH(counts); BPF_ARRAY(sizes); int f(void *ctx) { counts.increment(1); sizes.increment(0); return 0; }",
    );
    expect(b.get_table("counts")).toBe(b.get_table("counts"));
    expect(b.tableNames).toEqual(["counts", "sizes"]);
    const near = failure(UsageError, () => b.get_table("count"));
    expect([near.message, near.hint]).toEqual([
      'the source declares no table "count"',
      "did you mean counts?",
    ]);
    expect(failure(UsageError, () => b.get_table("something")).hint).toBe("tables are counts, sizes");
  });

  test("attach_ and detach_ methods refuse unknown options", () => {
    using b = open(SOURCE);
    const attach = failure(UsageError, () =>
      b.attach_kprobe({ event: "sys_rmdir", function: "f" } as unknown as { event: string; fn_name: string }),
    );
    expect(attach.message).toBe('attach_kprobe: unknown option "function"');
    const detach = failure(UsageError, () =>
      b.detach_tracepoint({ tracepoint: "a:b" } as unknown as { tp: string }),
    );
    expect(detach.message).toBe('detach_tracepoint: unknown option "tracepoint"');
  });

  test("a required option that is left out is an error that names it", () => {
    using b = open(SOURCE);
    const error = failure(UsageError, () =>
      b.attach_kprobe({ event: "sys_rmdir" } as { event: string; fn_name: string }),
    );
    expect(error.message).toBe('attach_kprobe: "fn_name" is missing');
    expect(failure(UsageError, () => b.detach_tracepoint({} as { tp: string })).message).toBe(
      'detach_tracepoint: "tp" is missing',
    );
  });
});
