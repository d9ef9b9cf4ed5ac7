import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findClang, OWN_TEXT, runClang } from "../../../framework/compile/clang.ts";
import { targetFlags } from "../../../framework/compile/flags.ts";
import { CompileError, CompilerMissingError } from "../../../framework/core/errors.ts";

let folder: string;
const before = process.env["RXBPF_CLANG"];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rxbpf-test-"));
});

afterEach(() => {
  if (before === undefined) delete process.env["RXBPF_CLANG"];
  else process.env["RXBPF_CLANG"] = before;
  rmSync(folder, { recursive: true, force: true });
});

const at = (file: string, line: number, column: number) => ({ file, line, column });
const check = [...targetFlags, "-fsyntax-only", "-x", "c", "-"];

/** A program of the test's own, which says it is a clang. */
function program(name: string, command: string, version = "clang version 17.0.3"): string {
  const path = join(folder, name);
  const text = `#!/bin/sh\nif [ "$1" = --version ]; then echo "${version}"; exit; fi\n${command}\n`;
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

function errorOf(run: () => unknown): CompileError {
  try {
    run();
  } catch (error) {
    if (error instanceof CompileError) return error;
    throw error;
  }
  throw new Error("there was no error");
}

describe("RXBPF_CLANG", () => {
  test("names the compiler", () => {
    const path = program("mine", "echo chosen");
    process.env["RXBPF_CLANG"] = path;
    const clang = findClang();
    expect(clang.command).toEqual([path]);
    expect(runClang(clang, [], "", at).stdout.toString()).toBe("chosen\n");
  });

  test("gives another identity to another compiler, and to a changed one", () => {
    process.env["RXBPF_CLANG"] = program("one", "echo 1");
    const first = findClang().identity;
    process.env["RXBPF_CLANG"] = program("two", "echo 1");
    expect(findClang().identity).not.toBe(first);
    process.env["RXBPF_CLANG"] = program("one", "echo 1 2");
    expect(findClang().identity).not.toBe(first);
  });

  test.each([
    ["a file that is not there", () => join(folder, "nowhere")],
    ["a folder", () => folder],
    [
      "a file that cannot be run",
      () => {
        const path = program("text", "");
        chmodSync(path, 0o644);
        return path;
      },
    ],
    ["a program that is no clang", () => program("other", "", "gcc (Debian 12.2.0-14) 12.2.0")],
    ["a program that says nothing", () => program("silent", "", "")],
    ["a clang that is too old", () => program("old", "", "Debian clang version 11.0.1-2")],
  ])("that names %s is refused", (_, make) => {
    const path = make();
    process.env["RXBPF_CLANG"] = path;
    const error = errorOf(findClang);
    expect(error).toBeInstanceOf(CompilerMissingError);
    expect(error.code).toBe("NO_COMPILER");
    expect(error.message).toContain(path);
    expect(error.hint).toBeDefined();
  });

  test.each([
    "clang version 12.0.0",
    "Debian clang version 14.0.6",
    "Ubuntu clang version 18.1.3 (1ubuntu1)",
  ])("may name one that says it is %s", (version) => {
    process.env["RXBPF_CLANG"] = program("fine", "", version);
    expect(findClang().command).toEqual([join(folder, "fine")]);
  });

  test("that is empty is as if it were not there", () => {
    process.env["RXBPF_CLANG"] = "";
    expect(findClang().command[0]).not.toBe("");
  });
});

test("without any compiler the error says what to install", () => {
  // The bundled compiler is found beside this library, so the search runs where nothing is.
  const file = fileURLToPath(new URL("../../../framework/compile/clang.ts", import.meta.url));
  const loader = import.meta.resolve("tsx");
  const script = `
    const { syncBuiltinESMExports, createRequire } = await import("node:module");
    const fs = createRequire(${JSON.stringify(file)})("node:fs");
    const real = fs.accessSync;
    fs.accessSync = (path, mode) => { if (/zig|clang/.test(String(path))) throw new Error("not here"); real(path, mode); };
    syncBuiltinESMExports();
    const { findClang } = await import(${JSON.stringify(file)});
    try { findClang(); } catch (error) { console.log(JSON.stringify([error.code, error.message, error.hint])); }`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", loader, "--input-type=module", "-e", script],
    {
      encoding: "utf8",
      env: { ...process.env, RXBPF_CLANG: "" },
    },
  );
  expect(stderr).toBe("");
  const [code, message, hint] = JSON.parse(stdout) as string[];
  expect(code).toBe("NO_COMPILER");
  expect(message).toContain("clang");
  expect(hint).toMatch(/@oven\/zig.*clang 12.*RXBPF_CLANG/);
});

