import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { AttachError, BPF, UsageError } from "../../../framework/index.ts";
import { Target, Workshop } from "../../support/native.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

const fixed = workshop.make("calls", { source: "calls.c" });
const moving = workshop.make("calls-pie", { source: "calls.c", link: ["-pie"] });

const COUNT = `
  BPF_ARRAY(calls, u64, 4);
  BPF_ARRAY(seen, long, 4);
  int count(struct pt_regs *ctx) { calls.atomic_increment(0); return 0; }
  int other(struct pt_regs *ctx) { calls.atomic_increment(1); return 0; }
  int first(struct pt_regs *ctx, long a, int b) { long v = a; seen.update(&(int){0}, &v); v = b; seen.update(&(int){1}, &v); return 0; }
  int result(struct pt_regs *ctx) { long v = PT_REGS_RC(ctx); seen.update(&(int){2}, &v); calls.atomic_increment(2); return 0; }`;

function counts(b: BPF): readonly bigint[] {
  return b.get_table<number, bigint>("calls").values();
}

beforeEach((context) => needsKernel(context, "uprobe"));

describe.each([
  ["at fixed addresses", fixed],
  ["that moves", moving],
])("in a program %s", (_, program) => {
  test("attach_uprobe by symbol counts exactly the calls of that function, until it is detached", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    await target.run("tt");
    b.attach_uprobe({ name: program, sym: "twice", fn_name: "count", pid: target.pid });
    await target.run("tstht");
    expect(counts(b)[0]).toBe(3n);
    b.detach_uprobe({ name: program, sym: "twice", pid: target.pid });
    await target.run("tt");
    expect(counts(b)[0]).toBe(3n);
  });

  test("parameters and results are those of the call", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    b.attach_uprobe({ name: program, sym: "sum_of", fn_name: "first", pid: target.pid });
    b.attach_uretprobe({ name: program, sym: "twice", fn_name: "result", pid: target.pid });
    await target.run("sts");
    expect(b.get_table<number, bigint>("seen").values().slice(0, 3)).toEqual([40n, 2n, 42n]);
    expect(counts(b)[2]).toBe(1n);
    b.detach_uretprobe({ name: program, sym: "twice", pid: target.pid });
    await target.run("t");
    expect(counts(b)[2]).toBe(1n);
  });

  test("parameters beyond the sixth are read from the stack", async () => {
    using target = new Target(program);
    using b = open(`
      struct args { s32 a, f, g, j; u64 h; bool i; };
      BPF_HASH(seen, u32, struct args);
      int f(struct pt_regs *ctx, int a, int b, int c, int d, int e, int f, int g, long h, const char *i, int j) {
        u32 key = 0;
        struct args args = { .a = a, .f = f, .g = g, .j = j, .h = h, .i = i != 0 };
        seen.update(&key, &args);
        return 0;
      }`);
    b.attach_uprobe({ name: program, sym: "many", fn_name: "f", pid: target.pid });
    await target.run("m");
    expect(b.get_table("seen").items()).toEqual([[0, { a: 1, f: 6, g: 7, h: 8n << 40n, i: true, j: -10 }]]);
  });

  test("an address of the file is the same place as its symbol", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    const [[, addr]] = BPF.get_user_functions_and_addresses(program, "twice$") as [[string, number]];
    const where = { name: program, pid: target.pid };
    b.attach_uprobe({ ...where, addr, fn_name: "count" });
    const twice = failure(AttachError, () => b.attach_uprobe({ ...where, sym: "twice", fn_name: "count" }));
    expect(twice.message).toContain("attached to");
    await target.run("tt");
    expect(counts(b)[0]).toBe(2n);
    b.detach_uprobe({ ...where, sym: "twice" });
    await target.run("t");
    expect(counts(b)[0]).toBe(2n);
  });

  test("an offset into a function is another place than its beginning", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    // "push %rbp; mov %rsp,%rbp" on x86-64, and instructions of four bytes on arm64.
    const sym_off = process.arch === "x64" ? 1 : 4;
    b.attach_uprobe({ name: program, sym: "twice", sym_off, fn_name: "count", pid: target.pid });
    b.attach_uprobe({ name: program, sym: "twice", fn_name: "count", pid: target.pid });
    expect(b.num_open_uprobes()).toBe(2);
    await target.run("tt");
    expect(counts(b)[0]).toBe(4n);
  });

  test("a regular expression attaches to every function that matches from its name's beginning", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    const where = { name: program, sym_re: "twi|sum_of|reet", pid: target.pid };
    b.attach_uprobe({ ...where, fn_name: "count" });
    b.attach_uretprobe({ ...where, fn_name: "other" });
    expect(b.num_open_uprobes()).toBe(4);
    await target.run("tsgh");
    expect(counts(b).slice(0, 2)).toEqual([2n, 2n]);
    b.detach_uprobe(where);
    expect(b.num_open_uprobes()).toBe(2);
    await target.run("tsgh");
    expect(counts(b).slice(0, 2)).toEqual([2n, 4n]);
  });

  test("a pid leaves other processes of the program alone; without one all are probed", async () => {
    using one = new Target(program);
    using two = new Target(program);
    using b = open(COUNT);
    b.attach_uprobe({ name: program, sym: "twice", fn_name: "count", pid: one.pid });
    b.attach_uprobe({ name: program, sym: "twice", fn_name: "other" });
    await one.run("t");
    await two.run("tt");
    expect(counts(b).slice(0, 2)).toEqual([1n, 3n]);
  });

  test("static functions are found as well", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    b.attach_uprobe({ name: program, sym: "hidden", fn_name: "count", pid: target.pid });
    await target.run("hh");
    expect(counts(b)[0]).toBe(2n);
  });
});

