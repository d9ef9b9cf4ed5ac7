import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { CompileError, RewriteError } from "../../../framework/index.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

/** A source, and the whole message that it gives. */
type Case = readonly [name: string, source: readonly string[], message: readonly string[]];

const HASH_METHODS =
  "lookup, lookup_or_try_init, lookup_or_init, update, insert, delete, increment, atomic_increment, for_each_map_elem";

const rewriteErrors: readonly Case[] = [
  [
    "a table that is not declared",
    ["BPF_HASH(counts, u32);", "int f(void *ctx) {", "    count.increment(1);", "    return 0;", "}"],
    [
      'main.c:3:5: error: no table "count" is declared',
      "      count.increment(1);",
      "      ^",
      "  hint: did you mean counts?",
    ],
  ],
  [
    "a method that no table has, behind a tab",
    ["BPF_HASH(counts, u32);", "int f(void *ctx) {", "\tcounts.incremnt(1);", "\treturn 0;", "}"],
    [
      'main.c:3:9: error: tables have no method "incremnt"',
      "  \tcounts.incremnt(1);",
      "  \t       ^",
      "  hint: did you mean increment?",
    ],
  ],
  [
    "a method that tables of this kind do not have",
    [
      "BPF_HASH(counts, u32);",
      "int f(void *ctx) {",
      "    u32 x = 1;",
      "    counts.perf_submit(ctx, &x, 4);",
      "    return 0;",
      "}",
    ],
    [
      'main.c:4:12: error: "perf_submit" is not available on hash tables such as "counts"',
      "      counts.perf_submit(ctx, &x, 4);",
      "             ^",
      `  hint: counts has ${HASH_METHODS}`,
    ],
  ],
  [
    "too few arguments of a method",
    ["BPF_HASH(counts, u32);", "int f(void *ctx) {", "    counts.update(1);", "    return 0;", "}"],
    ["main.c:3:12: error: update takes 2 arguments, not 1", "      counts.update(1);", "             ^"],
  ],
  [
    "too many arguments of a declaring macro",
    ["BPF_HASH(counts, u32, u64, 10, 5);", "int f(void *ctx) { return 0; }"],
    [
      "main.c:1:1: error: BPF_HASH takes 1 to 4 arguments, not 5",
      "  BPF_HASH(counts, u32, u64, 10, 5);",
      "  ^",
      "  hint: BPF_HASH(name, key, value, entries)",
    ],
  ],
  [
    "a table kind that there is none of",
    ['BPF_TABLE("hush", u32, u64, t, 10);', "int f(void *ctx) { return 0; }"],
    [
      'main.c:1:1: error: BPF_TABLE: no table kind "hush"',
      '  BPF_TABLE("hush", u32, u64, t, 10);',
      "  ^",
      "  hint: did you mean hash?",
    ],
  ],
  [
    "a table declared twice",
    ["BPF_HASH(t);", "BPF_ARRAY(t);", "int f(void *ctx) { return 0; }"],
    ['main.c:2:1: error: table "t" is declared twice', "  BPF_ARRAY(t);", "  ^"],
  ],
  [
    "a declaring macro that is not closed",
    ["BPF_HASH(counts, u32", "int f(void *ctx) { return 0; }"],
    ["main.c:1:1: error: BPF_HASH( has no closing bracket", "  BPF_HASH(counts, u32", "  ^"],
  ],
  [
    "an unknown method inside of a macro, at the macro's use",
    [
      "BPF_HASH(counts, u32);",
      "#define COUNT(k) counts.incremnt(k)",
      "int f(void *ctx) {",
      "    COUNT(1);",
      "    return 0;",
      "}",
    ],
    [
      'main.c:4:5: error: tables have no method "incremnt"',
      "      COUNT(1);",
      "      ^",
      "  hint: did you mean increment?",
    ],
  ],
  [
    "a format that is no literal",
    ["int f(void *ctx) {", '    const char *s = "x";', "    bpf_trace_printk(s);", "    return 0;", "}"],
    [
      "main.c:3:5: error: the format of bpf_trace_printk must be a string literal",
      "      bpf_trace_printk(s);",
      "      ^",
      "  hint: or give the size as well: bpf_trace_printk(format, sizeof(format), ...)",
    ],
  ],
  [
    "two mistakes at once",
    ["BPF_ARRAY(t);", "int f(void *ctx) {", "    t.foo(1);", "    t.lookup();", "    return 0;", "}"],
    [
      'main.c:3:7: error: tables have no method "foo"',
      "      t.foo(1);",
      "        ^",
      "  hint: t has lookup, lookup_or_try_init, lookup_or_init, update, insert, increment, atomic_increment, for_each_map_elem",
      "main.c:4:7: error: lookup takes 1 argument, not 0",
      "      t.lookup();",
      "        ^",
    ],
  ],
];

