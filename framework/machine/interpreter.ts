// Longer than other files: one switch over all operations, which is what makes it fast.
import { REGISTERS } from "../isa/instruction.ts";
import { divide, divideSigned, multiply, swap32 } from "./arithmetic.ts";
import { atomic } from "./atomics.ts";
import type { CheckedProgram, Code, Engine } from "./engine.ts";
import { type Execution, MOST_FRAMES } from "./execution.ts";
import { loadKernel } from "./kernel-loads.ts";
import { ATOMIC, type Lowered, lower, WORDS } from "./lower.ts";
import { FIRST_HIGH, LOW_BASE, NO_REGION, type Region } from "./memory.ts";
import { loadPacket } from "./packet-access.ts";
import { tailCall } from "./tail-call.ts";

// Numbers of this file's own: loaders that compile imports to getters would make each use in the loop a call.
const HIGH = FIRST_HIGH;
const BASE = LOW_BASE;
const STEP = WORDS;
const NOTHING = NO_REGION;
const FRAMES = MOST_FRAMES;
const FIRST_ATOMIC = ATOMIC;

const NO_STACK = new Int32Array(0);

/** Words that a local call saves: r6 to r9, and where to go on. */
const SAVED = 9;

/** Register files kept for the next run of a program. */
const MOST_FILES = 4;

/** Runs programs instruction by instruction. Needs nothing but JavaScript. */
export const interpreter: Engine = {
  name: "interpreter",
  prepare: (program: CheckedProgram) => new Interpreted(lower(program)),
};

class Interpreted implements Code {
  readonly #lowered: Lowered;
  /** Registers with the program's constants behind them, ready for a run. */
  readonly #files: Int32Array[] = [];

  constructor(lowered: Lowered) {
    this.#lowered = lowered;
  }

  run(run: Execution, slot: number): void {
    const { registers: outer, depth } = run;
    const file = this.#files.pop() ?? this.#newFile();
    file.fill(0, 0, 2 * REGISTERS);
    for (let i = 2; i < 12; i++) file[i] = outer[i]!;
    run.registers = file;
    try {
      interpret(run, this.#lowered, this.#lowered.starts[slot]!);
    } finally {
      run.registers = outer;
      run.depth = depth;
      if (this.#files.length < MOST_FILES) this.#files.push(file);
    }
    outer[0] = file[0]!;
    outer[1] = file[1]!;
  }

  #newFile(): Int32Array {
    const { constants } = this.#lowered;
    const file = new Int32Array(2 * REGISTERS + constants.length);
    file.set(constants, 2 * REGISTERS);
    return file;
  }
}

/** Memory that a program touches outside the window of its region: other elements, contexts with rules, or a fault. */
function loadSlowly(
  run: Execution,
  slot: number,
  region: Region,
  at: number,
  size: number,
  dst: number,
  src: number,
): void {
  const r = run.registers;
  if (region.rules !== null) {
    if (at >= 0 && region.rules.load(at, size, r, dst)) return;
  } else if (region.allows(at, size, false)) {
    const { view } = region;
    r[dst + 1] = size === 8 ? view.getInt32(at + 4, true) : 0;
    r[dst] = size >= 4 ? view.getInt32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at);
    return;
  }
  if (region === NOTHING && loadKernel(run, addressOf(r[src + 1]!, at), size, dst)) return;
  throw badAccess(run, slot, src, at, size, false);
}

function storeSlowly(
  run: Execution,
  slot: number,
  region: Region,
  at: number,
  size: number,
  dst: number,
  src: number,
): void {
  const r = run.registers;
  if (region.rules !== null) {
    if (at >= 0 && region.rules.store(at, size, r[src]!, r[src + 1]!)) return;
  } else if (region.allows(at, size, true)) {
    const { view } = region;
    if (size === 1) view.setInt8(at, r[src]!);
    else if (size === 2) view.setInt16(at, r[src]!, true);
    else view.setInt32(at, r[src]!, true);
    if (size === 8) view.setInt32(at + 4, r[src + 1]!, true);
    return;
  }
  throw badAccess(run, slot, dst, at, size, true);
}

function addressOf(high: number, at: number): bigint {
  return BigInt.asUintN(64, (BigInt(high) << 32n) + BigInt(at + BASE));
}

