/** Where the value of a probe's argument is when the probe is reached. */
export type ArgumentPlace =
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "register"; readonly register: Register }
  | {
      readonly kind: "memory";
      /** undefined for a global variable, whose place is told by `symbol` or by the displacement from the probe. */
      readonly base: Register | undefined;
      readonly index: Register | undefined;
      readonly scale: number;
      readonly displacement: bigint;
      /** A global variable, by name. */
      readonly symbol: string | undefined;
    }
  /** In a place that programs cannot read, such as a vector register. */
  | { readonly kind: "unreadable" };

/** A part of a register that holds a value. */
export interface Register {
  /** As the probe spells it, without a sign in front: "eax", "w0". */
  readonly name: string;
  /** Byte offset of the whole register in `struct pt_regs`. */
  readonly at: number;
  /** Bits to drop at its lower end. */
  readonly shift: number;
  /** Bits that count. */
  readonly bits: number;
  /** How an index is widened: arm64 says so. */
  readonly isSigned: boolean;
}

/** One argument of a probe at one place. */
export interface UsdtArgument {
  /** As the note has it: "-4@%eax". */
  readonly text: string;
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  readonly isSigned: boolean;
  readonly isFloat: boolean;
  readonly place: ArgumentPlace;
}

/** Architectures whose operands are understood, by Node's names. */
export type UsdtArch = "x64" | "arm64";

const SIZE = /^(?:(-)?(\d+)(f)?@)?(.*)$/s;

/**
 * The arguments of a note, in order. An operand that nothing is known about is "unreadable": only a program that asks
 * for it needs to know.
 */
export function parseArguments(text: string, arch: UsdtArch): readonly UsdtArgument[] {
  return splitArguments(text).map((item) => {
    const [, sign, size, float, operand] = SIZE.exec(item)!;
    return {
      text: item,
      // Without a size it is a word, as in the first version of these notes.
      size: size === undefined ? 8 : Number(size),
      isSigned: sign !== undefined || size === undefined,
      isFloat: float !== undefined,
      place: parsers[arch](operand!.trim()) ?? { kind: "unreadable" },
    };
  });
}

/** Arguments are separated by spaces; those inside of brackets belong to an operand. */
function splitArguments(text: string): readonly string[] {
  return text.match(/(?:\[[^\]]*\]?|\([^)]*\)?|[^\s[(])+/g) ?? [];
}

const parsers: { readonly [A in UsdtArch]: (operand: string) => ArgumentPlace | undefined } = {
  x64: parseX64,
  arm64: parseArm64,
};

// ---- x86-64: operands in AT&T's syntax ----

/** Byte offsets in `struct pt_regs` (arch/x86/include/asm/ptrace.h). */
const X64_OFFSETS: Readonly<Record<string, number>> = {
  r15: 0,
  r14: 8,
  r13: 16,
  r12: 24,
  bp: 32,
  bx: 40,
  r11: 48,
  r10: 56,
  r9: 64,
  r8: 72,
  ax: 80,
  cx: 88,
  dx: 96,
  si: 104,
  di: 112,
  ip: 128,
  sp: 152,
};
const NUMBERED_BITS: Readonly<Record<string, number>> = { "": 64, d: 32, w: 16, b: 8 };
const LEADING_BITS: Readonly<Record<string, number>> = { r: 64, e: 32, "": 16 };

function x64Register(name: string): Register | undefined {
  const register = (whole: string, bits: number, shift = 0): Register | undefined => {
    const at = X64_OFFSETS[whole];
    return at === undefined ? undefined : { name, at, shift, bits, isSigned: false };
  };
  const numbered = /^(r(?:8|9|1[0-5]))([dwb]?)$/.exec(name);
  if (numbered !== null) return register(numbered[1]!, NUMBERED_BITS[numbered[2]!]!);
  const wide = /^([re]?)([a-d]x|[sd]i|[sbi]p)$/.exec(name);
  if (wide !== null) return register(wide[2]!, LEADING_BITS[wide[1]!]!);
  const low = /^([a-d])l$|^([sd]i|[sb]p)l$/.exec(name);
  if (low !== null) return register(low[2] ?? `${low[1]}x`, 8);
  const high = /^([a-d])h$/.exec(name);
  return high === null ? undefined : register(`${high[1]}x`, 8, 8);
}

