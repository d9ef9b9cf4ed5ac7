import { describe, expect, test } from "vitest";
import { neighboursOf } from "../../../framework/symbols/instruction-starts.ts";

const X86_64 = 62;
const ARM64 = 183;

/** For each place of some code: "." where nothing is refused, else the instructions around it. */
function places(hex: string): readonly (string | undefined)[] {
  const code = Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
  return Array.from(code, (_, place) => {
    const found = neighboursOf(X86_64, code, place);
    return found === undefined ? "." : `${found.before}-${found.after}`;
  });
}

describe("x86-64", () => {
  test("places inside of instructions have neighbours, and beginnings have none", () => {
    // push %rbp; mov %rsp,%rbp; ret
    expect(places("55 48 89 e5 c3")).toEqual([".", ".", "1-4", "1-4", "."]);
  });

  test("code is followed over jumps, forward and backward", () => {
    // jmp 1f; 0: mov %eax,%eax; ret; 1: xor %eax,%eax; jmp 0b
    expect(places("eb 03 89 c0 c3 31 c0 eb f9")).toEqual([
      ".",
      "0-2",
      ".",
      "2-4",
      ".",
      ".",
      "5-7",
      ".",
      "7-9",
    ]);
  });

  test("what no path leads to may be data, and is not refused", () => {
    // ret; then bytes that would be an instruction of five
    expect(places("c3 b8 01 02 03 04")).toEqual([".", ".", ".", ".", ".", "."]);
    // jmp *%rax; a table
    expect(places("ff e0 48 89 e5")).toEqual([".", "0-2", ".", ".", "."]);
  });

  test("what follows bytes that are no instruction is not refused", () => {
    expect(places("55 06 48 89 e5 c3")).toEqual([".", ".", ".", ".", ".", "."]);
  });

  test("both ways into an instruction whose prefix is jumped over are beginnings", () => {
    // je 1f; lock; 1: cmpxchg %ecx,(%rdx); ret
    expect(places("74 01 f0 0f b1 0a c3")).toEqual([".", "0-2", ".", ".", "3-6", "3-6", "."]);
  });

  test("jumps out of the function, and one that the function's end cuts off, lead nowhere", () => {
    expect(places("e9 00 10 00 00 90")).toEqual([".", "0-5", "0-5", "0-5", "0-5", "."]);
    expect(places("74 80 48 b8 01")).toEqual([".", "0-2", ".", ".", "."]);
  });
});

test("arm64 has instructions of four bytes", () => {
  const code = new Uint8Array(12);
  expect([0, 4, 8].map((place) => neighboursOf(ARM64, code, place))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(neighboursOf(ARM64, code, 6)).toEqual({ before: 4, after: 8 });
});

test("of other machines nothing is known", () => {
  expect(neighboursOf(243, new Uint8Array(8), 1)).toBeUndefined();
});