describe("a C++ program", () => {
  const names = workshop.make("names", { source: "names.cc", link: ["-pie"] });
  const symbols = ["_ZN5space5shape4areaEi", "_ZN5space3addIlEET_S1_S1_"] as const;

  test("is probed by symbol and by regular expression, and its functions have their written names", async () => {
    using target = new Target(names);
    using b = open(`${COUNT}
      BPF_HASH(places, u64, u64);
      int place(struct pt_regs *ctx) { places.increment(PT_REGS_IP(ctx)); return 0; }`);
    b.attach_uprobe({ name: names, sym: symbols[0], fn_name: "count", pid: target.pid });
    b.attach_uprobe({ name: names, sym_re: "_ZN5space", fn_name: "place", pid: target.pid });
    await target.run("aab");
    expect(counts(b)[0]).toBe(2n);
    const places = [...b.get_table<bigint, bigint>("places").keys()];
    const written = places.map((place) => b.sym(place, target.pid));
    expect(written.sort()).toEqual(["long space::add<long>(long, long)", "space::shape::area(int)"]);
    const spelled = places.map((place) => b.sym(place, target.pid, { demangle: false }));
    expect(spelled.sort()).toEqual([...symbols].sort());
  });
});

describe("libraries", () => {
  test("the C library is found by its short name, in the process and in general", async () => {
    const path = BPF.find_library("c")!;
    expect(path).toMatch(/libc\b.*\.so/);
    expect(BPF.find_library("no_such_library")).toBeUndefined();
    const child = spawn("/bin/cat", { stdio: ["pipe", "pipe", "ignore"] });
    try {
      await echo(child, "started");
      using b = open(COUNT);
      b.attach_uprobe({ name: "c", sym: "write", fn_name: "count", pid: child.pid! });
      b.attach_uprobe({ name: "c", sym: "write", fn_name: "other" });
      await echo(child, "a");
      await echo(child, "b");
      expect(counts(b)[0]).toBe(2n);
      expect(counts(b)[1]).toBeGreaterThanOrEqual(2n);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test("a process in a mount namespace of its own has its own files at the paths", async (context) => {
    const folder = `${workshop.folder}/inner`;
    mkdirSync(folder);
    const script = `mount -t tmpfs none ${folder} && cp ${fixed} ${folder}/calls && exec ${folder}/calls`;
    if (spawnSync("unshare", ["-m", "true"]).status !== 0) context.skip("no mount namespaces here");
    using target = new Target("unshare", ["-m", "sh", "-c", script]);
    await target.run("t");
    expect(existsSync(`${folder}/calls`)).toBe(false);
    using b = open(COUNT);
    b.attach_uprobe({ name: `${folder}/calls`, sym: "twice", fn_name: "count", pid: target.pid });
    await target.run("tt");
    expect(counts(b)[0]).toBe(2n);
    const outside = failure(AttachError, () =>
      b.attach_uprobe({ name: `${folder}/calls`, sym: "twice", fn_name: "count" }),
    );
    expect(outside.message).toContain("there is no file");
  });

  test("an indirect function is refused, because its code only chooses another", () => {
    using b = open(COUNT);
    const error = failure(AttachError, () =>
      b.attach_uprobe({ name: fixed, sym: "picked", fn_name: "count" }),
    );
    expect(error.message).toContain("indirect function (GNU_IFUNC)");
  });
});

describe("sections", () => {
  test('SEC("uprobe/...") and SEC("uretprobe/...") attach by themselves', async () => {
    using target = new Target(fixed);
    using b = open(`
      long calls[2];
      SEC("uprobe/${fixed}:twice") int enter(struct pt_regs *ctx) { __sync_fetch_and_add(&calls[0], 1); return 0; }
      SEC("uretprobe/${fixed}:sum_of") int leave(struct pt_regs *ctx) { __sync_fetch_and_add(&calls[1], 1); return 0; }
      SEC("uprobe") int later(struct pt_regs *ctx) { return 0; }
      char LICENSE[] SEC("license") = "GPL";`);
    await target.run("tts");
    expect(b.variable<readonly bigint[]>("calls").get()).toEqual([2n, 1n]);
  });
});

describe("sections with patterns", () => {
  test('SEC("uprobe.multi/...") attaches to every function that matches the whole name', async () => {
    using target = new Target(fixed);
    using b = open(`
      long calls[2];
      SEC("uprobe.multi/${fixed}:tw?ce") int enter(struct pt_regs *ctx) { __sync_fetch_and_add(&calls[0], 1); return 0; }
      SEC("uretprobe.multi/${fixed}:s?m_*") int leave(struct pt_regs *ctx) { __sync_fetch_and_add(&calls[1], 1); return 0; }
      char LICENSE[] SEC("license") = "GPL";`);
    await target.run("ttsg");
    expect(b.variable<readonly bigint[]>("calls").get()).toEqual([2n, 1n]);
  });
});

describe("what cannot be attached", () => {
  const attempt = (options: object): AttachError => {
    using b = open(COUNT);
    return failure(AttachError, () => b.attach_uprobe({ name: fixed, fn_name: "count", ...options }));
  };

  test("a misspelt function says which are near", () => {
    const error = attempt({ sym: "twise" });
    expect(error.message).toContain("has no function twise");
    expect(error.hint).toBe("did you mean twice?");
  });

  test("a file, a library, a process that are not there, and a pattern that nothing matches", () => {
    expect(attempt({ name: "/no/such/file", sym: "f" }).message).toContain("there is no file /no/such/file");
    expect(attempt({ name: "nosuchlib", sym: "f" }).message).toContain("no library or program nosuchlib");
    expect(attempt({ sym: "twice", pid: 2 ** 22 }).message).toContain(`no process ${2 ** 22}`);
    expect(attempt({ sym_re: "nothing.*" }).message).toContain("no function of");
  });

  test("a place outside of the function or the file", () => {
    expect(attempt({ sym: "twice", sym_off: 10_000 }).message).toContain("past the end of twice");
    expect(attempt({ addr: 0x7fff_0000_0000n }).message).toContain("in no part of");
  });

  test("arguments that exclude each other are a UsageError", () => {
    using b = open(COUNT);
    const both = failure(UsageError, () =>
      b.attach_uprobe({ name: fixed, sym: "twice", addr: 1, fn_name: "count" }),
    );
    expect(both.message).toContain("one of sym, sym_re and addr");
    const pattern = failure(UsageError, () =>
      b.attach_uprobe({ name: fixed, sym_re: "(", fn_name: "count" }),
    );
    expect(pattern.message).toContain("no regular expression");
  });

  test("a return probe in a Go program, unless it is forced", async () => {
    const go = workshop.make("go", { source: "calls.c", flags: ["-DGO"] });
    using target = new Target(go);
    using b = open(COUNT);
    const where = { name: go, sym: "twice", pid: target.pid, fn_name: "result" };
    const error = failure(AttachError, () => b.attach_uretprobe(where));
    expect(error.message).toContain("is a Go program");
    b.attach_uretprobe({ ...where, force: true });
    await target.run("t");
    expect(counts(b)[2]).toBe(1n);
  });

  test("a probe beyond the limit, which names how many are open", async () => {
    using target = new Target(fixed);
    using b = open(COUNT);
    b.attach_uprobe({ name: fixed, sym: "twice", fn_name: "count", pid: target.pid });
    process.env["BCC_PROBE_LIMIT"] = "1";
    try {
      const where = { name: fixed, sym: "sum_of", fn_name: "count", pid: target.pid };
      expect(failure(AttachError, () => b.attach_uprobe(where)).message).toBe(
        "cannot attach 1 more probe: 1 of at most 1 are open",
      );
      b.detach_uprobe({ name: fixed, sym: "twice", pid: target.pid });
      b.attach_uprobe(where);
    } finally {
      delete process.env["BCC_PROBE_LIMIT"];
    }
    await target.run("ts");
    expect(counts(b)[0]).toBe(1n);
  });

  test("one place of a pattern that the kernel refuses leaves none attached", async () => {
    using target = new Target(fixed);
    using b = open(COUNT);
    failure(AttachError, () =>
      b.attach_uprobe({ name: fixed, sym_re: "refused|twice", pid: target.pid, fn_name: "count" }),
    );
    expect(b.num_open_uprobes()).toBe(0);
    await target.run("t");
    expect(counts(b)[0]).toBe(0n);
  });
});

/** Sends a line to a process that gives it back, and waits for it. */
function echo(child: ChildProcess, line: string): Promise<void> {
  return new Promise((resolve) => {
    child.stdout!.once("data", () => resolve());
    child.stdin!.write(`${line}\n`);
  });
}