/** Displacement, name and brackets, each of which may be absent: "8(%rbp)", "table+16(%rip)", "-4(%rdi,%rcx,4)". */
const X64_MEMORY =
  /^([-+]?(?:0x[\da-f]+|\d+)(?![\w.]))?([A-Za-z_.$][\w.$@]*)?([-+](?:0x[\da-f]+|\d+))?(?:\(([^)]*)\))?$/i;

function parseX64(operand: string): ArgumentPlace | undefined {
  if (operand.startsWith("$")) return constant(operand.slice(1));
  if (operand.startsWith("%")) {
    const register = x64Register(operand.slice(1));
    return register === undefined ? undefined : { kind: "register", register };
  }
  const match = X64_MEMORY.exec(operand);
  if (match === null) return undefined;
  const [, before, symbol, after, inside] = match;
  const [base = "", index = "", scale = "1"] = (inside ?? "").split(",").map((part) => part.trim());
  const displacement = integer(before) + integer(after);
  if (base === "%rip") {
    return { kind: "memory", base: undefined, index: undefined, scale: 1, displacement, symbol };
  }
  const baseRegister = base === "" ? undefined : x64Register(base.slice(1));
  const indexRegister = index === "" ? undefined : x64Register(index.slice(1));
  // A segment's or a fixed address, or a name that no register relates to where the file is loaded.
  if ((base !== "" && baseRegister === undefined) || (index !== "" && indexRegister === undefined))
    return undefined;
  if (baseRegister === undefined || symbol !== undefined) return undefined;
  return {
    kind: "memory",
    base: baseRegister,
    index: indexRegister,
    scale: Number(scale),
    displacement,
    symbol: undefined,
  };
}

// ---- arm64 ----

/** Registers in `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h): x0 to x30, then sp. */
function arm64Register(name: string, isSigned = false): Register | undefined {
  const match = /^([xw])(\d+)$/.exec(name.replace(/^fp$/, "x29").replace(/^lr$/, "x30"));
  if (match !== null && Number(match[2]) <= 30) {
    return { name, at: Number(match[2]) * 8, shift: 0, bits: match[1] === "x" ? 64 : 32, isSigned };
  }
  if (name === "sp" || name === "wsp") {
    return { name, at: 248, shift: 0, bits: name === "sp" ? 64 : 32, isSigned };
  }
  return undefined;
}

const ARM64_EXTENSION = /^(lsl|sxtw|uxtw|sxtx|uxtx)(?:\s*#?(\d+))?$/;

function parseArm64(operand: string): ArgumentPlace | undefined {
  if (/^#?[-+]?(?:0x[\da-f]+|\d+)$/i.test(operand)) return constant(operand.replace("#", ""));
  if (operand === "xzr" || operand === "wzr") return { kind: "constant", value: 0n };
  const register = arm64Register(operand);
  if (register !== undefined) return { kind: "register", register };
  const inside = /^\[([^\]]+)\]$/.exec(operand)?.[1];
  if (inside === undefined) return undefined;
  const [first = "", second, third] = inside.split(",").map((part) => part.trim());
  const base = arm64Register(first);
  if (base === undefined) return undefined;
  const place = {
    kind: "memory",
    base,
    index: undefined,
    scale: 1,
    displacement: 0n,
    symbol: undefined,
  } as const;
  if (second === undefined) return place;
  const displacement = second.replace("#", "");
  if (/^[-+]?(?:0x[\da-f]+|\d+)$/i.test(displacement))
    return { ...place, displacement: integer(displacement) };
  const extension = ARM64_EXTENSION.exec(third ?? "lsl");
  if (extension === null) return undefined;
  const index = arm64Register(second, extension[1]!.startsWith("s"));
  return index === undefined ? undefined : { ...place, index, scale: 1 << Number(extension[2] ?? 0) };
}

function constant(text: string): ArgumentPlace | undefined {
  return /^[-+]?(?:0x[\da-f]+|\d+)$/i.test(text) ? { kind: "constant", value: integer(text) } : undefined;
}

function integer(text: string | undefined): bigint {
  if (text === undefined) return 0n;
  const digits = text.replace(/^[-+]/, "");
  return text.startsWith("-") ? -BigInt(digits) : BigInt(digits);
}
