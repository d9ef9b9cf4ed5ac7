/** What following code needs to know of one instruction of x86-64. */
export interface CodeInstruction {
  /** Bytes, 1 to 15. */
  readonly length: number;
  /** Where it may jump to or call, as a place in the same bytes; undefined when it does not, or by a register. */
  readonly target: number | undefined;
  /** Whether what follows it is reached in other ways only. */
  readonly ends: boolean;
}

/** Sizes that prefixes change. */
interface Prefixes {
  /** 16-bit operands (66). */
  half: boolean;
  /** 32-bit addresses (67). */
  short: boolean;
  /** 64-bit operands (REX.W). */
  wide: boolean;
}

/** What comes behind an opcode. */
interface Shape {
  /** A ModRM byte, with SIB and displacement as it says; "register" never has those. */
  readonly modrm?: "any" | "register";
  /** Bytes of immediates. `reg` is the middle field of ModRM. */
  readonly immediate?: (prefixes: Prefixes, reg: number) => number;
  /** Whether the immediate is a distance to jump. */
  readonly jumps?: true;
}

/** Immediates of the operand's size, but never more than four bytes. */
const full = ({ half, wide }: Prefixes): number => (half && !wide ? 2 : 4);

/** The letters of the opcode maps below. A letter that is not here is an opcode that 64-bit code cannot have. */
const shapes: Readonly<Record<string, Shape>> = {
  ".": {},
  m: { modrm: "any" },
  // Control and debug registers: there is no memory form.
  c: { modrm: "register" },
  b: { immediate: () => 1 },
  w: { immediate: () => 2 },
  e: { immediate: () => 3 },
  z: { immediate: full },
  B: { modrm: "any", immediate: () => 1 },
  Z: { modrm: "any", immediate: full },
  D: { modrm: "any", immediate: () => 4 },
  // mov of a constant, and of an absolute address.
  v: { immediate: (prefixes) => (prefixes.wide ? 8 : full(prefixes)) },
  o: { immediate: ({ short }) => (short ? 4 : 8) },
  t: { immediate: () => 1, jumps: true },
  j: { immediate: () => 4, jumps: true },
  // Group 3: only "test" has a constant.
  g: { modrm: "any", immediate: (_, reg) => (reg < 2 ? 1 : 0) },
  G: { modrm: "any", immediate: (prefixes, reg) => (reg < 2 ? full(prefixes) : 0) },
};

/**
 * Opcode maps of Intel's and AMD's manuals, appendix A: 16 opcodes in a row. Besides the letters of `shapes`: "p" is a
 * prefix, ">" leads to another map, "2", "3", "E" and "X" begin a VEX, EVEX or XOP prefix.
 */
const PRIMARY = [
  "mmmmbz!!mmmmbz!>",
  "mmmmbz!!mmmmbz!!",
  "mmmmbzp!mmmmbzp!",
  "mmmmbzp!mmmmbzp!",
  "pppppppppppppppp",
  "................",
  "!!EmppppzZbB....",
  "tttttttttttttttt",
  "BZ!BmmmmmmmmmmmX",
  "..........!.....",
  "oooo....bz......",
  "bbbbbbbbvvvvvvvv",
  "BBw.32BZe.w..b!.",
  "mmmm!!!.mmmmmmmm",
  "ttttbbbbjj!t....",
  "p.pp..gG......mm",
].join("");

const SECOND = [
  "mmmm!.....!.!m.B",
  "mmmmmmmmmmmmmmmm",
  "cccc!!!!mmmmmmmm",
  "......!.>!>!!!!!",
  "mmmmmmmmmmmmmmmm",
  "mmmmmmmmmmmmmmmm",
  "mmmmmmmmmmmmmmmm",
  "BBBBmmm.!m!!mmmm",
  "jjjjjjjjjjjjjjjj",
  "mmmmmmmmmmmmmmmm",
  "...mBmmm...mBmmm",
  "mmmmmmmmmmBmmmmm",
  "mmBmBBBm........",
  "mmmmmmmmmmmmmmmm",
  "mmmmmmmmmmmmmmmm",
  "mmmmmmmmmmmmmmmm",
].join("");

/** Letters of the maps that VEX and EVEX prefixes name by number: these have ModRM always. 5 and 6 are EVEX's own. */
const vectorMaps: Readonly<Record<number, (opcode: number) => string>> = {
  1: (opcode) => (SECOND[opcode] === "B" ? "B" : "m"),
  2: () => "m",
  3: () => "B",
  5: () => "m",
  6: () => "m",
};

/** Letters of XOP's maps. */
const xopMaps: Readonly<Record<number, string>> = { 8: "B", 9: "m", 10: "D" };

/** The longest instruction that processors take. */
const LONGEST_INSTRUCTION = 15;

/** An instruction that is being read. */
interface Opcode {
  /** In `shapes`; undefined for what this table does not know. */
  readonly letter: string | undefined;
  /** For those that end a path: without prefixes, for instance 0x0f0b. */
  readonly name: number;
  /** The first byte behind the opcode. */
  readonly next: number;
}

