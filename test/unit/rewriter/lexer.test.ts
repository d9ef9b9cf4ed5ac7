import { describe, expect, test } from "vitest";
import { matchBrackets, onOneLine, splitArguments, tokenAfter, tokenize } from "../../../rewriter/lexer.ts";

/** Tokens as their texts. */
function words(text: string): string[] {
  return tokenize(text).map(({ start, end }) => text.slice(start, end));
}

describe("tokens", () => {
  test.each([
    ["a->b.c", ["a", "->", "b", ".", "c"]],
    ["x<<=2>>y", ["x", "<<=", "2", ">>", "y"]],
    ["a+++b", ["a", "++", "+", "b"]],
    ["f(...)", ["f", "(", "...", ")"]],
    ["1.5e+3f+.5-0x1FULL", ["1.5e+3f", "+", ".5", "-", "0x1FULL"]],
    ["1.field", ["1.field"]],
    ['L"wide" u8"x" U\'c\' Lx u', ['L"wide"', 'u8"x"', "U'c'", "Lx", "u"]],
    ['\'\\\'\' "\\"" "a\\\\" b', ["'\\''", '"\\""', '"a\\\\"', "b"]],
    ['größe = "ü"; 😀', ["größe", "=", '"ü"', ";", "😀"]],
    ["a\\\nb", ["a", "\\", "b"]],
    ["$x_1 _y", ["$x_1", "_y"]],
    ["@ `", ["@", "`"]],
  ])("of %j", (text, expected) => {
    expect(words(text)).toEqual(expected);
  });

  test("leave out comments and white space of every kind", () => {
    expect(words("a/* b */c // d\n e\t\f\v\r\n/f /* \n */ g")).toEqual(["a", "c", "e", "/", "f", "g"]);
  });

  test("leave out lines that begin with #, but no other #", () => {
    expect(words('# 1 "t.c"\nx\n  #define A \\\n 2\ny # z ## w')).toEqual(["x", "y", "#", "z", "##", "w"]);
  });

  test("end a string at the line's end when nothing closes it", () => {
    expect(words("\"abc\nd 'e\nf")).toEqual(['"abc', "d", "'e", "f"]);
  });

  test("of a comment that nothing closes are none", () => {
    expect(words("a /* b")).toEqual(["a"]);
  });
});

describe("brackets", () => {
  const partnersOf = (text: string) => [...matchBrackets(text, tokenize(text))];

  test("lead to what closes them", () => {
    expect(partnersOf("f(a[1],{})")).toEqual([-1, 9, -1, 5, -1, -1, -1, 8, -1, -1]);
  });

  test("in strings are none", () => {
    expect(partnersOf('("(")')).toEqual([2, -1, -1]);
  });

  test("have no partner when another kind closes them, nor have those around", () => {
    expect(partnersOf("{ ( ] ( ) }")).toEqual([-1, -1, -1, 4, -1, -1]);
  });

  test("have no partner at the end of the text", () => {
    expect(partnersOf("( ( )")).toEqual([-1, 2, -1]);
  });
});

describe("arguments", () => {
  const argumentsOf = (text: string) => {
    const tokens = tokenize(text);
    return splitArguments(text, tokens, matchBrackets(text, tokens), 1).map(({ start, end }) =>
      text.slice(start, end),
    );
  };

  test.each([
    ["f()", []],
    ["f( /* nothing */ )", []],
    ["f(a)", ["a"]],
    ["f(a, b + c)", ["a", "b + c"]],
    ["f(g(a, b), (c, d), {e, f}, h[i, j])", ["g(a, b)", "(c, d)", "{e, f}", "h[i, j]"]],
    ["f((struct k){1, 2}, x)", ["(struct k){1, 2}", "x"]],
    ["f(a, , b)", ["a", "", "b"]],
    ["f(,)", ["", ""]],
    ["f(\"a, b\", ',')", ['"a, b"', "','"]],
    ["f(a /* , */ , // ,\n b)", ["a", "b"]],
  ])("of %j", (text, expected) => {
    expect(argumentsOf(text)).toEqual(expected);
  });
});

test("a token is found by an offset in it, or the next one by an offset before it", () => {
  const tokens = tokenize("ab  cd");
  expect([0, 1, 2, 3, 4, 5, 6].map((offset) => tokenAfter(tokens, offset))).toEqual([0, 0, 1, 1, 1, 1, 2]);
});

test("a stretch comes on one line without its line markers", () => {
  const text = 'struct { u32 a;\n# 12 "t.c"\n\tu32 b; }';
  expect(onOneLine(text, { start: 0, end: text.length })).toBe("struct { u32 a; u32 b; }");
});
