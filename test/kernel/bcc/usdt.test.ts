import { afterAll, beforeEach, describe, expect, test } from "vitest";
import {
  AttachError,
  BPF,
  type BpfOptions,
  RewriteError,
  USDT,
  UsageError,
} from "../../../framework/index.ts";
import { Target, Workshop } from "../../support/native.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

const fixed = workshop.make("probes", { source: "probes.c" });
const moving = workshop.make("probes-pie", { source: "probes.c", link: ["-pie"] });

beforeEach((context) => needsKernel(context, "uprobe"));

/** A BPF object with functions enabled at probes: "app:forms" → "on_forms". */
function probed(
  where: ConstructorParameters<typeof USDT>[0],
  enabled: Readonly<Record<string, string>>,
  text: string,
  options: Omit<BpfOptions, "text"> = {},
): BPF {
  const usdt = new USDT(where);
  for (const [probe, fn_name] of Object.entries(enabled)) usdt.enable_probe(probe, fn_name);
  return open(text, { usdt_contexts: [usdt], ...options });
}

const FORMS = `
  struct forms { u64 number; int member; const char *address; int small, constant, element, global; char text[16]; int e; };
  BPF_ARRAY(out, struct forms, 1);
  int on_forms(struct pt_regs *ctx) {
    struct forms f = {};
    bpf_usdt_readarg(1, ctx, &f.number);
    bpf_usdt_readarg(2, ctx, &f.member);
    bpf_usdt_readarg(3, ctx, &f.address);
    f.e = bpf_usdt_readarg_p(3, ctx, &f.text, 7);
    bpf_usdt_readarg(4, ctx, &f.small);
    bpf_usdt_readarg(5, ctx, &f.constant);
    bpf_usdt_readarg(6, ctx, &f.element);
    GLOBAL
    out.update(&(int){0}, &f);
    return 0;
  }`;

describe.each([
  ["at fixed addresses", fixed],
  ["that moves", moving],
])("a program %s", (_, program) => {
  test("arguments are read from registers, memory, constants and global variables", async () => {
    using target = new Target(program);
    const isX64 = process.arch === "x64";
    const global = isX64 ? "bpf_usdt_readarg(7, ctx, &f.global);" : "f.global = 6;";
    using b = probed({ path: program }, { forms: "on_forms" }, FORMS.replace("GLOBAL", global));
    await target.run("f");
    expect(b.get_table<number, object>("out").get(0)).toMatchObject({
      number: 2n ** 40n,
      member: -3,
      small: -2,
      constant: -7,
      element: -20,
      global: 6,
      text: "a text",
      e: 0,
    });
  });

  const COUNT = `
    BPF_ARRAY(sum, u64, 2);
    int on_counted(struct pt_regs *ctx) {
      int n = 0;
      bpf_usdt_readarg(1, ctx, &n);
      sum.atomic_increment(0, n);
      return 0;
    }`;

  test("a probe with a counter is reached only while it is enabled for the process", async () => {
    using target = new Target(program);
    using bystander = new Target(program);
    await target.run("c");
    using b = probed({ pid: target.pid }, { "app:counted": "on_counted" }, COUNT);
    await target.run("ccc");
    await bystander.run("c");
    expect(b.get_table<number, bigint>("sum").get(0)).toBe(3n * 77n);
    expect(b.num_open_uprobes()).toBe(1);
  });

  test("a probe with a counter is enabled in all processes, also those started later", async () => {
    using target = new Target(program);
    using b = probed({ path: program }, { "app:counted": "on_counted" }, COUNT);
    using later = new Target(program);
    await target.run("c");
    await later.run("cc");
    expect(b.get_table<number, bigint>("sum").get(0)).toBe(3n * 77n);
  });

  test("places of one probe that keep an argument differently each give theirs", async () => {
    using target = new Target(program);
    using b = probed(
      { path: program },
      { both: "on_both" },
      `BPF_HASH(seen, u64, int);
       int on_both(struct pt_regs *ctx) {
         u64 place = 0;
         int n = 0;
         bpf_usdt_readarg(1, ctx, &n);
         bpf_usdt_readarg(2, ctx, &place);
         seen.update(&place, &n);
         return 0;
       }`,
    );
    expect(b.num_open_uprobes()).toBe(2);
    await target.run("b");
    expect(b.get_table<bigint, number>("seen").items().toSorted()).toEqual([
      [1n, 100],
      [2n, 200],
    ]);
  });

  test("a function that several probes' programs call reads the arguments of the probe that was reached", async () => {
    using target = new Target(program);
    using b = probed(
      { path: program },
      { both: "on_both", "lib:counted": "on_other", "app:counted": "on_counted" },
      `BPF_HASH(seen, int, u64);
       static void note(struct pt_regs *ctx) {
         int n = 0;
         bpf_usdt_readarg(1, ctx, &n);
         seen.increment(n);
       }
       int on_both(struct pt_regs *ctx) { note(ctx); return 0; }
       int on_other(struct pt_regs *ctx) { note(ctx); return 0; }
       int on_counted(struct pt_regs *ctx) { note(ctx); return 0; }`,
    );
    await target.run("boc");
    expect(
      b
        .get_table<number, bigint>("seen")
        .items()
        .toSorted((a, b) => a[0] - b[0]),
    ).toEqual([
      [5, 1n],
      [77, 1n],
      [100, 1n],
      [200, 1n],
    ]);
  });
});

