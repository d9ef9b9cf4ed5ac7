import { describe, expect, test } from "vitest";
import { rewrite, type UsdtProgram } from "../../../rewriter/index.ts";

function program(reader: string, argumentCount: number, unreadable: readonly number[] = []): UsdtProgram {
  return { reader, probes: ["app:p"], argumentCount, unreadable };
}

function lowered(text: string, programs: Readonly<Record<string, UsdtProgram>> = {}) {
  const source = `# 1 "main.c"\n${text}\n`;
  return rewrite({
    text: source,
    originals: new Map([["main.c", text]]),
    usdtPrograms: new Map(Object.entries(programs)),
  });
}

describe("bpf_usdt_readarg", () => {
  test("becomes the reader of its program, and in a shared function the one for all", () => {
    const { text, diagnostics } = lowered(
      `static int shared(void *ctx) { int a; return bpf_usdt_readarg(1, ctx, &a); }
int f(void *ctx) { char b[8]; return bpf_usdt_readarg_p(2, ctx, &b, sizeof(b)) + shared(ctx); }`,
      { f: program("read_f", 2), "": program("read_any", 2) },
    );
    expect(diagnostics).toEqual([]);
    expect(text).toContain("bcc_usdt_readarg(read_any, (1), (ctx), (&a))");
    expect(text).toContain("bcc_usdt_readarg_p(read_f, (2), (ctx), (&b), (sizeof(b)))");
  });

  test("has beside it how many arguments there are, and the user's number", () => {
    const { text, diagnostics } = lowered(
      `static int shared(void *ctx) { return bpf_usdt_arg_cnt(ctx); }
int f(void *ctx) { return bpf_usdt_cookie(ctx) + shared(ctx); }`,
      { f: program("read_f", 0), "": program("read_any", 0) },
    );
    expect(diagnostics).toEqual([]);
    expect(text).toContain("return bcc_usdt_arg_cnt(read_any, (ctx));");
    expect(text).toContain("return bcc_usdt_cookie(read_f, (ctx)) +");
  });

  test("reads a pointer that leads into the process: members through it are read from there", () => {
    const { text } = lowered(
      "struct s { int member; };\nint f(void *ctx) { struct s *p = 0; bpf_usdt_readarg(1, ctx, &p); return p->member; }",
      { f: program("read_f", 1) },
    );
    expect(text).toContain("__rx_load_user(p->member)");
  });

  test("of the source's own is left alone", () => {
    const text =
      "static int bpf_usdt_readarg(int n) { return n; }\nint f(void *ctx) { return bpf_usdt_readarg(1); }";
    expect(lowered(text).diagnostics).toEqual([]);
  });

  test.each([
    ["bpf_usdt_readarg(1, ctx)", "USDT_ARGUMENT", "takes 3 arguments, not 2"],
    ["bpf_usdt_readarg_p(1, ctx, 0)", "USDT_ARGUMENT", "takes 4 arguments, not 3"],
    ["bpf_usdt_cookie(ctx, 1)", "USDT_ARGUMENT", "takes 1 argument, not 2"],
    ["bpf_usdt_readarg(0, ctx, &a)", "USDT_ARGUMENT", "app:p has arguments 1 to 2, not 0"],
    ["bpf_usdt_readarg(3, ctx, &a)", "USDT_ARGUMENT", "app:p has arguments 1 to 2, not 3"],
    ["bpf_usdt_readarg(2, ctx, &a)", "USDT_ARGUMENT", "cannot read"],
  ])("%s is a mistake", (call, code, message) => {
    const { diagnostics } = lowered(`int f(void *ctx) { int a; return ${call}; }`, {
      f: program("read_f", 2, [2]),
    });
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toMatchObject({ code, line: 1, severity: "error" });
    expect(diagnostics[0]!.message).toContain(message);
  });

  test("needs a probe that is enabled", () => {
    const { diagnostics } = lowered("int f(void *ctx) { int a; return bpf_usdt_readarg(1, ctx, &a); }", {
      "": program("read_any", 1),
      g: program("read_g", 1),
    });
    expect(diagnostics[0]).toMatchObject({ code: "USDT_PROBE", column: 34 });
  });
});
