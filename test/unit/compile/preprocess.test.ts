import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findClang } from "../../../framework/compile/clang.ts";
import { gatherFiles, preprocess, type Source } from "../../../framework/compile/preprocess.ts";
import { CompileError } from "../../../framework/core/errors.ts";
import { fixtureKernel, lowerText } from "../rewriter/lowering.ts";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "rxbpf-test-"));
  mkdirSync(join(folder, "include/deep"), { recursive: true });
  mkdirSync(join(folder, "a folder"));
  const files: Record<string, string> = {
    "beside.h": '#define BESIDE 1\n#include "include/deep/deep.h"\n',
    "include/named.h": "#define NAMED 2\n",
    "include/deep/deep.h": '#include "../named.h"\n#define DEEP 3\n',
    "include/linux/sched.h": "#define OWN_SCHED 4\n",
    "a folder/spaced.h": "#define SPACED 5\n",
    "broken.h": "int ok;\nint broken = nope;\n",
    "loop.h": '#ifndef LOOP\n#define LOOP\n#include "loop.h"\n#endif\n',
  };
  mkdirSync(join(folder, "include/linux"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sourceOf = (text: string, cflags: readonly string[] = []): Source => ({
  file: "t.c",
  text,
  folder,
  cflags,
});

/** The last line that preprocessing leaves of a source. */
function lastLine(text: string, cflags: readonly string[] = []): string {
  const source = sourceOf(text, cflags);
  const lines = preprocess(findClang(), source, gatherFiles(source), fixtureKernel).split("\n");
  return (
    lines
      .slice(0, lines.indexOf('# 1 "<licence>"'))
      .filter((line) => !line.startsWith("#"))
      .at(-1) ?? ""
  );
}

function errorOf(text: string, cflags: readonly string[] = []): CompileError {
  try {
    lastLine(text, cflags);
  } catch (error) {
    if (error instanceof CompileError) return error;
    throw error;
  }
  throw new Error("there was no error");
}

describe("headers of the kernel are there whatever their names", () => {
  test.each([
    "#include <linux/sched.h>",
    "#include <linux/no-such/header_at_all.h>",
    "#include <net/nothing.h>",
    "#include <uapi/linux/ptrace.h>",
    "#include <asm/whatever.h>",
    "#include <asm-generic/x.h>",
    '#include "linux/quoted.h"',
    "#include <bcc/proto.h>",
    "#include <bpf/bpf_helpers.h>",
    "#include <bpf/bpf_tracing.h>",
    "#include <vmlinux.h>",
    '#include "vmlinux.h"',
    "#include <stdint.h>",
    "#  include<linux/blkdev.h>",
    "\t#include\t<linux/fs.h> // why",
    "#include <linux/sched.h>\n#include <linux/sched.h>",
    "#include <linux/../linux/sched.h>",
  ])("%s", (include) => {
    expect(lastLine(`${include}\nint last;\n`)).toBe("int last;");
  });

  test("also when a header of the user includes them", () => {
    writeFileSync(
      join(folder, "kernel.h"),
      "#include <linux/any/thing.h>\n#include <net/sock.h>\n#define KERNEL 6\n",
    );
    expect(lastLine('#include "kernel.h"\nint last = KERNEL;\n')).toBe("int last = 6;");
  });

  test("but one of the user's of that name comes first", () => {
    expect(lastLine("#include <linux/sched.h>\nint last = OWN_SCHED;\n", [`-I${folder}/include`])).toBe(
      "int last = 4;",
    );
  });
});

describe("headers of the user", () => {
  test.each([
    ["beside the source", '#include "beside.h"\nint last = BESIDE + DEEP + NAMED;\n', []],
    ["of a path with dots", '#include "./include/../beside.h"\nint last = BESIDE + DEEP + NAMED;\n', []],
  ])("%s", (_, text, cflags) => {
    expect(lastLine(text, cflags)).toBe("int last = 1 + 3 + 2;");
  });

  test("in a folder of -I, in one word or two, also relative or with a blank", () => {
    const near = relative(process.cwd(), join(folder, "include"));
    for (const cflags of [
      [`-I${folder}/include`],
      ["-I", `${folder}/include`],
      [`-I${near}`],
      ["-I", near],
    ]) {
      expect(lastLine("#include <named.h>\nint last = NAMED;\n", cflags)).toBe("int last = 2;");
    }
    expect(lastLine("#include <spaced.h>\nint last = SPACED;\n", ["-I", `${folder}/a folder`])).toBe(
      "int last = 5;",
    );
  });

  test("that include themselves end", () => {
    expect(lastLine('#include "loop.h"\nint last;\n')).toBe("int last;");
  });

  test("are among the texts by the names that messages give them", () => {
    const source = sourceOf('#include "./include/deep/../deep/deep.h"\nint last;\n');
    const files = gatherFiles(source);
    const text = preprocess(findClang(), source, files, fixtureKernel);
    const marked = [...text.matchAll(/^# \d+ "([^"]*\.h)"/gm)].map((match) => match[1]!);
    const own = [...new Set(marked)].filter((name) => name.startsWith(folder));
    expect(own).toEqual([join(folder, "include/deep/deep.h"), join(folder, "include/named.h")]);
    expect(own.filter((name) => !files.texts.has(name))).toEqual([]);
  });

  test("are shown with the line where they are wrong", () => {
    const { shown } = lowerText(
      '#include "./broken.h"\nBPF_HASH(counts);\nint f(void *c) { counts.nope(); return 0; }\n',
      { folder },
    );
    expect(shown).toContain('tables have no method "nope"');
  });

  test("that are not there are an error at the include, with a hint", () => {
    const { diagnostics } = errorOf('int a;\n\n#include "nowhere.h"\n');
    expect(diagnostics).toMatchObject([{ file: "t.c", line: 3, column: 10, severity: "error" }]);
    expect(diagnostics[0]?.hint).toContain("-I");
  });

  test("that are folders are an error at the include", () => {
    expect(errorOf('#include "include"\n').diagnostics).toMatchObject([
      { file: "t.c", line: 1, severity: "error" },
    ]);
  });

  test("that are not there do no harm where they are not reached", () => {
    expect(lastLine('#if 0\n#include "nowhere.h"\n#endif\nint last;\n')).toBe("int last;");
  });
});

describe("what a source may test", () => {
  test.each([
    ["the kernel's version", "#if LINUX_VERSION_CODE == KERNEL_VERSION(6, 1, 0)"],
    ["the machine", "#if defined(__x86_64__) && defined(__TARGET_ARCH_x86) && !defined(__aarch64__)"],
    ["the page size", "#if PAGE_SIZE == 4096"],
    ["the kernel's configuration", "#if defined(CONFIG_NET_NS) && !defined(CONFIG_NOTHING)"],
    ["how system calls get their arguments", "#ifdef CONFIG_ARCH_HAS_SYSCALL_WRAPPER"],
    ["flags of the user", "#if GIVEN == 3 && !defined(TAKEN)"],
    ["the compiler's words", "#if defined(__BPF__) && defined(__BPF_TRACING__) && defined(__KERNEL__)"],
  ])("%s", (_, condition) => {
    const text = `${condition}\nint last = 1;\n#else\nint last = 2;\n#endif\n`;
    expect(lastLine(text, ["-DGIVEN=3", "-DTAKEN", "-UTAKEN"])).toBe("int last = 1;");
  });
});

test("macros that repeat themselves without measure are an error, and soon", () => {
  const tenfold = Array.from({ length: 9 }, (_, i) => `#define M${i + 1} ${`M${i} `.repeat(10)}\n`).join("");
  expect(() => lowerText(`#define M0 "a text"\n${tenfold}const char text[] = M9;\n`)).toThrow(
    expect.objectContaining({
      code: "COMPILE",
      message: "what becomes of the source is larger than 16 MB",
      hint: expect.stringContaining("macro"),
    }),
  );
});

test("mistakes of the preprocessor's are at their lines", () => {
  const { diagnostics, message } = errorOf("int a;\n#if\nint b;\n");
  expect(diagnostics.map((finding) => [finding.file, finding.line])).toContainEqual(["t.c", 2]);
  expect(message).toContain("t.c:2:");
});

test("a source without a line's end at its end keeps its last line", () => {
  expect(lastLine("int last;")).toBe("int last;");
});

test.each(["int a;\n", "#error no\n"])(
  "nothing is left in the folder for temporary files after %j",
  (text) => {
    const place = mkdtempSync(join(folder, "tmp-"));
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = place;
    try {
      lastLine(`#include <linux/sched.h>\n${text}`);
    } catch (error) {
      expect(error).toBeInstanceOf(CompileError);
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    }
    expect(readdirSync(place)).toEqual([]);
  },
);
