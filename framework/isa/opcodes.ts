/** An instruction's fields, besides its opcode byte, that can carry something. */
export type OperandField = "dst" | "src" | "off" | "imm";

/** Operations of ALU instructions, by name; `code` is the upper half of the opcode byte (RFC 9669, 4.1). */
export interface AluOp {
  readonly code: number;
  /** What stands between destination and source in text. */
  readonly sign: string;
  /** Value of the offset that tells this operation from others of the same code. */
  readonly off: number;
}

// biome-ignore format: columns
export const aluOps = {
  add: { code: 0x00, sign: "+=", off: 0 },
  sub: { code: 0x10, sign: "-=", off: 0 },
  mul: { code: 0x20, sign: "*=", off: 0 },
  div: { code: 0x30, sign: "/=", off: 0 },
  sdiv: { code: 0x30, sign: "s/=", off: 1 },
  or: { code: 0x40, sign: "|=", off: 0 },
  and: { code: 0x50, sign: "&=", off: 0 },
  lsh: { code: 0x60, sign: "<<=", off: 0 },
  rsh: { code: 0x70, sign: ">>=", off: 0 },
  neg: { code: 0x80, sign: "-", off: 0 },
  mod: { code: 0x90, sign: "%=", off: 0 },
  smod: { code: 0x90, sign: "s%=", off: 1 },
  xor: { code: 0xa0, sign: "^=", off: 0 },
  mov: { code: 0xb0, sign: "=", off: 0 },
  movsx8: { code: 0xb0, sign: "(s8)", off: 8 },
  movsx16: { code: 0xb0, sign: "(s16)", off: 16 },
  movsx32: { code: 0xb0, sign: "(s32)", off: 32 },
  arsh: { code: 0xc0, sign: "s>>=", off: 0 },
} as const satisfies Record<string, AluOp>;

export type AluName = keyof typeof aluOps;

/** Conditions of jumps; `code` is the upper half of the opcode byte (RFC 9669, 4.3). */
// biome-ignore format: columns
export const jumpOps = {
  jeq: { code: 0x10, sign: "==" },
  jgt: { code: 0x20, sign: ">" },
  jge: { code: 0x30, sign: ">=" },
  jset: { code: 0x40, sign: "&" },
  jne: { code: 0x50, sign: "!=" },
  jsgt: { code: 0x60, sign: "s>" },
  jsge: { code: 0x70, sign: "s>=" },
  jlt: { code: 0xa0, sign: "<" },
  jle: { code: 0xb0, sign: "<=" },
  jslt: { code: 0xc0, sign: "s<" },
  jsle: { code: 0xd0, sign: "s<=" },
} as const satisfies Record<string, { readonly code: number; readonly sign: string }>;

export type JumpName = keyof typeof jumpOps;

/** Atomic operations by their immediate (RFC 9669, 5.3). */
// biome-ignore format: columns
export const atomicOps = {
  add: { imm: 0x00, fetch: false },
  or: { imm: 0x40, fetch: false },
  and: { imm: 0x50, fetch: false },
  xor: { imm: 0xa0, fetch: false },
  fetch_add: { imm: 0x01, fetch: true },
  fetch_or: { imm: 0x41, fetch: true },
  fetch_and: { imm: 0x51, fetch: true },
  fetch_xor: { imm: 0xa1, fetch: true },
  xchg: { imm: 0xe1, fetch: true },
  cmpxchg: { imm: 0xf1, fetch: true },
} as const satisfies Record<string, { readonly imm: number; readonly fetch: boolean }>;

export type AtomicName = keyof typeof atomicOps;

/** What the source field of a wide load says its immediate is (RFC 9669, 5.4). */
export const wideForms = [
  "imm64",
  "map",
  "map_value",
  "variable",
  "func",
  "map_index",
  "map_index_value",
] as const;

export type WideForm = (typeof wideForms)[number];

/** What the source field of a call says its immediate is (RFC 9669, 4.3.1). */
export const callForms = ["helper", "local", "kernel"] as const;

export type CallForm = (typeof callForms)[number];

/** Bytes of a memory access. */
export type AccessSize = 1 | 2 | 4 | 8;

