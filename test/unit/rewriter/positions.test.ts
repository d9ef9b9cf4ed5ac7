import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CompileError, type SourceDiagnostic } from "../../../framework/core/errors.ts";
import { expressionTypes } from "../../../rewriter/expressions.ts";
import { collectFacts } from "../../../rewriter/facts.ts";
import { tokenize } from "../../../rewriter/lexer.ts";
import { declareMaps } from "../../../rewriter/passes/declare-maps.ts";
import { passes } from "../../../rewriter/passes/index.ts";
import { SourceText } from "../../../rewriter/source-text.ts";
import { fixtureNames, fixturesFolder } from "../../support/fixtures.ts";
import { compileText, fixtureKernel, type Lowered, lowerText } from "./lowering.ts";
import { Random } from "./random.ts";

/** What rewriting, or else compiling, finds wrong with a text. */
function errorsOf(text: string, file = "t.c"): readonly SourceDiagnostic[] {
  try {
    const lowered = lowerText(text, { file });
    const errors = lowered.diagnostics.filter((finding) => finding.severity === "error");
    if (errors.length > 0) return errors;
    compileText(lowered);
    return [];
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    expect(error.diagnostics).not.toEqual([]);
    return error.diagnostics.filter((finding) => finding.severity === "error");
  }
}

/** Takes the mark « out of a text and says where it stood. */
function marked(text: string): { text: string; line: number; column: number } {
  const at = text.indexOf("«");
  const before = text.slice(0, at).split("\n");
  return { text: text.replace("«", ""), line: before.length, column: before.at(-1)!.length + 1 };
}

const head = `BPF_HASH(counts, u32);
struct data_t { u32 pid; char comm[16]; };
BPF_PERF_OUTPUT(events);
#define BUMP(k) counts.increment(k)
#define TWICE(a, b) do { counts.increment(a); counts.increment(b); } while (0)
#define SUM(a, b) ((a) + (b))
#define LOG(fmt, ...) bpf_trace_printk("log: " fmt, ##__VA_ARGS__)
`;
const inFunction = (body: string) =>
  `${head}int f(struct pt_regs *ctx) {\n\tu32 k = 1;\n\t${body}\n\treturn 0;\n}\n`;

