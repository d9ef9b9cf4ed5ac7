import type { MapReference, ProgramSpec } from "../../../framework/object/object-spec.ts";
import { map, program } from "../../kernel/runtime/assembly.ts";
import { copy, exit, type Insn, insn, mov, wide } from "../../unit/machine/assembler.ts";
import type { Random } from "../../unit/rewriter/random.ts";

/** Instructions that stay together: jumps go from one group to another. */
type Group = readonly Insn[];

/** A jump over some groups, its distance still to be told. */
interface Jump {
  /** What comes right before it. */
  readonly before?: Group;
  readonly over: number;
  readonly to: (slots: number) => Insn;
}

type Item = Group | Jump;

const WORKING = [0, 2, 3, 4, 5] as const;
const KEPT = [6, 7, 8, 9] as const;
/** Words of the frame that programs work on. */
const SLOTS = 4;
const CONDITIONS = "jeq jgt jge jset jne jsgt jsge jlt jle jslt jsle".split(" ");
const PLAIN = "add sub mul div or and lsh rsh mod xor mov arsh".split(" ");
/** What the frame's words take. What fetches there misleads verifiers before 6.18.50, which has tests of its own. */
const ATOMICS = "add or and xor".split(" ");
const FETCHING = [...ATOMICS, ..."fetch_add fetch_or fetch_and fetch_xor xchg cmpxchg".split(" ")];
const SIZES = { b: 1, h: 2, w: 4, dw: 8 } as const;
const EDGES = [0n, 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 63n - 1n];

/** The map whose only value is a program's memory beside its frame: of its words the verifier knows nothing. */
export const SHARED = map("array", { name: "shared", valueSize: 8 * SLOTS, maxEntries: 1 });

/** What generated programs may have. */
export interface Allowed {
  /** The instructions of version 4: signed division, moves and loads with the sign, byte swaps, the long jump (6.6). */
  readonly version4: boolean;
}

/**
 * A program of random instructions that the verifier accepts: jumps go forward, memory is the frame and the value of
 * SHARED, loops there are none. Whatever both sides give is right; all registers and the frame count for it.
 */
export function randomProgram(random: Random, allowed: Allowed): ProgramSpec {
  const insns = randomInsns(random, allowed);
  let insn = 0;
  const mapReferences: MapReference[] = [];
  for (const each of insns) {
    if (isSharedValue(each)) mapReferences.push({ insn, map: SHARED.name, valueOffset: 0 });
    insn += each.length / 8;
  }
  return program("xdp", insns, { mapReferences });
}

function randomInsns(random: Random, allowed: Allowed): readonly Insn[] {
  const functions = random.below(3);
  const bodies = Array.from({ length: functions + 1 }, (_, depth) =>
    functionOf(random, allowed, depth, depth < functions),
  );
  const starts = bodies.map((_, depth) => slotsOf(bodies.slice(0, depth).flat()));
  let at = 0;
  return bodies.flat().map((each) => {
    const here = at;
    at += each.length / 8;
    // Calls name the function by its depth until all lengths are known.
    return each[0] === CALL && each[1] === LOCAL ? callTo(starts[each[4]!]! - here - 1) : each;
  });
}

/** r1 = the value of SHARED */
const sharedValue = insn("ld_map_value", { dst: 1 });

function isSharedValue(each: Insn): boolean {
  return each[0] === sharedValue[0] && each[1] === sharedValue[1];
}

const CALL = 0x85;
const LOCAL = 1 << 4;

function callTo(imm: number): Insn {
  return insn("call_local", { imm });
}

function slotsOf(insns: readonly Insn[]): number {
  return insns.reduce((sum, each) => sum + each.length / 8, 0);
}

function word(random: Random): bigint {
  if (random.below(3) === 0) return random.pick(EDGES);
  return (BigInt(random.below(2 ** 32)) << 32n) | BigInt(random.below(2 ** 32));
}

/** One function: its registers and frame filled, a body, and all of it folded into r0. */
function functionOf(random: Random, allowed: Allowed, depth: number, calls: boolean): readonly Insn[] {
  const isMain = depth === 0;
  const begin: Insn[] = [];
  // What a function gets as r2 to r5 comes from its caller.
  for (const register of isMain ? WORKING : [0]) begin.push(wide(register, word(random)));
  for (const register of KEPT) begin.push(wide(register, word(random)));
  for (let slot = 1; slot <= SLOTS; slot++)
    begin.push(insn("stx_dw", { dst: 10, src: random.pick(WORKING), off: -8 * slot }));
  const items: Item[] = [];
  const length = 20 + random.below(50);
  for (let i = 0; i < length; i++) items.push(random.pick(makers)(random, allowed));
  if (calls) items.splice(random.below(length), 0, callOf(depth + 1));
  const fold = [...WORKING.slice(1), ...KEPT].flatMap((src) => [
    insn("mul64_imm", { dst: 0, imm: 31 }),
    insn("xor64_reg", { dst: 0, src }),
  ]);
  const frame = Array.from({ length: SLOTS }, (_, slot) => [
    insn("ldx_dw", { dst: 2, src: 10, off: -8 * (slot + 1) }),
    insn("mul64_imm", { dst: 0, imm: 31 }),
    insn("xor64_reg", { dst: 0, src: 2 }),
  ]).flat();
  const half = [copy(2, 0), insn("rsh64_imm", { dst: 2, imm: 32 }), insn("xor32_reg", { dst: 0, src: 2 })];
  return [...begin, ...placed(items), ...fold, ...frame, ...(isMain ? half : []), exit];
}