/** What an instruction does. `source` says whether the second operand is the immediate or a register. */
export type Operation =
  | { readonly kind: "alu"; readonly op: AluName; readonly width: 32 | 64; readonly source: "imm" | "reg" }
  | { readonly kind: "swap"; readonly op: "le" | "be" | "bswap"; readonly width: 16 | 32 | 64 }
  | { readonly kind: "jump"; readonly op: JumpName; readonly width: 32 | 64; readonly source: "imm" | "reg" }
  /** `from` is the field with the distance: "imm" for the long jump. */
  | { readonly kind: "goto"; readonly from: "off" | "imm" }
  | { readonly kind: "call"; readonly callee: CallForm }
  | { readonly kind: "exit" }
  | { readonly kind: "load"; readonly size: AccessSize; readonly signed: boolean }
  | { readonly kind: "store"; readonly size: AccessSize; readonly source: "imm" | "reg" }
  | { readonly kind: "atomic"; readonly op: AtomicName; readonly size: 4 | 8 }
  /** Takes two slots; the second one's immediate is the upper half, or an offset. */
  | { readonly kind: "wide"; readonly form: WideForm }
  /** The old access to packets, big-endian, at a constant place or at one that a register adds to. */
  | { readonly kind: "packet"; readonly size: 1 | 2 | 4; readonly indirect: boolean };

/** One instruction of the set. */
export type Opcode = Operation & {
  /** Unique, for instance "add64_imm", "ldx_w", "jslt32_reg". */
  readonly name: string;
  /** The opcode byte. */
  readonly code: number;
  /** The field and value that tell this instruction from others with its opcode byte; null when none does. */
  readonly selector: { readonly field: "src" | "off" | "imm"; readonly value: number } | null;
  /** Fields that carry operands; all others, except the selector's, are reserved and zero. */
  readonly fields: readonly OperandField[];
};

const LD = 0x00;
const LDX = 0x01;
const ST = 0x02;
const STX = 0x03;
const ALU = 0x04;
const JMP = 0x05;
const JMP32 = 0x06;
const ALU64 = 0x07;

const REGISTER = 0x08;
const SIZES: readonly (readonly [AccessSize, number, string])[] = [
  [1, 0x10, "b"],
  [2, 0x08, "h"],
  [4, 0x00, "w"],
  [8, 0x18, "dw"],
];
const ABS = 0x20;
const IND = 0x40;
const MEM = 0x60;
const MEMSX = 0x80;
const ATOMIC = 0xc0;

function keysOf<T extends object>(table: T): readonly (keyof T)[] {
  return Object.keys(table) as (keyof T)[];
}

function* alu(): Generator<Opcode> {
  for (const op of keysOf(aluOps)) {
    const { code, off } = aluOps[op];
    const selects = op !== "neg" && [0x30, 0x90, 0xb0].includes(code);
    for (const [width, group] of [
      [64, ALU64],
      [32, ALU],
    ] as const) {
      for (const source of ["imm", "reg"] as const) {
        if (op === "neg" && source === "reg") continue;
        if (op.startsWith("movsx") && (source === "imm" || (off === 32 && width === 32))) continue;
        yield {
          kind: "alu",
          op,
          width,
          source,
          name: op.startsWith("movsx")
            ? `${op}_${width}`
            : `${op}${width}${op === "neg" ? "" : `_${source}`}`,
          code: code | group | (source === "reg" ? REGISTER : 0),
          // A move of an immediate has no forms to tell apart.
          selector: selects && !(code === 0xb0 && source === "imm") ? { field: "off", value: off } : null,
          fields: op === "neg" ? ["dst"] : ["dst", source === "reg" ? "src" : "imm"],
        };
      }
    }
  }
}

function* swaps(): Generator<Opcode> {
  for (const [op, code] of [
    ["le", 0xd0 | ALU],
    ["be", 0xd0 | ALU | REGISTER],
    ["bswap", 0xd0 | ALU64],
  ] as const) {
    for (const width of [16, 32, 64] as const) {
      const selector = { field: "imm", value: width } as const;
      yield { kind: "swap", op, width, name: `${op}${width}`, code, selector, fields: ["dst"] };
    }
  }
}

