import { describe, expect, test } from "vitest";
import { rewrite } from "../../../rewriter/index.ts";

/** More than are parsed together. */
const MANY = 300;

function lowered(operands: readonly string[]): string {
  const lines = operands.map((operand, i) => `typeof(${operand}) q${i} = p; k += q${i}->pid;`);
  const text = `struct task_struct { struct task_struct *parent; int pid; };
    int probe(struct pt_regs *ctx, struct task_struct *p) { int k = 0;\n${lines.join("\n")}\nreturn k; }`;
  return rewrite({ text: `# 1 "main.c"\n${text}`, originals: new Map([["main.c", text]]) }).text;
}

/** The variables that are read as pointers into the kernel. */
function read(text: string): readonly number[] {
  return [...text.matchAll(/\bk \+= .*?\bq(\d+)\b.*/g)]
    .filter(([line]) => line.includes("_rx_"))
    .map(([, number]) => Number(number));
}

const all = [...new Array(MANY).keys()];

describe("typeof", () => {
  test("tells the types of hundreds of variables, by expressions and by types", () => {
    const operands = all.map((i) => ["p", "p->parent", "struct task_struct *", "(p)"][i % 4]!);
    expect(read(lowered(operands))).toEqual(all);
  });

  test.each(["1 +", "struct", "} int x; {", "", "p, p", "p;", "void (*[3])(int"])(
    "of %j takes the types of no others away",
    (faulty) => {
      const operands = all.map((i) => (i === 150 ? faulty : "p"));
      expect(read(lowered(operands)).filter((i) => i !== 150)).toEqual(all.filter((i) => i !== 150));
    },
  );
});