describe("an error is shown at the character where it stands", () => {
  test.each([
    ["an unknown name", "k = «nope;"],
    [
      "an unknown name behind a call that was rewritten",
      "counts.increment(k); counts.increment(k); k = «nope;",
    ],
    ["an unknown name in a rewritten call", "counts.increment(«nope);"],
    ["the second argument of a rewritten call", "counts.increment(k, 1 + «nope);"],
    ["an unknown table", "«count.increment(k);"],
    ["an unknown method", "counts.«incr(k);"],
    ["an unknown table behind a rewritten call", "counts.increment(k); «count.increment(k);"],
    ["a name behind tabs", "\t\t\tk = \t «nope;"],
    ["a name behind characters beyond ASCII", '/* 表 ü 😀 */ bpf_trace_printk("😀 ü"); k = «nope;'],
    ["a name behind a comment", "k = /* one */ /* two */ «nope; // three"],
    ["a name behind a comment with a call in it", "/* counts.increment(k); */ counts.increment(«nope);"],
    ["an argument of a macro", "BUMP(«nope);"],
    ["an argument of a macro among others", "k = SUM(k, «nope) + SUM(1, 2);"],
    ["an argument of the second use of a macro", "k = SUM(1, 2) + SUM(3, «nope);"],
    ["an argument that a macro uses twice", "TWICE(«nope, k);"],
    ["a value of a printing macro", 'LOG("%d %d", k, «nope);'],
    ["what stands behind a macro", "BUMP(k); k = «nope;"],
    ["a macro call over lines", "TWICE(k,\n\t\t«nope);"],
    ["a macro call over many lines", "TWICE(\n\n\n\t\tk,\n\n\t«nope\n\t);"],
    ["what stands behind a macro call over lines", "TWICE(k,\n\tk); k = «nope;"],
    ["a rewritten call over lines", "counts\n\t\t.increment(\n\t\t\t«nope\n\t\t);"],
    ["the line behind a rewritten call over lines", "counts\n\t\t.increment(\n\t\t\tk\n\t\t);\n\tk = «nope;"],
    ["a line that a backslash goes on", "k = 1 + \\\n\t\t«nope;"],
    ["a member that is not there", "struct data_t data = {}; data.«pidd = 1;"],
    ["a member behind a rewritten call", "struct data_t data = {}; counts.increment(k); data.«pidd = 1;"],
    ["an event that is not there", "events.perf_submit(ctx, &«nope, 4);"],
    ["a missing semicolon", "k = 1«\n\tk = 2;"],
    ["a missing semicolon behind a rewritten call", "counts.increment(k)«\n\tk = 2;"],
    ["a printed value", 'bpf_trace_printk("%d", «nope);'],
    ["an argument behind a compound literal", "counts.update(&(u32){1}, &«nope);"],
    ["an argument of a nested call", "counts.update(counts.lookup(&«nope), counts.lookup(&k));"],
    ["a wrong number of arguments", "counts.«lookup(&k, 1);"],
    ["a format that is no literal", "«bpf_trace_printk(k);"],
    ["a name on a line of its own in an initialiser", "u32 list[] = {\n\t\t1,\n\t\t«nope,\n\t};"],
  ])("%s", (_, body) => {
    const { text, line, column } = marked(inFunction(body));
    const [first] = errorsOf(text);
    expect(first).toMatchObject({ file: "t.c", line, column });
  });

  test.each([
    ["a type of a parameter", `${head}int f(struct pt_regs *ctx, «nope_t a) { return 0; }\n`],
    [
      "the body of a function with parameters",
      `${head}int f(struct pt_regs *ctx, int a, int b) { return a + «nope; }\n`,
    ],
    [
      "what stands behind a function with parameters",
      `int f(struct pt_regs *ctx, int a) { return 0; } «nope_t x;\n`,
    ],
    ["the type of a table's key", "BPF_HASH(counts, «nope_t);\n"],
    ["the type of a table's value, behind another table", "BPF_HASH(a); BPF_HASH(counts, u32, «nope_t);\n"],
    ["the size of a table", "BPF_HASH(counts, u32, u64, «NOPE);\n"],
    ["a table's type on a line of its own", "BPF_HASH(counts,\n\tu32,\n\t«nope_t);\n"],
    ["a static function", `static int helper(int a) { return «nope; }\n`],
    ["the line behind a table over lines", "BPF_HASH(\n\tcounts,\n\tu32\n);\n«nope_t x;\n"],
    ["a wrong directive", "int a;\n#«nope\n"],
  ])("%s", (_, source) => {
    const { text, line, column } = marked(source);
    const [first] = errorsOf(text);
    expect(first).toMatchObject({ file: "t.c", line, column });
  });

  test("inside what a macro expands to: at the macro's use", () => {
    const { text, line, column } = marked(
      inFunction("«BROKEN(k);").replace("#define BUMP", "#define BROKEN(k) counts.incr(k)\n#define BUMP"),
    );
    expect(errorsOf(text)[0]).toMatchObject({ line, column });
  });

  test("in a tracepoint's function: at the field", () => {
    const { text, line, column } = marked(
      "TRACEPOINT_PROBE(sched, sched_switch) {\n\treturn args->next_pid + args->«nope;\n}\n",
    );
    expect(errorsOf(text)[0]).toMatchObject({ line, column });
  });

  test("in a header of the user: in that header", () => {
    const text = '#include "include/table.h"\nint f(void *ctx) { return 0; }\n';
    // STEP is what the header wants and nobody gives.
    const [first] = errorsOf(text);
    expect(first?.file).toBe(join(fixturesFolder, "rewriter/include/table.h"));
    expect(first).toMatchObject({ line: 7, column: 20 });
  });

  test("where #line says, when the source says so itself", () => {
    const text = 'int a;\n#line 100 "generated.y"\nint b = nope;\n';
    expect(errorsOf(text)[0]).toMatchObject({ file: "generated.y", line: 100 });
  });
});

test("an include that is not there is an error at its line", () => {
  const { text, line } = marked('int a;\n#include «"nowhere.h"\n');
  expect(errorsOf(text)[0]).toMatchObject({ line, message: "'nowhere.h' file not found" });
});

test("functions, tables and tracepoints know where they were written", () => {
  const text =
    "/* ü */ BPF_HASH(a); int first(void *ctx) { return 0; }\nTRACEPOINT_PROBE(sched, sched_switch)\n{ return 0; }\n";
  const { functions, tracepoints } = lowerText(text, { file: "t.c" });
  expect(functions.map(({ name, position }) => [name, position.line, position.column])).toEqual([
    ["first", 1, 22],
    ["tracepoint__sched__sched_switch", 2, 1],
  ]);
  expect(tracepoints).toMatchObject([
    { category: "sched", name: "sched_switch", position: { line: 2, column: 1 } },
  ]);
});

const KEYWORDS =
  /^(?:if|else|for|while|do|return|sizeof|struct|union|enum|int|long|unsigned|signed|char|void|const|static|switch|case|default|break|typeof|goto)$/;
/** What stands before a use of a name, and not before a name's declaration. */
const BEFORE_USE = new Set(["(", "=", "&", "!", "+", "return", "?", ".", "->", "["]);

