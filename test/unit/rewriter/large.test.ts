import { describe, expect, test } from "vitest";
import { rewrite } from "../../../rewriter/index.ts";

const MEGABYTE = 1_000_000;
const repeated = (text: string): string => text.repeat(Math.ceil(MEGABYTE / text.length));
const inFunction = (body: string): string =>
  `BPF_HASH(counts, u32);\nint f(struct pt_regs *ctx, struct task_struct *p) { u32 k = 0;\n${body}\nreturn 0; }\n`;

/** Texts of which a walk that looks back, or a message for each part, would take minutes; and the codes they end with. */
const texts: Readonly<Record<string, readonly [text: string, codes: readonly string[]]>> = {
  "brackets that nothing closes": [repeated("("), []],
  "blocks that nothing closes": [repeated("if (x) {"), []],
  "functions in functions": [repeated("int f(struct pt_regs *ctx) {\n"), []],
  "tables that nothing closes, in one line": [repeated("BPF_HASH("), ["UNCLOSED_MACRO"]],
  "tables of one name": [repeated("BPF_HASH(a, u32);\n"), ["DUPLICATE_TABLE"]],
  "members of members": [inFunction(`k = p${repeated("->real_parent")}->pid;`), ["TOO_DEEP"]],
  "a sum": [inFunction(`k = ${repeated("k + ")}1;`), ["TOO_DEEP"]],
  "calls in one line": [inFunction(repeated("counts.increment(k);")), []],
  "reads in one function": [inFunction(repeated("k = p->pid;\n")), []],
  "comments that nothing closes": [repeated("/* "), []],
  "line markers": [repeated('# 1 "t.c"\n'), []],
};

describe("a megabyte of", () => {
  test.each(Object.entries(texts))(
    "%s ends with what is to be said",
    { timeout: 60_000 },
    (_, [text, codes]) => {
      const { diagnostics } = rewrite({
        text: `# 1 "t.c"\n${text}`,
        originals: new Map([["t.c", text]]),
      });
      expect([...new Set(diagnostics.map(({ code }) => code))]).toEqual(codes);
    },
  );
});
