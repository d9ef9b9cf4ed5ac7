import { describe, expect, test } from "vitest";
import { parseArguments, type UsdtArch } from "../../../framework/symbols/usdt-argument.ts";

/** An argument in short: size with a minus when signed, then its place. */
function shown(text: string, arch: UsdtArch): readonly string[] {
  return parseArguments(text, arch).map(({ size, isSigned, place }) => {
    const start = `${isSigned ? "-" : ""}${size} `;
    if (place.kind === "constant") return `${start}= ${place.value}`;
    if (place.kind === "unreadable") return `${start}?`;
    if (place.kind === "register") {
      const { at, shift, bits } = place.register;
      return `${start}${at}:${bits}>>${shift}`;
    }
    const { base, index, scale, displacement, symbol } = place;
    const indexed =
      index === undefined ? "" : ` + ${index.isSigned ? "-" : ""}${index.at}:${index.bits} * ${scale}`;
    return `${start}[${symbol ?? base?.at} + ${displacement}${indexed}]`;
  });
}

describe("operands of x86-64", () => {
  test.each([
    ["8@%rax", "8 80:64>>0"],
    ["-4@%eax", "-4 80:32>>0"],
    ["2@%ax", "2 80:16>>0"],
    ["1@%al", "1 80:8>>0"],
    ["1@%ah", "1 80:8>>8"],
    ["-1@%bpl", "-1 32:8>>0"],
    ["1@%sil", "1 104:8>>0"],
    ["4@%esp", "4 152:32>>0"],
    ["8@%r8", "8 72:64>>0"],
    ["4@%r10d", "4 56:32>>0"],
    ["2@%r15w", "2 0:16>>0"],
    ["1@%r12b", "1 24:8>>0"],
    ["%rdi", "-8 112:64>>0"],
    ["-4@$-1", "-4 = -1"],
    ["8@$0x10", "8 = 16"],
    ["8@(%rbp)", "8 [32 + 0]"],
    ["-4@-20(%rbp)", "-4 [32 + -20]"],
    ["4@0x18(%rsp)", "4 [152 + 24]"],
    ["-4@112(%rsp)", "-4 [152 + 112]"],
    ["8@(%rdx,%rax,8)", "8 [96 + 0 + 80:64 * 8]"],
    ["4@24(%rdi,%rsi)", "4 [112 + 24 + 104:64 * 1]"],
    ["-4@16(%r9,%ecx,4)", "-4 [64 + 16 + 88:32 * 4]"],
    ["8@global(%rip)", "8 [global + 0]"],
    ["-4@table+12(%rip)", "-4 [table + 12]"],
    ["8@_ZN1a1bE-8(%rip)", "8 [_ZN1a1bE + -8]"],
    ["8@%xmm0", "8 ?"],
    ["4f@%xmm1", "4 ?"],
    ["8@%fs:-16", "8 ?"],
    ["8@%nothing", "8 ?"],
  ])("%s", (text, wanted) => {
    expect(shown(text, "x64")).toEqual([wanted]);
  });

  test("several arguments stand in order, brackets and all", () => {
    expect(shown("8@%rbx -4@8(%rax, %rcx, 2)  -4@$0", "x64")).toEqual([
      "8 40:64>>0",
      "-4 [80 + 8 + 88:64 * 2]",
      "-4 = 0",
    ]);
    expect(shown("", "x64")).toEqual([]);
  });
});

describe("operands of arm64", () => {
  test.each([
    ["8@x0", "8 0:64>>0"],
    ["-4@w19", "-4 152:32>>0"],
    ["8@x30", "8 240:64>>0"],
    ["8@sp", "8 248:64>>0"],
    ["-4@0", "-4 = 0"],
    ["-4@-7", "-4 = -7"],
    ["8@#12", "8 = 12"],
    ["4@wzr", "4 = 0"],
    ["8@[x19]", "8 [152 + 0]"],
    ["-4@[sp, 60]", "-4 [248 + 60]"],
    ["-8@[x29, #-16]", "-8 [232 + -16]"],
    ["8@[x0, x1]", "8 [0 + 0 + 8:64 * 1]"],
    ["8@[x0, x1, lsl 3]", "8 [0 + 0 + 8:64 * 8]"],
    ["4@[x2, w3, sxtw #2]", "4 [16 + 0 + -24:32 * 4]"],
    ["4@[x2,w3,uxtw 2]", "4 [16 + 0 + 24:32 * 4]"],
    ["8@d0", "8 ?"],
    ["8@x31", "8 ?"],
  ])("%s", (text, wanted) => {
    expect(shown(text, "arm64")).toEqual([wanted]);
  });

  test("spaces inside of brackets do not separate", () => {
    expect(shown("-4@[sp, 60] 8@x1 -4@[x3, x4, lsl 2]", "arm64")).toHaveLength(3);
  });
});