/** Uses of names in lines where no macro is made or table declared. */
function usesIn(text: string) {
  const tokens = tokenize(text);
  const spelled = (index: number) => text.slice(tokens[index]?.start ?? 0, tokens[index]?.end ?? 0);
  return tokens.filter((token, index) => {
    const lineStart = text.lastIndexOf("\n", token.start) + 1;
    const line = text.slice(lineStart, text.indexOf("\n", token.start));
    if (/^\s*#|\\$|BPF_[A-Z_]+\(|_PROBE\(|asm|__attribute__|typeof|__uint|__type|TABLE\(/.test(line))
      return false;
    const word = spelled(index);
    return (
      token.kind === "name" && !KEYWORDS.test(word) && word !== "NULL" && BEFORE_USE.has(spelled(index - 1))
    );
  });
}

/** Fixtures that compile, and have uses of names to break. */
const sources = fixtureNames("rewriter", ".in.c")
  .filter(
    (name) =>
      !name.endsWith("errors") && !/^(?:headers|conditionals|declarators|macro-functions|helpers)/.test(name),
  )
  .map((name) => ({ name, text: readFileSync(join(fixturesFolder, "rewriter", `${name}.in.c`), "utf8") }))
  .filter(({ text }) => usesIn(text).length > 3);

describe.each(sources)("in the fixture $name", ({ name, text }) => {
  test("a misspelt name is reported where it was misspelt", () => {
    const random = new Random(name.length);
    const uses = usesIn(text);
    for (let n = 0; n < 4; n++) {
      const { start, end } = random.pick(uses);
      const broken = `${text.slice(0, end)}_misspelt${text.slice(end)}`;
      const before = text.slice(0, start).split("\n");
      const [first] = errorsOf(broken);
      expect(
        { word: text.slice(start, end), line: first?.line, column: first?.column },
        broken.split("\n")[before.length - 1],
      ).toEqual({
        word: text.slice(start, end),
        line: before.length,
        column: before.at(-1)!.length + 1,
      });
    }
  });
});

/** Lines of a text, each with its marker's file and number. */
function placedLines(text: string): readonly string[] {
  const source = new SourceText(text, new Map());
  let offset = 0;
  return text.split("\n").map((line) => {
    const { file, line: number } = source.positionAt(offset);
    offset += line.length + 1;
    return `${file}:${number}`;
  });
}

describe("a blank has the place of the token behind it", () => {
  const written = "  f(a,  b);\n\tMAX + c;\n";
  const source = new SourceText('# 1 "t.c"\n  f(a,  b);\n\t 16  + c;\n', new Map([["t.c", written]]));
  test.each([
    ["a line that the preprocessor left as it was", "  f", 3],
    ["the middle of one", "  b", 9],
    ["a line that a macro changed", "\t 16", 2],
    ["the middle of that", "  + c", 6],
  ])("in front of %s", (_, text, column) => {
    expect(source.positionAt(source.text.indexOf(text)).column).toBe(column);
  });
});

describe.each(fixtureNames("rewriter", ".in.c").filter((name) => name !== "headers"))(
  "lowering the fixture %s",
  (name) => {
    const source = readFileSync(join(fixturesFolder, "rewriter", `${name}.in.c`), "utf8");
    const lowered: Lowered = lowerText(source, {
      file: `${name}.in.c`,
      cflags: ["-DTHRESHOLD=1", "-DMODE=2"],
    });

    test("leaves every line at its place", () => {
      const places = placedLines(lowered.preprocessed);
      expect(placedLines(lowered.text).slice(0, places.length)).toEqual(places);
    });

    test("leaves text alone that no edit names", () => {
      let at = 0;
      for (const kept of keptStretches(lowered.preprocessed)) {
        const found = lowered.text.indexOf(kept, at);
        expect(found, kept).toBeGreaterThanOrEqual(at);
        at = found + kept.length;
      }
    });
  },
);

/** The stretches of a text between the ends of edits, without what edits replace. */
function keptStretches(text: string): readonly string[] {
  const facts = collectFacts(text);
  const declared = declareMaps(text, facts.normalized);
  const { tables } = declared;
  const kernelTypes = fixtureKernel.types;
  const expressions = () => expressionTypes(facts, tables, kernelTypes);
  const input = { facts, tables, kernelTypes, expressions, sectionOf: () => null, usdtPrograms: new Map() };
  const edits = [declared, ...passes.map((pass) => pass(input))].flatMap((result) => result.edits);
  const ends = [...new Set([0, text.length, ...edits.flatMap(({ start, end }) => [start, end])])].sort(
    (a, b) => a - b,
  );
  const isReplaced = (from: number) =>
    edits.some(({ kind, start, end }) => kind === "replace" && start <= from && from < end);
  return ends
    .slice(0, -1)
    .flatMap((from, index) => (isReplaced(from) ? [] : [text.slice(from, ends[index + 1]!)]));
}
