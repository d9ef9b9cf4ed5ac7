import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BpfError } from "../../../framework/core/errors.ts";
import { rewrite } from "../../../rewriter/index.ts";
import { tokenize } from "../../../rewriter/lexer.ts";
import { fixtureNames, fixturesFolder } from "../../support/fixtures.ts";
import { compileText, lowerText } from "./lowering.ts";
import { Random } from "./random.ts";

const texts = fixtureNames("rewriter", ".in.c").map((name) =>
  readFileSync(join(fixturesFolder, "rewriter", `${name}.in.c`), "utf8"),
);

/** Rewrites a text as if the preprocessor had left it alone. */
function rewriteOnly(text: string) {
  const lines = text.replace(/^[ \t]*#.*$/gm, "");
  return rewrite({ text: `# 1 "t.c"\n${lines}`, originals: new Map([["t.c", text]]) });
}

/** Every position of a result, so that none is left unasked. */
function positionsOf({ diagnostics, functions, tracepoints }: ReturnType<typeof rewriteOnly>) {
  return [
    ...diagnostics,
    ...functions.map((item) => item.position),
    ...tracepoints.map((item) => item.position),
  ];
}

function expectSane(text: string): void {
  const result = rewriteOnly(text);
  const lineCount = text.split("\n").length;
  const astray = positionsOf(result).find(
    ({ file, line, column }) => file !== "t.c" || line < 1 || line > lineCount + 1 || column < 1,
  );
  expect(astray).toBeUndefined();
  // Whatever a source says, its lines stay where they are.
  expect(result.text.split("\n").length).toBeGreaterThanOrEqual(lineCount + 1);
}

function shuffled(text: string, random: Random): string {
  const words = tokenize(text).map(({ start, end }) => text.slice(start, end));
  for (let swaps = 1 + random.below(words.length); swaps > 0; swaps--) {
    const a = random.below(words.length);
    const b = random.below(words.length);
    [words[a], words[b]] = [words[b]!, words[a]!];
  }
  return words.map((word) => (random.below(9) === 0 ? `${word}\n` : word)).join(" ");
}

function withoutTokens(text: string, random: Random): string {
  const tokens = tokenize(text);
  const gone = new Set(Array.from({ length: 1 + random.below(5) }, () => random.below(tokens.length)));
  return tokens.map(({ start, end }, index) => (gone.has(index) ? "" : text.slice(start, end))).join(" ");
}

function spliced(text: string, other: string, random: Random): string {
  const wordsOf = (of: string) => tokenize(of).map(({ start, end }) => of.slice(start, end));
  const [words, others] = [wordsOf(text), wordsOf(other)];
  for (let n = 0; n < 3; n++) {
    const from = random.below(others.length);
    const part = others.slice(from, from + 1 + random.below(25));
    words.splice(random.below(words.length), random.below(6), ...part);
  }
  return words.join(" ");
}

describe("damaged sources are rewritten without an exception", () => {
  test.each([1, 2, 3])("cut off at any place (seed %i)", (seed) => {
    const random = new Random(seed);
    for (const text of texts)
      for (let n = 0; n < 2; n++) expectSane(text.slice(0, random.below(text.length)));
  });

  test.each([1, 2, 3])("with tokens in any order (seed %i)", (seed) => {
    const random = new Random(seed);
    for (const text of texts) for (let n = 0; n < 2; n++) expectSane(shuffled(text, random));
  });

  test.each([1, 2, 3])("with tokens missing (seed %i)", (seed) => {
    const random = new Random(seed);
    for (const text of texts) for (let n = 0; n < 2; n++) expectSane(withoutTokens(text, random));
  });

  test.each([1, 2])("with parts of others put in (seed %i)", (seed) => {
    const random = new Random(seed);
    for (const text of texts) expectSane(spliced(text, random.pick(texts), random));
  });

  test("of bytes that are no C", () => {
    const random = new Random(4);
    for (let n = 0; n < 50; n++) {
      expectSane(Array.from({ length: 200 }, () => String.fromCharCode(1 + random.below(300))).join(""));
    }
  });

  test.each([
    "",
    "\n",
    " ",
    "(",
    ")",
    "{",
    '"',
    "'",
    "/*",
    "//",
    "\\",
    "\u0000",
    "#",
    "BPF_HASH(",
    "a.b(",
    ".b(",
    "a.(",
    "x.lookup()",
  ])("consisting of %j", (text) => expectSane(text));
});

test("the whole path refuses damaged sources with an error of ours", () => {
  const random = new Random(5);
  for (let n = 0; n < 25; n++) {
    const text = random.pick([shuffled, withoutTokens])(random.pick(texts), random);
    try {
      const lowered = lowerText(text, { file: "t.c" });
      if (lowered.diagnostics.length === 0) compileText(lowered);
    } catch (error) {
      expect(error).toBeInstanceOf(BpfError);
      expect((error as BpfError).code).toBe("COMPILE");
    }
  }
});

test("what nests too deep to be looked at is an error where that begins", () => {
  const { diagnostics } = rewriteOnly(
    `int f(void *c) {\n\treturn ${"(".repeat(2000)}1${")".repeat(2000)};\n}\n`,
  );
  expect(diagnostics).toMatchObject([{ code: "TOO_DEEP", severity: "error", line: 2 }]);
  const { diagnostics: none } = rewriteOnly(
    `int f(void *c) {\n\treturn ${"(".repeat(250)}1${")".repeat(250)};\n}\n`,
  );
  expect(none).toEqual([]);
});

describe("sources that invite slowness end soon", () => {
  const many = 15_000;
  test.each([
    ["calls that never close", "f(".repeat(many)],
    ["calls within calls", `int f(void) { return ${"g(".repeat(many)}1${")".repeat(many)}; }`],
    ["brackets within brackets", `int f(void) { return ${"(".repeat(many)}1${")".repeat(many)}; }`],
    ["blocks within blocks", `int f(void) ${"{".repeat(many)}${"}".repeat(many)}`],
    [
      "reads through many pointers",
      `int f(struct pt_regs *c, struct s *p) { return ${"p->".repeat(many)}x; }`,
    ],
    ["a sum of many terms", `int f(void) { return ${"1 + ".repeat(many)}1; }`],
    ["casts of casts", `int f(void) { return ${"(int)".repeat(many)}1; }`],
    ["a declarator of many stars", `int ${"*".repeat(many)}x;`],
    ["brackets that never close", "{[(".repeat(many)],
    ["closing brackets", ")]}".repeat(many)],
    ["tables that never close", "BPF_HASH(a, ".repeat(many)],
    ["tables", Array.from({ length: 3000 }, (_, i) => `BPF_HASH(t${i}, u32);`).join("\n")],
    ["tables on one line", Array.from({ length: 2000 }, (_, i) => `BPF_HASH(t${i}, u32);`).join(" ")],
    ["wrong tables on one line", "BPF_HASH(); ".repeat(3000)],
    ["unknown tables", `int f(void *c) { ${"none.lookup(&c); ".repeat(3000)} }`],
    [
      "functions on one line",
      Array.from({ length: 1500 }, (_, i) => `int f${i}(void *c) { return 0; }`).join(" "),
    ],
    ["functions that never end", "int f(void *c) { g(); ".repeat(3000)],
    ["all sources of these tests in one", texts.join("\n")],
    ["all of them without closing braces", texts.join("\n").replaceAll("}", "")],
    ["a comment that never ends", `/*${" *".repeat(many)}`],
    ["a string that never ends", `"${'\\"'.repeat(many)}`],
    ["blanks", " \t".repeat(many * 4)],
    ["empty lines", "\n".repeat(many * 4)],
    ["attributes", `int f(void *c) { return 0; } ${"__attribute__((unused)) ".repeat(20_000)}`],
    ["locals of one name", `int f(void *c) { ${"{ int a = 1; t.lookup(&a); } ".repeat(3000)} }`],
    ["names of one letter", "a ".repeat(many)],
    ["backslashes", "\\\n".repeat(many)],
    ["markers", '# 1 "t.c"\n'.repeat(many)],
  ])("%s", (_, text) => {
    expectSane(text);
  });
});

test("plain C among the dialect comes out as it went in, wherever it stands", () => {
  const plain = [
    "static int plain_sum(int a, int b) { return a + b * (a ? b : -b); }",
    'static const char plain_text[] = "counts.lookup(&k) // p->pid";',
    "enum plain_kind { PLAIN_A = 1, PLAIN_B };",
    "struct plain_pair { int a : 3, b; union { long c; char d[8]; }; };",
    "static void plain_fill(char *to, int n) { for (int i = 0; i < n; i++) to[i] = 'x'; }",
  ];
  const random = new Random(11);
  for (const text of texts.filter((_, index) => index % 3 === 0)) {
    const lines = text.split("\n");
    const between = lines.flatMap((line, at) => (line === "}" ? [at + 1] : []));
    const at = between.length === 0 ? lines.length : random.pick(between);
    const added = random.pick(plain);
    const result = rewriteOnly([...lines.slice(0, at), added, ...lines.slice(at)].join("\n"));
    const body = added.replace(/^static (?:int|void) /, "");
    expect(result.text).toContain(body);
  }
});