describe("a process", () => {
  test("attach_usdt_ignore_pid probes the others too", async () => {
    using target = new Target(moving);
    using bystander = new Target(moving);
    const text = "BPF_ARRAY(n, u64, 1); int on_other(void *ctx) { n.atomic_increment(0); return 0; }";
    using b = probed({ pid: target.pid }, { "lib:counted": "on_other" }, text, {
      attach_usdt_ignore_pid: true,
    });
    await target.run("o");
    await bystander.run("oo");
    expect(b.get_table<number, bigint>("n").get(0)).toBe(3n);
  });
});

describe("sections of libbpf's dialect", () => {
  const SECTIONS = `
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    #include <bpf/usdt.bpf.h>
    long sum, other;
    SEC("usdt/${fixed}:app:counted") int BPF_USDT(on_counted, int number) { __sync_fetch_and_add(&sum, number); return 0; }
    SEC("usdt/${fixed}:app:both")
    int on_both(struct pt_regs *ctx) {
      long number = 0;
      bpf_usdt_arg(ctx, 0, &number);
      __sync_fetch_and_add(&other, number);
      return 0;
    }
    char LICENSE[] SEC("license") = "GPL";`;

  test('SEC("usdt/...") attaches by itself, and BPF_USDT names the arguments', async () => {
    using target = new Target(fixed);
    using b = open(SECTIONS);
    expect(b.num_open_uprobes()).toBe(3);
    await target.run("ccb");
    expect([b.variable("sum").get(), b.variable("other").get()]).toEqual([2n * 77n, 300n]);
  });

  test("autoAttach chooses among them, and an unknown probe is an error with near names", async () => {
    using target = new Target(fixed);
    using b = open(SECTIONS, { autoAttach: ["on_both"] });
    await target.run("cb");
    expect([b.variable("sum").get(), b.variable("other").get()]).toEqual([0n, 300n]);
    const error = failure(UsageError, () => open(SECTIONS.replace(":app:both", ":app:bth")));
    expect(error.hint).toContain("app:both");
  });

  const ASKING = `
    BPF_HASH(seen, s64, u64);
    static void note(void *ctx) {
      s64 key = bpf_usdt_cookie(ctx) * 100 + bpf_usdt_arg_cnt(ctx);
      seen.increment(key);
    }
    int on_any(struct pt_regs *ctx) { note(ctx); return 0; }
    int on_counted(struct pt_regs *ctx) {
      s64 key = bpf_usdt_cookie(ctx) * 100 + bpf_usdt_arg_cnt(ctx);
      seen.increment(key);
      return 0;
    }`;

  test("bpf_usdt_cookie gives what the probe was enabled with, and bpf_usdt_arg_cnt how many arguments it has", async () => {
    using target = new Target(fixed);
    const usdt = new USDT({ path: fixed });
    usdt.enable_probe({ probe: "app:both", fn_name: "on_any", cookie: -7n });
    usdt.enable_probe({ probe: "lib:counted", fn_name: "on_any", cookie: 2n ** 40n });
    usdt.enable_probe("app:counted", "on_counted");
    using b = open(ASKING, { usdt_contexts: [usdt] });
    await target.run("bocc");
    const seen = new Map(b.get_table<bigint, bigint>("seen").items());
    // Two places of "both" were reached.
    expect(seen).toEqual(
      new Map([
        [-698n, 2n],
        [2n ** 40n * 100n + 1n, 1n],
        [1n, 2n],
      ]),
    );
  });
});