/** A call, and the registers that it leaves undefined filled again. */
function callOf(depth: number): Group {
  const again = WORKING.slice(1).map((dst, index) => copy(dst, KEPT[index]!));
  return [mov(1, 0), callTo(depth), ...again];
}

/** Puts groups one behind another, and tells jumps how far they go. */
function placed(items: readonly Item[]): readonly Insn[] {
  const lengths = items.map((item) => (isJump(item) ? slotsOf(item.before ?? []) + 1 : slotsOf(item)));
  return items.flatMap((item, at) => {
    if (!isJump(item)) return item;
    const slots = lengths.slice(at + 1, at + 1 + item.over).reduce((sum, each) => sum + each, 0);
    return [...(item.before ?? []), item.to(slots)];
  });
}

function isJump(item: Item): item is Jump {
  return "over" in item;
}

type Maker = (random: Random, allowed: Allowed) => Item;

const registers = (random: Random) => ({ dst: random.pick(WORKING), src: random.pick(WORKING) });
const immediate = (random: Random): number =>
  random.pick([random.below(2 ** 32) | 0, random.below(32), 1, -1, -(2 ** 31)]);

const makers: readonly Maker[] = [
  // Jumps of both widths.
  (random) => {
    const name = `${random.pick(CONDITIONS)}${random.pick(["", "32"])}`;
    const { dst, src } = registers(random);
    const imm = immediate(random);
    const isReg = random.below(2) === 0;
    return {
      over: random.below(4),
      to: (off) => (isReg ? insn(`${name}_reg`, { dst, src, off }) : insn(`${name}_imm`, { dst, imm, off })),
    };
  },
  (random, { version4 }) => {
    // What it passes must be reached by other ways.
    const before = [insn("jset_imm", { dst: random.pick(WORKING), imm: immediate(random), off: 1 })];
    const isLong = version4 && random.below(2) === 0;
    return {
      before,
      over: random.below(3),
      to: (slots) => (isLong ? insn("ja32", { imm: slots }) : insn("ja", { off: slots })),
    };
  },
  // Arithmetic by registers, which may be zero; constants that shift too far or divide by zero are refused.
  (random, { version4 }) => {
    const ops = version4 ? [...PLAIN, "sdiv", "smod", "sdiv", "smod"] : PLAIN;
    return [insn(`${random.pick(ops)}${random.pick([32, 64])}_reg`, registers(random))];
  },
  (random, { version4 }) => {
    const op = random.pick(version4 ? [...PLAIN, "sdiv", "smod"] : PLAIN);
    const width = random.pick([32, 64]);
    const imm = immediate(random);
    const isShift = ["lsh", "rsh", "arsh"].includes(op);
    return [
      insn(`${op}${width}_imm`, {
        dst: random.pick(WORKING),
        imm: isShift ? random.below(width) : imm === 0 ? 1 : imm,
      }),
    ];
  },
  // Edges, so that overflows and divisions by zero do happen.
  (random) => [wide(random.pick(WORKING), random.pick(EDGES))],
  (random, { version4 }) => {
    const { dst, src } = registers(random);
    const swap = random.pick(version4 ? ["be", "le", "bswap"] : ["be", "le"]);
    return random.pick([
      [insn(`neg${random.pick([32, 64])}`, { dst })],
      [insn(`${swap}${random.pick([16, 32, 64])}`, { dst })],
      version4
        ? [
            insn(random.pick(["movsx8_32", "movsx16_32", "movsx8_64", "movsx16_64", "movsx32_64"]), {
              dst,
              src,
            }),
          ]
        : [copy(dst, src)],
    ]);
  },
  // Memory: loads, stores and atomic operations of every size, aligned as the verifier wants them.
  (random, { version4 }) => {
    const letter = random.pick(Object.keys(SIZES) as (keyof typeof SIZES)[]);
    const { base, before, off } = place(random, SIZES[letter]);
    const { dst, src } = registers(random);
    const load = version4 && letter !== "dw" && random.below(2) === 0 ? `ldxs_${letter}` : `ldx_${letter}`;
    const access = random.pick([
      insn(load, { dst, src: base, off }),
      insn(`stx_${letter}`, { dst: base, src, off }),
      insn(`st_${letter}`, { dst: base, imm: immediate(random), off }),
    ]);
    return [...before, access];
  },
  (random) => {
    const letter = random.pick(["w", "dw"] as const);
    const { base, before, off } = place(random, SIZES[letter]);
    const src = random.pick(WORKING);
    const name = random.pick(base === FRAME ? ATOMICS : FETCHING);
    const atomic = insn(`atomic_${name}_${letter}`, { dst: base, src, off });
    // A comparison that holds, now and then.
    return random.below(3) === 0
      ? [...before, insn(`ldx_${letter}`, { dst: 0, src: base, off }), atomic]
      : [...before, atomic];
  },
];

const FRAME = 10;

/** Some bytes of the frame, or of the value that r1 is made to point to. */
function place(random: Random, size: number): { base: number; before: Group; off: number } {
  const at = size * random.below((8 * SLOTS) / size);
  return random.below(2) === 0
    ? { base: FRAME, before: [], off: at - 8 * SLOTS }
    : { base: 1, before: [sharedValue], off: at };
}