const compileErrors: readonly Case[] = [
  [
    "a missing semicolon",
    ["int f(void *ctx) {", "    int x = 1", "    return x;", "}"],
    ["main.c:2:14: error: expected ';' at end of declaration", "      int x = 1", "               ^"],
  ],
  [
    "a name that is not declared, inside of a method's argument",
    ["BPF_HASH(counts);", "int f(void *ctx) {", "    counts.increment(kye);", "    return 0;", "}"],
    [
      "main.c:3:22: error: use of undeclared identifier 'kye'",
      "      counts.increment(kye);",
      "                       ^",
    ],
  ],
  [
    "a name behind letters that take several bytes, and behind another method",
    [
      "BPF_HASH(counts, u32);",
      "int f(void *ctx) {",
      "    /* ünïcode */ counts.increment(1); counts.lookup(&nokey);",
      "    return 0;",
      "}",
    ],
    [
      "main.c:3:55: error: use of undeclared identifier 'nokey'",
      "      /* ünïcode */ counts.increment(1); counts.lookup(&nokey);",
      "                                                        ^",
    ],
  ],
  [
    "a name that is not declared inside of a macro, at the macro's use",
    [
      "BPF_HASH(counts, u32);",
      "#define COUNT(k) counts.increment(k + nothere)",
      "int f(void *ctx) {",
      "    COUNT(1);",
      "    return 0;",
      "}",
    ],
    ["main.c:4:5: error: use of undeclared identifier 'nothere'", "      COUNT(1);", "      ^"],
  ],
  [
    "a helper that there is none of",
    ["int f(void *ctx) {", "    return bpf_get_curent_pid_tgid();", "}"],
    [
      "main.c:2:12: error: call to undeclared function 'bpf_get_curent_pid_tgid'; ISO C99 and later do not support implicit function declarations [-Wimplicit-function-declaration]",
      "      return bpf_get_curent_pid_tgid();",
      "             ^",
      "  hint: did you mean bpf_get_current_pid_tgid, bpf_get_current_uid_gid or bpf_get_ns_current_pid_tgid?",
    ],
  ],
  [
    "a member that a kernel struct does not have",
    [
      "#include <linux/sched.h>",
      "int f(void *ctx) {",
      "    struct task_struct *t = 0;",
      "    return t->nosuch;",
      "}",
    ],
    [
      "main.c:4:15: error: no member named 'nosuch' in 'struct task_struct'",
      "      return t->nosuch;",
      "                ^",
    ],
  ],
  [
    "a field that a tracepoint does not have",
    ["TRACEPOINT_PROBE(sched, sched_process_exec) {", "    return args->nosuch;", "}"],
    [
      "main.c:2:18: error: no member named 'nosuch' in 'struct tracepoint__sched__sched_process_exec'",
      "      return args->nosuch;",
      "                   ^",
    ],
  ],
  [
    "a bracket that is missing at the end",
    ["int f(void *ctx) {", "    return 0;", ""],
    ["main.c:2:14: error: expected '}'", "      return 0;", "               ^"],
  ],
  [
    "more stack than there is, once",
    ["int f(void *ctx) {", "    volatile char big[600] = {};", "    return big[3];", "}"],
    [
      "main.c:1:5: error: Looks like the BPF stack limit is exceeded. Please move large on stack variables into BPF per-cpu array map. For non-kernel uses, the stack can be increased using -mllvm -bpf-stack-size.",
      "  int f(void *ctx) {",
      "      ^",
    ],
  ],
  [
    "a conditional without an end, which the preprocessor finds",
    ["#if 1", "int f(void *ctx) { return 0; }"],
    ["main.c:1:2: error: unterminated conditional directive", "  #if 1", "   ^"],
  ],
];

describe("a mistake in the source is shown at the user's line", () => {
  beforeEach((context) => needsKernel(context));

  test.each(rewriteErrors)("%s", (_, source, message) => {
    const error = failure(RewriteError, () => open(source.join("\n")));
    expect(error.code).toBe("REWRITE");
    expect(error.message.split("\n")).toEqual(message);
  });

  test.each(compileErrors)("%s", (_, source, message) => {
    const error = failure(CompileError, () => open(source.join("\n")));
    expect(error.code).toBe("COMPILE");
    expect(error.message.split("\n")).toEqual(message);
  });

  test("a compiler's error keeps its command and all it said", () => {
    const error = failure(CompileError, () => open("int f(void *ctx) { return x; }"));
    expect(error.command.join(" ")).toContain("-target bpf");
    expect(error.stderr).toContain("use of undeclared identifier 'x'");
    expect(error.diagnostics).toEqual([
      expect.objectContaining({ file: "main.c", line: 1, column: 27, severity: "error" }),
    ]);
  });

  test("a mistake in an included file is shown in that file", () => {
    const folder = mkdtempSync(join(tmpdir(), "rxbpf-"));
    try {
      writeFileSync(join(folder, "own.h"), "static int twice(int x) {\n  return x * tow;\n}\n");
      writeFileSync(join(folder, "main.c"), '#include "own.h"\nint f(void *ctx) { return twice(1); }\n');
      const error = failure(CompileError, () =>
        open("", { src_file: join(folder, "main.c"), text: undefined } as never),
      );
      expect(error.message.split("\n").slice(0, 3)).toEqual([
        `${join(folder, "own.h")}:2:14: error: use of undeclared identifier 'tow'`,
        "    return x * tow;",
        "               ^",
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