/**
 * The instruction at a place of some code; undefined for bytes that are none, for one that the bytes cut off, and for
 * those on whose length processors disagree (a near jump with an operand size prefix). Lengths only: operands that a
 * processor would refuse are not looked at.
 */
export function x86Instruction(code: Uint8Array, at: number): CodeInstruction | undefined {
  const prefixes: Prefixes = { half: false, short: false, wide: false };
  const opcode = readOpcode(code, readPrefixes(code, at, prefixes));
  const shape = opcode.letter === undefined ? undefined : shapes[opcode.letter];
  if (shape === undefined) return undefined;
  if (opcode.letter === "j" && prefixes.half && !prefixes.wide) return undefined;
  const modrm = code[opcode.next] ?? 0;
  const reg = (modrm >> 3) & 7;
  const constant =
    opcode.next + (shape.modrm === undefined ? 0 : operandBytes(code, opcode.next, shape.modrm));
  const size = shape.immediate?.(prefixes, reg) ?? 0;
  const end = constant + size;
  if (end > code.length || end - at > LONGEST_INSTRUCTION) return undefined;
  return {
    length: end - at,
    target: shape.jumps === true ? end + distance(code, constant, size) : undefined,
    ends: ENDS.has(opcode.name) || (opcode.name === 0xff && (reg === 4 || reg === 5)),
  };
}

const NO_END = -1;

/** ret, iret, int3, jmp, hlt, ud2, ud1, ud0. Indirect jmp is one of a group. */
const ENDS = new Set([0xc2, 0xc3, 0xca, 0xcb, 0xcf, 0xcc, 0xe9, 0xeb, 0xf4, 0x0f0b, 0x0fb9, 0x0fff]);

/** Gives the place behind the prefixes, those of VEX and its kind excepted. */
function readPrefixes(code: Uint8Array, at: number, prefixes: Prefixes): number {
  for (let next = at; ; next++) {
    const byte = code[next];
    if (byte === undefined || PRIMARY[byte] !== "p") return next;
    // Only as the last prefix does REX mean anything.
    prefixes.wide = (byte & 0xf8) === 0x48;
    if (byte === 0x66) prefixes.half = true;
    if (byte === 0x67) prefixes.short = true;
  }
}

function readOpcode(code: Uint8Array, at: number): Opcode {
  const first = code[at] ?? 0;
  const letter = at < code.length ? PRIMARY[first]! : "!";
  return leads[letter]?.(code, at) ?? { letter, name: first, next: at + 1 };
}

/** What the letters mean behind which an opcode of another map stands. */
const leads: Readonly<Record<string, (code: Uint8Array, at: number) => Opcode>> = {
  ">": (code, at) => secondMap(code, at + 1),
  "2": (code, at) => vector(code, at + 2, 1),
  "3": (code, at) => vector(code, at + 3, (code[at + 1] ?? 0) & 0x1f),
  // Bit 2 of the second byte is always set; without it this is APX, whose maps are others.
  E: (code, at) => vector(code, at + 4, ((code[at + 2] ?? 0) & 4) === 0 ? -1 : (code[at + 1] ?? 0) & 7),
  X: (code, at) => {
    // pop has a ModRM byte here, whose middle field is 0: too small a number for a map.
    const map = (code[at + 1] ?? 0) & 0x1f;
    return map < 8
      ? { letter: "m", name: NO_END, next: at + 1 }
      : { letter: xopMaps[map], name: NO_END, next: at + 4 };
  },
};

function secondMap(code: Uint8Array, at: number): Opcode {
  const opcode = code[at] ?? 0;
  if (opcode === 0x38) return { letter: "m", name: NO_END, next: at + 2 };
  if (opcode === 0x3a) return { letter: "B", name: NO_END, next: at + 2 };
  return { letter: SECOND[opcode], name: 0x0f00 | opcode, next: at + 1 };
}

/** An opcode behind a VEX or EVEX prefix. */
function vector(code: Uint8Array, at: number, map: number): Opcode {
  const opcode = code[at] ?? 0;
  // vzeroupper and vzeroall are the only ones without operands.
  const letter = map === 1 && opcode === 0x77 ? "." : vectorMaps[map]?.(opcode);
  return { letter, name: NO_END, next: at + 1 };
}

/** Bytes of ModRM, SIB and displacement. */
function operandBytes(code: Uint8Array, at: number, kind: "any" | "register"): number {
  const modrm = code[at] ?? 0;
  const mode = modrm >> 6;
  if (mode === 3 || kind === "register") return 1;
  const hasSib = (modrm & 7) === 4;
  const base = (hasSib ? (code[at + 1] ?? 0) : modrm) & 7;
  const displacement = mode === 1 ? 1 : mode === 2 || base === 5 ? 4 : 0;
  return 1 + Number(hasSib) + displacement;
}

function distance(code: Uint8Array, at: number, size: number): number {
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  return size === 1 ? view.getInt8(at) : view.getInt32(at, true);
}