/** `at` is the offset in a region that the address would have, had it one: adding to it may have carried. */
function badAccess(
  run: Execution,
  slot: number,
  register: number,
  at: number,
  size: number,
  write: boolean,
): Error {
  const low = at + BASE;
  const carry = low < 0 ? -1 : low >= 2 ** 32 ? 1 : 0;
  return run.badAccess(slot, { low: low | 0, high: (run.registers[register + 1]! + carry) | 0, size, write });
}

/** Goes back to the caller of a local function: its registers, its frame, and the place of its call. */
function leave(run: Execution, stack: Int32Array, frame: number): number {
  run.depth--;
  run.openFrame();
  const r = run.registers;
  const at = (run.depth - frame) * SAVED;
  for (let i = 0; i < 8; i++) r[12 + i] = stack[at + i]!;
  r[20] = run.framePointer;
  return stack[at + 8]!;
}

function interpret(run: Execution, lowered: Lowered, start: number): void {
  const { code, helpers, slots } = lowered;
  const r = run.registers;
  const regions = run.regions;
  const frame = run.depth;
  let stack = NO_STACK;
  let budget = run.budget;
  let pc = start;
  run.clearFrame();
  r[20] = run.framePointer;
  r[21] = HIGH;
  for (;;) {
    if (--budget < 0) {
      run.budget = 0;
      throw run.outOfBudget(slots[pc >> 2]!);
    }
    const dst = code[pc + 1]!;
    const src = code[pc + 2]!;
    switch (code[pc]) {
      case 0: {
        // add
        const a = r[dst]!;
        const low = (a + r[src]!) | 0;
        r[dst + 1] = (r[dst + 1]! + r[src + 1]! + (low >>> 0 < a >>> 0 ? 1 : 0)) | 0;
        r[dst] = low;
        break;
      }
      case 1: {
        // sub
        const a = r[dst]!;
        const b = r[src]!;
        r[dst + 1] = (r[dst + 1]! - r[src + 1]! - (a >>> 0 < b >>> 0 ? 1 : 0)) | 0;
        r[dst] = (a - b) | 0;
        break;
      }
      case 2: // mul
        multiply(r, dst, src);
        break;
      case 3: // div
        divide(r, dst, src, false);
        break;
      case 4: // sdiv
        divideSigned(r, dst, src, false);
        break;
      case 5: // or
        r[dst] = r[dst]! | r[src]!;
        r[dst + 1] = r[dst + 1]! | r[src + 1]!;
        break;
      case 6: // and
        r[dst] = r[dst]! & r[src]!;
        r[dst + 1] = r[dst + 1]! & r[src + 1]!;
        break;
      case 7: {
        // lsh
        const by = r[src]! & 63;
        if (by >= 32) {
          r[dst + 1] = r[dst]! << (by - 32);
          r[dst] = 0;
        } else if (by !== 0) {
          r[dst + 1] = (r[dst + 1]! << by) | (r[dst]! >>> (32 - by));
          r[dst] = r[dst]! << by;
        }
        break;
      }
      case 8: {
        // rsh
        const by = r[src]! & 63;
        if (by >= 32) {
          r[dst] = r[dst + 1]! >>> (by - 32);
          r[dst + 1] = 0;
        } else if (by !== 0) {
          r[dst] = (r[dst]! >>> by) | (r[dst + 1]! << (32 - by));
          r[dst + 1] = r[dst + 1]! >>> by;
        }
        break;
      }
      case 9: {
        // neg
        const low = -r[dst]! | 0;
        r[dst + 1] = (low === 0 ? -r[dst + 1]! : ~r[dst + 1]!) | 0;
        r[dst] = low;
        break;
      }
      case 10: // mod
        divide(r, dst, src, true);
        break;
      case 11: // smod
        divideSigned(r, dst, src, true);
        break;
      case 12: // xor
        r[dst] = r[dst]! ^ r[src]!;
        r[dst + 1] = r[dst + 1]! ^ r[src + 1]!;
        break;
      case 13: // mov
        r[dst] = r[src]!;
        r[dst + 1] = r[src + 1]!;
        break;
      case 14: // movsx8
        r[dst] = (r[src]! << 24) >> 24;
        r[dst + 1] = r[dst]! >> 31;
        break;
      case 15: // movsx16
        r[dst] = (r[src]! << 16) >> 16;
        r[dst + 1] = r[dst]! >> 31;
        break;
      case 16: // movsx32
        r[dst] = r[src]!;
        r[dst + 1] = r[dst]! >> 31;
        break;
      case 17: {
        // arsh
        const by = r[src]! & 63;
        if (by >= 32) {
          r[dst] = r[dst + 1]! >> (by - 32);
          r[dst + 1] = r[dst + 1]! >> 31;
        } else if (by !== 0) {
          r[dst] = (r[dst]! >>> by) | (r[dst + 1]! << (32 - by));
          r[dst + 1] = r[dst + 1]! >> by;
        }
        break;
      }
      case 18: // add, 32 bits as those that follow: the upper half becomes 0
        r[dst] = (r[dst]! + r[src]!) | 0;
        r[dst + 1] = 0;
        break;
      case 19: // sub
        r[dst] = (r[dst]! - r[src]!) | 0;
        r[dst + 1] = 0;
        break;
      case 20: // mul
        r[dst] = Math.imul(r[dst]!, r[src]!);
        r[dst + 1] = 0;
        break;
      case 21: // div
        r[dst] = r[src] === 0 ? 0 : ((r[dst]! >>> 0) / (r[src]! >>> 0)) | 0;
        r[dst + 1] = 0;
        break;
      case 22: // sdiv
        r[dst] = r[src] === 0 ? 0 : (r[dst]! / r[src]!) | 0;
        r[dst + 1] = 0;
        break;
      case 23: // or
        r[dst] = r[dst]! | r[src]!;
        r[dst + 1] = 0;
        break;
      case 24: // and
        r[dst] = r[dst]! & r[src]!;
        r[dst + 1] = 0;
        break;
      case 25: // lsh
        r[dst] = r[dst]! << (r[src]! & 31);
        r[dst + 1] = 0;
        break;
      case 26: // rsh
        r[dst] = r[dst]! >>> (r[src]! & 31);
        r[dst + 1] = 0;
        break;
      case 27: // neg
        r[dst] = -r[dst]! | 0;
        r[dst + 1] = 0;
        break;
      case 28: // mod
        if (r[src] !== 0) r[dst] = ((r[dst]! >>> 0) % (r[src]! >>> 0)) | 0;
        r[dst + 1] = 0;
        break;
      case 29: // smod
        if (r[src] !== 0) r[dst] = (r[dst]! % r[src]!) | 0;
        r[dst + 1] = 0;
        break;
      case 30: // xor
        r[dst] = r[dst]! ^ r[src]!;
        r[dst + 1] = 0;
        break;
      case 31: // mov
        r[dst] = r[src]!;
        r[dst + 1] = 0;
        break;
      case 32: // movsx8
        r[dst] = (r[src]! << 24) >> 24;
        r[dst + 1] = 0;
        break;
      case 33: // movsx16
        r[dst] = (r[src]! << 16) >> 16;
        r[dst + 1] = 0;
        break;
      case 35: // arsh
        r[dst] = r[dst]! >> (r[src]! & 31);
        r[dst + 1] = 0;
        break;
      case 36: // le16
        r[dst] = r[dst]! & 0xffff;
        r[dst + 1] = 0;
        break;
      case 37: // le32
        r[dst + 1] = 0;
        break;
      case 38: // le64: registers have that order
        break;
      case 39: // be16
        r[dst] = ((r[dst]! & 0xff) << 8) | ((r[dst]! >>> 8) & 0xff);
        r[dst + 1] = 0;
        break;
      case 40: // be32
        r[dst] = swap32(r[dst]!);
        r[dst + 1] = 0;
        break;
      case 41: {
        // be64
        const low = swap32(r[dst + 1]!);
        r[dst + 1] = swap32(r[dst]!);
        r[dst] = low;
        break;
      }
      case 42: // ja
        pc = code[pc + 3]!;
        break;
      case 43: // jeq
        if (r[dst] === r[src] && r[dst + 1] === r[src + 1]) pc = code[pc + 3]!;
        break;
      case 44: {
        // jgt
        const a = r[dst + 1]! >>> 0;
        const b = r[src + 1]! >>> 0;
        if (a > b || (a === b && r[dst]! >>> 0 > r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 45: {
        // jge
        const a = r[dst + 1]! >>> 0;
        const b = r[src + 1]! >>> 0;
        if (a > b || (a === b && r[dst]! >>> 0 >= r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 46: // jset
        if (((r[dst]! & r[src]!) | (r[dst + 1]! & r[src + 1]!)) !== 0) pc = code[pc + 3]!;
        break;
      case 47: // jne
        if (r[dst] !== r[src] || r[dst + 1] !== r[src + 1]) pc = code[pc + 3]!;
        break;
      case 48: {
        // jsgt
        const a = r[dst + 1]!;
        const b = r[src + 1]!;
        if (a > b || (a === b && r[dst]! >>> 0 > r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 49: {
        // jsge
        const a = r[dst + 1]!;
        const b = r[src + 1]!;
        if (a > b || (a === b && r[dst]! >>> 0 >= r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 50: {
        // jlt
        const a = r[dst + 1]! >>> 0;
        const b = r[src + 1]! >>> 0;
        if (a < b || (a === b && r[dst]! >>> 0 < r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 51: {
        // jle
        const a = r[dst + 1]! >>> 0;
        const b = r[src + 1]! >>> 0;
        if (a < b || (a === b && r[dst]! >>> 0 <= r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 52: {
        // jslt
        const a = r[dst + 1]!;
        const b = r[src + 1]!;
        if (a < b || (a === b && r[dst]! >>> 0 < r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 53: {
        // jsle
        const a = r[dst + 1]!;
        const b = r[src + 1]!;
        if (a < b || (a === b && r[dst]! >>> 0 <= r[src]! >>> 0)) pc = code[pc + 3]!;
        break;
      }
      case 54: // jeq, 32 bits as those that follow
        if (r[dst] === r[src]) pc = code[pc + 3]!;
        break;
      case 55: // jgt
        if (r[dst]! >>> 0 > r[src]! >>> 0) pc = code[pc + 3]!;
        break;
      case 56: // jge
        if (r[dst]! >>> 0 >= r[src]! >>> 0) pc = code[pc + 3]!;
        break;
      case 57: // jset
        if ((r[dst]! & r[src]!) !== 0) pc = code[pc + 3]!;
        break;
      case 58: // jne
        if (r[dst] !== r[src]) pc = code[pc + 3]!;
        break;
      case 59: // jsgt
        if (r[dst]! > r[src]!) pc = code[pc + 3]!;
        break;
      case 60: // jsge
        if (r[dst]! >= r[src]!) pc = code[pc + 3]!;
        break;
      case 61: // jlt
        if (r[dst]! >>> 0 < r[src]! >>> 0) pc = code[pc + 3]!;
        break;
      case 62: // jle
        if (r[dst]! >>> 0 <= r[src]! >>> 0) pc = code[pc + 3]!;
        break;
      case 63: // jslt
        if (r[dst]! < r[src]!) pc = code[pc + 3]!;
        break;
      case 64: // jsle
        if (r[dst]! <= r[src]!) pc = code[pc + 3]!;
        break;
      case 65: // call of a helper
        run.slot = slots[pc >> 2]!;
        run.budget = budget;
        helpers[dst]!(run);
        budget = run.budget;
        break;
      case 66: {
        // call of a function of the program
        if (run.depth + 1 >= FRAMES) throw run.tooDeep(slots[pc >> 2]!);
        if (stack === NO_STACK) stack = new Int32Array(FRAMES * SAVED);
        const at = (run.depth - frame) * SAVED;
        for (let i = 0; i < 8; i++) stack[at + i] = r[12 + i]!;
        stack[at + 8] = pc;
        run.depth++;
        run.clearFrame();
        r[20] = run.framePointer;
        pc = code[pc + 3]!;
        break;
      }
      case 67: {
        // exit
        if (run.depth === frame) {
          run.budget = budget;
          return;
        }
        pc = leave(run, stack, frame);
        break;
      }
      case 68: {
        // load of 1 byte
        const region = regions[r[src + 1]! - HIGH] ?? NOTHING;
        const at = (r[src]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.from && at < region.end) {
          r[dst] = region.view.getUint8(at);
          r[dst + 1] = 0;
        } else loadSlowly(run, slots[pc >> 2]!, region, at, 1, dst, src);
        break;
      }
      case 69: {
        // load of 2 bytes
        const region = regions[r[src + 1]! - HIGH] ?? NOTHING;
        const at = (r[src]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.from && at + 2 <= region.end) {
          r[dst] = region.view.getUint16(at, true);
          r[dst + 1] = 0;
        } else loadSlowly(run, slots[pc >> 2]!, region, at, 2, dst, src);
        break;
      }
      case 70: {
        // load of 4 bytes
        const region = regions[r[src + 1]! - HIGH] ?? NOTHING;
        const at = (r[src]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.from && at + 4 <= region.end) {
          r[dst] = region.view.getInt32(at, true);
          r[dst + 1] = 0;
        } else loadSlowly(run, slots[pc >> 2]!, region, at, 4, dst, src);
        break;
      }
      case 71: {
        // load of 8 bytes
        const region = regions[r[src + 1]! - HIGH] ?? NOTHING;
        const at = (r[src]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.from && at + 8 <= region.end) {
          r[dst] = region.view.getInt32(at, true);
          r[dst + 1] = region.view.getInt32(at + 4, true);
        } else loadSlowly(run, slots[pc >> 2]!, region, at, 8, dst, src);
        break;
      }
      case 72: {
        // load of 1 byte, signed
        const region = regions[r[src + 1]! - HIGH] ?? NOTHING;
        const at = (r[src]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.from && at < region.end) r[dst] = region.view.getInt8(at);
        else {
          loadSlowly(run, slots[pc >> 2]!, region, at, 1, dst, src);
          r[dst] = (r[dst]! << 24) >> 24;
        }
        r[dst + 1] = r[dst]! >> 31;
        break;
      }
      case 73: {
        // load of 2 bytes, signed
        const region = regions[r[src + 1]! - HIGH] ?? NOTHING;
        const at = (r[src]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.from && at + 2 <= region.end) r[dst] = region.view.getInt16(at, true);
        else {
          loadSlowly(run, slots[pc >> 2]!, region, at, 2, dst, src);
          r[dst] = (r[dst]! << 16) >> 16;
        }
        r[dst + 1] = r[dst]! >> 31;
        break;
      }
      case 74: {
        // load of 4 bytes, signed
        const region = regions[r[src + 1]! - HIGH] ?? NOTHING;
        const at = (r[src]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.from && at + 4 <= region.end) r[dst] = region.view.getInt32(at, true);
        else loadSlowly(run, slots[pc >> 2]!, region, at, 4, dst, src);
        r[dst + 1] = r[dst]! >> 31;
        break;
      }
      case 75: {
        // store of 1 byte
        const region = regions[r[dst + 1]! - HIGH] ?? NOTHING;
        const at = (r[dst]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.writeFrom && at < region.writeEnd) region.view.setInt8(at, r[src]!);
        else storeSlowly(run, slots[pc >> 2]!, region, at, 1, dst, src);
        break;
      }
      case 76: {
        // store of 2 bytes
        const region = regions[r[dst + 1]! - HIGH] ?? NOTHING;
        const at = (r[dst]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.writeFrom && at + 2 <= region.writeEnd) region.view.setInt16(at, r[src]!, true);
        else storeSlowly(run, slots[pc >> 2]!, region, at, 2, dst, src);
        break;
      }
      case 77: {
        // store of 4 bytes
        const region = regions[r[dst + 1]! - HIGH] ?? NOTHING;
        const at = (r[dst]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.writeFrom && at + 4 <= region.writeEnd) region.view.setInt32(at, r[src]!, true);
        else storeSlowly(run, slots[pc >> 2]!, region, at, 4, dst, src);
        break;
      }
      case 78: {
        // store of 8 bytes
        const region = regions[r[dst + 1]! - HIGH] ?? NOTHING;
        const at = (r[dst]! >>> 0) - BASE + code[pc + 3]!;
        if (at >= region.writeFrom && at + 8 <= region.writeEnd) {
          region.view.setInt32(at, r[src]!, true);
          region.view.setInt32(at + 4, r[src + 1]!, true);
        } else storeSlowly(run, slots[pc >> 2]!, region, at, 8, dst, src);
        break;
      }
      case 79: // load from the packet; past its end it ends the function with 0
        if (!loadPacket(run, r[dst]! + r[src]!, code[pc + 3]!)) {
          r[0] = 0;
          r[1] = 0;
          if (run.depth === frame) {
            run.budget = budget;
            return;
          }
          pc = leave(run, stack, frame);
        }
        break;
      case 80: {
        // tail call: another program goes on in this function's place, or nothing happens
        run.slot = slots[pc >> 2]!;
        run.budget = budget;
        const taken = tailCall(run);
        budget = run.budget;
        if (!taken) break;
        if (run.depth === frame) return;
        pc = leave(run, stack, frame);
        break;
      }
      default:
        atomic(run, slots[pc >> 2]!, code[pc]! - FIRST_ATOMIC, dst, src, code[pc + 3]!);
    }
    pc += STEP;
  }
}
