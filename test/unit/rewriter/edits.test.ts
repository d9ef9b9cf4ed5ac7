import { describe, expect, test } from "vitest";
import { ObjectError } from "../../../framework/core/errors.ts";
import { applyEdits, type Edit } from "../../../rewriter/edits.ts";
import { Random } from "./random.ts";

const wrap = (start: number, end: number, before: string, after: string): Edit => ({
  kind: "wrap",
  start,
  end,
  before,
  after,
});
const replace = (start: number, end: number, text: string): Edit => ({ kind: "replace", start, end, text });

/** Applies edits to a text and gives the outcome. */
function edited(text: string, ...edits: Edit[]): string {
  return applyEdits(text, edits).text;
}

test("a text without edits is itself", () => {
  expect(edited("int x;")).toBe("int x;");
  expect(applyEdits("int x;", []).originalOffset(4)).toBe(4);
});

describe("wraps and replacements", () => {
  test("nest whatever their order", () => {
    const edits = [
      replace(0, 2, "call("),
      wrap(2, 8, "(", ")"),
      wrap(2, 4, "READ(", ")"),
      wrap(4, 8, "<", ">"),
    ];
    expect(edited("f(a->b()c)", ...edits)).toBe("call((READ(a-)<>b()>)c)");
    expect(edited("f(a->b()c)", ...[...edits].reverse())).toBe("call((READ(a-)<>b()>)c)");
  });

  test("that open at one place open with the longer outside", () => {
    expect(edited("p->q->r", wrap(0, 4, "[", "]"), wrap(0, 7, "{", "}"))).toBe("{[p->q]->r}");
    expect(edited("p->q->r", wrap(0, 7, "{", "}"), wrap(0, 4, "[", "]"))).toBe("{[p->q]->r}");
  });

  test("that close at one place close with the shorter inside", () => {
    expect(edited("a + b", wrap(0, 5, "{", "}"), wrap(4, 5, "[", "]"))).toBe("{a + [b]}");
  });

  test("of one range nest in the order given", () => {
    expect(edited("x", wrap(0, 1, "{", "}"), wrap(0, 1, "[", "]"))).toBe("{[x]}");
  });

  test("that touch close before the next opens", () => {
    expect(edited("ab", wrap(0, 1, "[", "]"), wrap(1, 2, "{", "}"))).toBe("[a]{b}");
  });

  test("insert at the beginning and end", () => {
    expect(edited("ab", replace(0, 0, "<"), replace(2, 2, ">"))).toBe("<ab>");
  });

  test("delete", () => {
    expect(edited("abc", replace(1, 2, ""))).toBe("ac");
  });

  test("that overlap partly are refused", () => {
    expect(() => edited("abcdef", replace(0, 3, "x"), replace(2, 5, "y"))).toThrow(ObjectError);
  });
});

describe("lines stay where they are", () => {
  test("when what is replaced has line breaks", () => {
    expect(edited("a\n.\nb(c)\nd", replace(0, 6, "b(&a, "))).toBe("b(&a, \n\nc)\nd");
  });

  test("when what is replaced has line markers", () => {
    expect(edited('a\n# 20 "t.c"\n.b', replace(0, 16, "x"))).toBe('x\n# 20 "t.c"\n');
  });
});

describe("offsets of the new text lead back", () => {
  const { text, originalOffset } = applyEdits("f(abc, def)", [
    replace(0, 1, "longer"),
    wrap(2, 5, "((", "))"),
  ]);

  test("from kept text to itself", () => {
    expect(text).toBe("longer(((abc)), def)");
    expect(originalOffset(text.indexOf("abc"))).toBe(2);
    expect(originalOffset(text.indexOf("c))"))).toBe(4);
    expect(originalOffset(text.indexOf("def"))).toBe(7);
    expect(originalOffset(text.length)).toBe(11);
  });

  test("from inserted text to where it was put in", () => {
    expect(originalOffset(3)).toBe(0);
    expect(originalOffset(text.indexOf("((abc") + 1)).toBe(2);
    expect(originalOffset(text.indexOf("))"))).toBe(5);
  });
});

describe("random edits that nest or are apart", () => {
  /** Edits of a stretch of text; what they put in is in upper case. */
  function* randomEdits(random: Random, start: number, end: number, depth: number): Generator<Edit> {
    for (let at = start; at < end; ) {
      const from = at + random.below(6);
      const to = Math.min(end, from + 1 + random.below(20));
      if (from >= to) return;
      const kind = random.below(4);
      if (kind === 0) yield replace(from, to, "R".repeat(random.below(4)));
      else if (kind === 1) {
        yield wrap(from, to, "A".repeat(1 + random.below(3)), "B".repeat(random.below(3)));
        if (depth > 0) yield* randomEdits(random, from, to, depth - 1);
      }
      at = to;
    }
  }

  test.each(Array.from({ length: 40 }, (_, seed) => seed))(
    "change nothing of what stands outside of replacements (seed %i)",
    (seed) => {
      const random = new Random(seed);
      const text = Array.from({ length: 400 }, () => random.pick([..."abcdefghij (),;*"])).join("");
      const edits = [...randomEdits(random, 0, text.length, 4)];
      const isReplaced = (at: number): boolean =>
        edits.some(({ kind, start, end }) => kind === "replace" && start <= at && at < end);
      const shuffled = edits.map((edit) => ({ edit, by: random.below(1000) })).sort((a, b) => a.by - b.by);
      const outcome = applyEdits(
        text,
        shuffled.map(({ edit }) => edit),
      );
      const kept = [...outcome.text].flatMap((character, at) => (/[A-Z]/.test(character) ? [] : [at]));
      const expected = [...text].flatMap((_, at) => (isReplaced(at) ? [] : [at]));
      expect(kept.map((at) => outcome.originalOffset(at))).toEqual(expected);
      expect(kept.map((at) => outcome.text[at]).join("")).toBe(expected.map((at) => text[at]).join(""));
      expect(outcome.text.match(/A+/g)?.join("").length ?? 0).toBe(
        edits.reduce((sum, edit) => sum + (edit.kind === "wrap" ? edit.before.length : 0), 0),
      );
    },
  );
});