describe("a compiler's run", () => {
  test("gives what it wrote and its warnings", () => {
    const text = "int f(int a) { if (a = 1) return 2; return 3; }\n";
    const args = [
      "-target",
      "bpf",
      "-fno-color-diagnostics",
      "-fsyntax-only",
      "-Wno-everything",
      "-Wparentheses",
      "-x",
      "c",
      "-",
    ];
    expect(runClang(findClang(), args, text, at).diagnostics).toMatchObject([
      { severity: "warning", line: 1, column: 22 },
      { severity: "note" },
      { severity: "note" },
    ]);
  });

  test("that fails has every error, its command and what it printed", () => {
    const error = errorOf(() =>
      runClang(findClang(), check, '# 5 "t.c"\nint a = nope;\nint b = nope2;\n', at),
    );
    expect(error.message).toMatch(/^t\.c:5:9: /);
    expect(error.diagnostics.map((finding) => [finding.line, finding.column])).toEqual([
      [5, 9],
      [6, 9],
    ]);
    expect(error.command).toEqual([...findClang().command, ...check]);
    expect(error.stderr).toContain("t.c:6:9: error:");
  });

  test("has its positions turned into the user's", () => {
    const turned = () => ({ file: "user.c", line: 77, column: 8 });
    expect(
      errorOf(() => runClang(findClang(), check, "int a = nope;\n", turned)).diagnostics[0],
    ).toMatchObject(turned());
  });

  test("does not show what is wrong in text that nobody can look at", () => {
    const error = errorOf(() => runClang(findClang(), check, `# 1 "${OWN_TEXT}"\nint a = nope;\n`, at));
    expect(error.diagnostics).toEqual([]);
    expect(error.message).toContain("clang failed");
  });

  test("of a program that cannot start says so", () => {
    const error = errorOf(() => runClang({ command: [join(folder, "nowhere")], identity: "" }, [], "", at));
    expect(error.message).toContain("cannot run");
    expect(error.cause).toBeDefined();
  });

  test("of a program that dies says so", () => {
    const path = program("dies", "cat >/dev/null; kill -9 $$");
    expect(errorOf(() => runClang({ command: [path], identity: "" }, [], "", at)).message).toMatch(
      /clang failed.*SIGKILL/,
    );
  });

  test("of a program that is no clang says what that printed", () => {
    const path = program("wrong", "cat >/dev/null; echo 'what is this?' >&2; exit 3");
    expect(errorOf(() => runClang({ command: [path], identity: "" }, [], "", at)).message).toContain(
      "what is this?",
    );
  });

  test("of a program that reads nothing is no trouble", () => {
    const path = program("deaf", "echo done");
    expect(runClang({ command: [path], identity: "" }, [], "x".repeat(4_000_000), at).stdout.toString()).toBe(
      "done\n",
    );
  });
});

test("a wrong flag is told as the compiler tells it, also when the source is long", () => {
  const error = errorOf(() =>
    runClang(findClang(), ["-fno-such-flag", ...check], `int a;${" ".repeat(2_000_000)}`, at),
  );
  expect(error.message).toContain("no-such-flag");
});

describe("hints", () => {
  test("for a helper that is misspelt name the nearest", () => {
    const text = "int f(void) { return bpf_get_curent_pid_tgid(); }\n";
    const error = errorOf(() =>
      runClang(findClang(), [...check, "-Werror=implicit-function-declaration"], text, at),
    );
    expect(error.hint).toContain("bpf_get_current_pid_tgid");
  });
});