function* jumps(): Generator<Opcode> {
  yield { kind: "goto", from: "off", name: "ja", code: JMP, selector: null, fields: ["off"] };
  yield { kind: "goto", from: "imm", name: "ja32", code: JMP32, selector: null, fields: ["imm"] };
  for (const op of keysOf(jumpOps)) {
    for (const [width, group] of [
      [64, JMP],
      [32, JMP32],
    ] as const) {
      for (const source of ["imm", "reg"] as const) {
        yield {
          kind: "jump",
          op,
          width,
          source,
          name: `${op}${width === 32 ? "32" : ""}_${source}`,
          code: jumpOps[op].code | group | (source === "reg" ? REGISTER : 0),
          selector: null,
          fields: ["dst", "off", source === "reg" ? "src" : "imm"],
        };
      }
    }
  }
  for (const [value, callee] of callForms.entries()) {
    yield {
      kind: "call",
      callee,
      name: `call_${callee}`,
      code: 0x80 | JMP,
      selector: { field: "src", value },
      // A kernel function's offset says which module's types number it.
      fields: callee === "kernel" ? ["imm", "off"] : ["imm"],
    };
  }
  yield { kind: "exit", name: "exit", code: 0x90 | JMP, selector: null, fields: [] };
}

function* memory(): Generator<Opcode> {
  for (const [size, bits, name] of SIZES) {
    const place = ["dst", "off"] as const;
    yield {
      kind: "load",
      size,
      signed: false,
      name: `ldx_${name}`,
      code: LDX | MEM | bits,
      selector: null,
      fields: ["dst", "src", "off"],
    };
    if (size < 8)
      yield {
        kind: "load",
        size,
        signed: true,
        name: `ldxs_${name}`,
        code: LDX | MEMSX | bits,
        selector: null,
        fields: ["dst", "src", "off"],
      };
    yield {
      kind: "store",
      size,
      source: "imm",
      name: `st_${name}`,
      code: ST | MEM | bits,
      selector: null,
      fields: [...place, "imm"],
    };
    yield {
      kind: "store",
      size,
      source: "reg",
      name: `stx_${name}`,
      code: STX | MEM | bits,
      selector: null,
      fields: [...place, "src"],
    };
    if (size === 4 || size === 8) {
      for (const op of keysOf(atomicOps)) {
        const selector = { field: "imm", value: atomicOps[op].imm } as const;
        yield {
          kind: "atomic",
          op,
          size,
          name: `atomic_${op}_${name}`,
          code: STX | ATOMIC | bits,
          selector,
          fields: [...place, "src"],
        };
      }
    }
    if (size === 8) continue;
    yield {
      kind: "packet",
      size,
      indirect: false,
      name: `ldabs_${name}`,
      code: LD | ABS | bits,
      selector: null,
      fields: ["imm"],
    };
    yield {
      kind: "packet",
      size,
      indirect: true,
      name: `ldind_${name}`,
      code: LD | IND | bits,
      selector: null,
      fields: ["src", "imm"],
    };
  }
  for (const [value, form] of wideForms.entries()) {
    const selector = { field: "src", value } as const;
    yield { kind: "wide", form, name: `ld_${form}`, code: LD | 0x18, selector, fields: ["dst", "imm"] };
  }
}

interface OpcodeTable {
  readonly all: readonly Opcode[];
  readonly byCode: readonly (readonly Opcode[])[];
  readonly byName: ReadonlyMap<string, Opcode>;
}

let made: OpcodeTable | undefined;

/** Made on first use: most starts of the library decode nothing. */
function table(): OpcodeTable {
  if (made === undefined) {
    const all = [...alu(), ...swaps(), ...jumps(), ...memory()];
    const byCode: Opcode[][] = Array.from({ length: 256 }, () => []);
    for (const opcode of all) byCode[opcode.code]!.push(opcode);
    made = { all, byCode, byName: new Map(all.map((opcode) => [opcode.name, opcode])) };
  }
  return made;
}

/** Every instruction of RFC 9669, the packet access it keeps for old programs included. */
export function allOpcodes(): readonly Opcode[] {
  return table().all;
}

/** The instructions that share an opcode byte; none for a byte that the standard leaves unused. */
export function opcodesOf(code: number): readonly Opcode[] {
  return table().byCode[code] ?? [];
}

/** An instruction by its name, for instance "add64_imm". */
export function opcodeNamed(name: string): Opcode | undefined {
  return table().byName.get(name);
}