describe("a Node program", () => {
  /** Calls a function of a library for each byte that it is sent, and sends the byte back. */
  const SCRIPT = `
    const act = require("koffi").load(process.argv[1]).func("act", "void", ["char"]);
    process.stdin.on("data", (bytes) => {
      for (const byte of bytes) act(byte);
      process.stdout.write(bytes);
    });`;
  const library = workshop.make("libprobes.so", { source: "probes.c", link: ["-shared"] });

  test("is probed in the native library that it has loaded", async () => {
    using target = new Target(process.execPath, ["-e", SCRIPT, library]);
    await target.run("c");
    const offered = new USDT({ pid: target.pid })
      .enumerate_probes()
      .filter(({ provider }) => provider === "app");
    expect(offered.map((probe) => probe.name).sort()).toEqual(["both", "counted", "forms"]);
    using b = probed(
      { pid: target.pid },
      { "app:counted": "on_counted" },
      `BPF_HASH(sums, u32, u64);
      int on_counted(struct pt_regs *ctx) {
        int n = 0;
        bpf_usdt_readarg(1, ctx, &n);
        sums.increment(bpf_get_current_pid_tgid() >> 32, n);
        return 0;
      }`,
    );
    await target.run("ccc");
    expect(b.get_table<number, bigint>("sums").items()).toEqual([[target.pid, 3n * 77n]]);
  });
});

describe("what a program offers", () => {
  test("enumerate_probes lists providers, names, counters, places and arguments", () => {
    const usdt = new USDT({ path: moving });
    const probes = usdt.enumerate_probes();
    expect(probes.map((probe) => [probe.short_name(), probe.num_locations, probe.num_arguments])).toEqual([
      ["app:forms", 1, process.arch === "x64" ? 9 : 6],
      ["app:counted", 1, 1],
      ["app:both", 2, 2],
      ["lib:counted", 1, 1],
    ]);
    expect(probes.map(({ semaphore }) => semaphore !== 0)).toEqual([false, true, true, false]);
    expect(probes[2]!.get_location(1)!.get_argument(0)).toMatchObject({
      size: 4,
      signed: true,
      deref_offset: 0n,
    });
    expect(usdt.get_probe_arg_ctype("forms", 1)).toBe("uint64_t");
    expect(usdt.get_probe_arg_ctype("forms", 4)).toBe("int8_t");
  });

  test("get_text has the readers, and enumerate_active_probes what is enabled where", () => {
    const usdt = new USDT({ path: moving });
    expect(usdt.get_text()).toBe("");
    usdt.enable_probe({ probe: "lib:counted", fn_name: "f" });
    expect(usdt.get_text()).toContain("__rx_usdt_f(");
    expect(usdt.enumerate_active_probes()).toEqual([[moving, "f", expect.any(Number), -1]]);
  });
});

describe("mistakes", () => {
  test("a probe that is not there, and a name of two providers", () => {
    const usdt = new USDT({ path: fixed });
    const unknown = failure(UsageError, () => usdt.enable_probe("bath", "f"));
    expect(unknown.hint).toBe("did you mean both?");
    const other = failure(UsageError, () => usdt.enable_probe("quite:other", "f"));
    expect(other.hint).toBe("providers here: app, lib");
    const ambiguous = failure(UsageError, () => usdt.enable_probe("counted", "f"));
    expect(ambiguous.message).toContain("app, lib");
  });

  test("neither path nor pid, a file or process that is not there, a context that is none", () => {
    expect(failure(UsageError, () => new USDT({})).message).toContain("a path or a pid");
    failure(AttachError, () => new USDT({ path: "/no/such/file" }));
    failure(UsageError, () => new USDT({ pid: 2 ** 22 }));
    const wrong = ["probe"] as unknown as readonly USDT[];
    failure(UsageError, () => new BPF({ text: "", usdt_contexts: wrong }));
    const cookie = { probe: "both", fn_name: "f", cookie: 7 as unknown as bigint };
    const refused = failure(UsageError, () => new USDT({ path: fixed }).enable_probe(cookie));
    expect(refused.message).toBe('enable_probe: "cookie" must be a bigint, not 7');
  });

  const read = (call: string, enabled: Readonly<Record<string, string>>): RewriteError =>
    failure(RewriteError, () =>
      probed(
        { path: fixed },
        enabled,
        `int f(struct pt_regs *ctx) {\n  int n = 0;\n  ${call};\n  return n;\n}`,
      ),
    );

  test("reading where nothing is enabled, an argument that is not there, or one in a vector register", () => {
    const nothing = read("bpf_usdt_readarg(1, ctx, &n)", { both: "g" });
    expect(nothing.diagnostics[0]).toMatchObject({ code: "USDT_PROBE", line: 3, column: 3 });
    const third = read("bpf_usdt_readarg(3, ctx, &n)", { both: "f" });
    expect(third.diagnostics[0]).toMatchObject({ code: "USDT_ARGUMENT", line: 3, column: 20 });
    expect(third.diagnostics[0]!.message).toBe("app:both has arguments 1 to 2, not 3");
    if (process.arch !== "x64") return;
    expect(read("bpf_usdt_readarg(9, ctx, &n)", { forms: "f" }).diagnostics[0]!.message).toContain(
      "cannot read",
    );
  });
});
