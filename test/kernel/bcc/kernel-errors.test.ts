import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { BPF, LayoutError, MapError, VerifierError } from "../../../framework/index.ts";
import { run, SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

function rejected(source: readonly string[], type: number = BPF.RAW_TRACEPOINT): VerifierError {
  using b = open(source.join("\n"));
  return failure(VerifierError, () => b.load_func("f", type));
}

describe("a program that the verifier rejects", () => {
  beforeEach((context) => needsKernel(context));

  test("is shown at the user's line, with the reason, a hint, and the whole log", () => {
    const error = rejected([
      "BPF_HASH(t, u32, u64);",
      `int f(${CTX}) {`,
      "    u32 key = 1;",
      "    u64 *v = t.lookup(&key);",
      "    *v += 1;",
      "    return 0;",
      "}",
    ]);
    expect(error.code).toBe("VERIFIER");
    expect(error.message).toMatch(
      /^main\.c:5:5: error: program "f" was rejected: R\d invalid mem access 'map_value_or_null' \(\d+ lines left out\)\n {6}\*v \+= 1;\n {6}\^$/,
    );
    expect(error.hint).toBe("check the pointer for NULL before using it: a lookup can miss");
    expect(error.at).toEqual({ file: "main.c", line: 5, column: 5 });
    expect(error.program).toBe("f");
    expect(error.log.split("\n").length).toBeGreaterThan(8);
    expect(error.log).toContain("processed");
  });

  test("is shown at a macro's use when the reason lies inside of it", () => {
    const error = rejected([
      "BPF_HASH(t, u32, u64);",
      "#define ADD(k) do { u64 *v = t.lookup(&k); *v += 1; } while (0)",
      `int f(${CTX}) {`,
      "    u32 key = 1;",
      "    ADD(key);",
      "    return 0;",
      "}",
    ]);
    expect(error.message.split("\n").slice(1)).toEqual(["      ADD(key);", "      ^"]);
  });

  test.each([
    [
      "an endless loop",
      [`int f(${CTX}) {`, "    volatile u32 i = 0;", "    while (1) { i++; }", "    return i;", "}"],
      /: error: program "f" was rejected: .*(infinite loop|back-edge)/,
      /loops need a constant bound/,
    ],
    [
      "an index without a bound",
      [
        "struct v { char a[16]; };",
        "BPF_ARRAY(t, struct v, 1);",
        `int f(${CTX}) {`,
        "    int zero = 0;",
        "    struct v *v = t.lookup(&zero);",
        "    if (!v) return 0;",
        "    return v->a[ctx->args[0]];",
        "}",
      ],
      /main\.c:7:\d+: error: program "f" was rejected: /,
      /bound the index or length first/,
    ],
    [
      "a store to any address",
      [`int f(${CTX}) {`, "    volatile char *p = (void *)100;", "    *p = 1;", "    return 0;", "}"],
      /main\.c:3:\d+: error: program "f" was rejected: R\d invalid mem access/,
      /bpf_probe_read_kernel/,
    ],
    [
      "an argument that the context does not have",
      [`int f(${CTX}) {`, "    return ctx->args[14];", "}"],
      /main\.c:2:\d+: error: program "f" was rejected: invalid bpf_context access/,
      /this field of the context is not readable/,
    ],
  ])("%s: the reason and a hint", (_, source, message, hint) => {
    const error = rejected(source);
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
  });

  test("fails the constructor when it attaches by its name", () => {
    const error = failure(VerifierError, () =>
      open(
        "TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) {\n    volatile char *q = (void *)100;\n    *q = 1;\n    return 0;\n}",
      ),
    );
    expect(error.program).toBe("tracepoint__syscalls__sys_enter_rmdir");
    expect(error.message.split("\n")[1]).toBe("      *q = 1;");
  });
});

describe("tables", () => {
  beforeEach((context) => needsKernel(context));

  test("a full table is a MAP_FULL error with its size and a hint, and keeps what it has", () => {
    using b = open("BPF_HASH(t, u32, u64, 2); int f(void *ctx) { return 0; }");
    const t = b.get_table<number, bigint>("t");
    t.set(1, 1n).set(2, 2n);
    const error = failure(MapError, () => t.set(3, 3n));
    expect([error.code, error.message]).toEqual(["MAP_FULL", 'table "t" is full (2 entries)']);
    expect(error.hint).toContain("more entries");
    t.set(1, 10n);
    expect([...t.items()].sort()).toEqual([
      [1, 10n],
      [2, 2n],
    ]);
  });

  test.each([
    ["a text for a number", "u32", "12", 'key of "t": must be a whole number from 0 to 4294967295, not "12"'],
    [
      "a number that is too large",
      "u32",
      2 ** 32,
      'key of "t": must be a whole number from 0 to 4294967295, not 4294967296',
    ],
    [
      "a negative number for an unsigned type",
      "u8",
      -1,
      'key of "t": must be a whole number from 0 to 255, not -1',
    ],
    ["a fraction", "s32", 1.5, 'key of "t": must be a whole number from -2147483648 to 2147483647, not 1.5'],
    [
      "a fraction for 64 bits",
      "u64",
      1.5,
      'key of "t": must be a bigint from 0 to 18446744073709551615, not 1.5',
    ],
    [
      "a text that is too long",
      "struct k",
      { pid: 1, name: "abcde" },
      'key of "t": field "name" must be a string of at most 4 bytes, not "abcde"',
    ],
    [
      "a wrong field",
      "struct k",
      { pid: "12", name: "a" },
      'key of "t": field "pid" must be a whole number from 0 to 4294967295, not "12"',
    ],
    [
      "an unknown field",
      "struct k",
      { pid: 1, nam: "a" },
      'key of "t": field "nam" is not a field of struct k',
    ],
  ])("%s as key is a LAYOUT error that names table and field", (_, type, key, message) => {
    using b = open(
      `struct k { u32 pid; char name[4]; }; BPF_HASH(t, ${type}, u64); int f(void *ctx) { return 0; }`,
    );
    const error = failure(LayoutError, () => b.get_table<unknown, bigint>("t").set(key, 1n));
    expect([error.code, error.message]).toEqual(["LAYOUT", message]);
    expect(error.hint).toMatch(
      type === "struct k" && message.includes('nam" is') ? /did you mean name/ : `of type ${type}`,
    );
  });

  test("a wrong value is a LAYOUT error too", () => {
    using b = open("BPF_HASH(t, u32, s64); int f(void *ctx) { return 0; }");
    const error = failure(LayoutError, () => b.get_table<number, unknown>("t").set(1, "many"));
    expect(error.message).toContain('value of "t": must be a bigint');
  });

  test("a size that the kernel refuses is a MAP_CREATE error with a hint", () => {
    const none = failure(MapError, () => open("BPF_HASH(t, u32, u64, 0); int f(void *ctx) { return 0; }"));
    expect([none.code, none.hint]).toEqual(["MAP_CREATE", "give the table a size"]);
  });

  test("a ring buffer whose pages are no power of two is a MAP_CREATE error with a hint", (context) => {
    needsKernel(context, "ringbuf");
    const odd = failure(MapError, () => open("BPF_RINGBUF_OUTPUT(t, 3); int f(void *ctx) { return 0; }"));
    expect([odd.code, odd.hint]).toEqual([
      "MAP_CREATE",
      "a ring buffer's size is a power of two and a multiple of the page size",
    ]);
  });

  test("a prog array refuses programs of another type than its first, and what is no program", () => {
    using b = open(`BPF_PROG_ARRAY(t, 3); int f(void *ctx) { return 0; }
      int g(${CTX}) { t.call(ctx, 1); return 0; }`);
    run(b, "g");
    const t = b.get_table<number, number>("t");
    const other = failure(MapError, () => t.set(1, b.load_func("f", BPF.KPROBE)));
    expect(other.message).toBe('cannot write to table "t": the program does not go with the others (EINVAL)');
    expect(other.hint).toContain("of one type");
    const none = failure(MapError, () => t.set(1, 99_999));
    expect(none.message).toBe('cannot write to table "t": the value is no open program (EBADF)');
  });
});

describe("without privileges", { timeout: SCRIPT_TIMEOUT_MS }, () => {
  beforeEach((context) => {
    needsKernel(context);
    if (process.getuid?.() !== 0) context.skip("only root can give up its privileges");
  });

  test("a script ends with a PERMISSION error and a hint", () => {
    const folder = mkdtempSync(join(tmpdir(), "rxbpf-"));
    chmodSync(folder, 0o755);
    try {
      const script = join(folder, "script.ts");
      writeFileSync(
        script,
        'import { BPF } from "rxbpf";\nnew BPF({ runtime: "kernel", text: "int f(void *ctx) { return 0; }" });\n',
      );
      const command = [
        process.execPath,
        fileURLToPath(new URL("../../../framework/cli/rxbpf.js", import.meta.url)),
        "run",
        script,
      ];
      const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
      const child = spawnSync("setpriv", [...nobody, ...command], {
        encoding: "utf8",
        cwd: folder,
        env: { ...process.env, HOME: folder, RXBPF_CACHE: "" },
      });
      expect(child.stderr).toBe(
        [
          "PermissionError: the running kernel cannot be used: this process lacks CAP_BPF",
          '  hint: run as root, or give node CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: setcap cap_bpf,cap_perfmon,cap_net_admin+ep $(command -v node); or use { runtime: "machine" }, which sees the commands that it starts',
          "",
        ].join("\n"),
      );
      expect(child.status).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("signals that come all the time", () => {
  beforeEach((context) => needsKernel(context));

  test("as a profiler's do, let a long verification come to its end", { timeout: SCRIPT_TIMEOUT_MS }, () => {
    const folder = mkdtempSync(join(tmpdir(), "rxbpf-signals-"));
    try {
      const script = join(folder, "long.ts");
      const source = `int f(${CTX}) {
        u32 k = 0;
        for (int i = 0; i < 8000; i++) { k += bpf_get_prandom_u32(); if (k & 8) k ^= 3; }
        return k; }`;
      writeFileSync(
        script,
        `import { BPF } from "rxbpf";
        using b = new BPF({ runtime: "kernel", text: ${JSON.stringify(source)} });
        b.load_func("f", BPF.RAW_TRACEPOINT);
        console.log("loaded");`,
      );
      const profiling = ["--cpu-prof", "--cpu-prof-dir", folder, "--cpu-prof-interval", "100"];
      const rxbpf = fileURLToPath(new URL("../../../framework/cli/rxbpf.js", import.meta.url));
      const child = spawnSync(process.execPath, [...profiling, rxbpf, "run", script], { encoding: "utf8" });
      expect([child.stdout, child.stderr, child.status]).toEqual(["loaded\n", "", 0]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
