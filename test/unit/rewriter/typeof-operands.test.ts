import { describe, expect, test } from "vitest";
import { TypeofOperands } from "../../../rewriter/typeof-operands.ts";

/** More than are parsed together. */
const MANY = 300;

/** What the grammar makes of each operand: a type or a value, and its text. */
function parsed(operands: readonly string[]): readonly string[] {
  const text = operands.map((operand) => `typeof(${operand}) x;\n`).join("");
  let at = 0;
  const ranges = operands.map((operand) => {
    const start = at + "typeof(".length;
    at += `typeof(${operand}) x;\n`.length;
    return { start, end: start + operand.length };
  });
  const found = new TypeofOperands(text, ranges);
  return ranges.map((range) => {
    const size = found.parsed(range);
    const type = size?.childForFieldName("type");
    const value = size?.childForFieldName("value");
    return type ? `type ${type.text}` : value ? `value ${value.text}` : "nothing";
  });
}

describe("the operands of typeof", () => {
  test("are types or values, each its own, among hundreds", () => {
    const values = [...new Array(MANY).keys()].map((i) => `p${i}->next`);
    const types = values.map((_, i) => `struct s${i} *`);
    expect(parsed(values)).toEqual(values.map((value) => `value (${value})`));
    expect(parsed(types)).toEqual(types.map((type) => `type ${type}`));
  });

  test("may go over lines, and have other operands inside", () => {
    expect(parsed(["p\n  ->next", "typeof(p)", "q"])).toMatchObject([
      "value (p   ->next)",
      expect.stringMatching(/^(?:type|value) /),
      "value (q)",
    ]);
  });

  test.each(["1 +", "struct", "} int x; {", "", "p; p", "void (*[3])(int"])(
    "one that is no C, as %j, takes nothing from the others",
    (faulty) => {
      const operands = [...new Array(MANY).keys()].map((i) => (i === 150 ? faulty : `p${i}`));
      const others = parsed(operands).filter((_, i) => i !== 150);
      expect(others).toEqual(operands.filter((_, i) => i !== 150).map((text) => `value (${text})`));
    },
  );
});
