import { type FaultReason, MachineFault } from "../core/errors.ts";
import { sourceOf } from "../object/line-info.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { getBig, getNumber, setBig, setNumber } from "./arithmetic.ts";
import type { Code } from "./engine.ts";
import type { Happening } from "./happening.ts";
import type { MachineMap } from "./maps/machine-map.ts";
import { FIRST_HIGH, FUNCTION_HIGH, LOW_BASE, MAP_HIGH, NO_REGION, Region, showAddress } from "./memory.ts";
import type { Services } from "./services.ts";

/** Bytes of stack that each function has. */
export const FRAME_BYTES = 512;
/** Functions that may be in calls at a time, the program's own included. */
export const MOST_FRAMES = 8;
/** Frames stand apart, so that what runs over the end of one does not reach the next. */
export const FRAME_STRIDE = FRAME_BYTES + 64;

/** Tail calls that one run may make (MAX_TAIL_CALL_CNT of the kernel). */
export const MOST_TAIL_CALLS = 33;

/** Bytes that helpers copy or look at in the time of one instruction. */
const BYTES_PER_STEP = 64;

/** Ring records that one run may hold reserved at a time. */
const MOST_RECORDS = 8;

/** Ids of regions that every run has for itself. */
const STACK = 0;
export const CONTEXT = 1;
export const PACKET = 2;
const FIRST_RECORD = 3;
export const RESERVED_REGIONS = FIRST_RECORD + MOST_RECORDS;

/** A program as executions see it. */
export interface Runnable {
  readonly spec: ProgramSpec;
  readonly code: Code;
  /** Regions that the program may touch, by id; those of a run come in here while it lasts. */
  readonly regions: Region[];
  /** Whose stack and records are in `regions`: the execution that ran it last, or runs it now. */
  occupant: Execution | null;
  /** Maps that it may name, by number. */
  readonly maps: Map<number, MachineMap>;
  /** Whether it may load from the kernel's memory without a helper. */
  readonly readsKernel: boolean;
  /** Lets the program name a map and touch its values, as a lookup that gives a map does. */
  grantMap(map: MachineMap): void;
  /** Takes that back. */
  revokeMap(map: MachineMap): void;
}

/** What a run is given. */
export interface RunInput {
  readonly happening: Happening;
  /** What r1 points to; null for none, and r1 is 0 then. */
  readonly context: Region | null;
  readonly packet: Region | null;
  /** Where to begin; at the first instruction without it. */
  readonly slot?: number;
  /** Sets registers before the first instruction, after r1. */
  readonly prepare?: (registers: Int32Array) => void;
}

/** What all runs in a machine have. */
export interface RunLimits {
  readonly services: Services;
  /** Instructions after which a program is stopped. */
  readonly budget: number;
}

/** A record that a program has reserved in a ring and not yet given back. */
interface Reserved {
  readonly region: Region;
  give: ((discard: boolean) => void) | null;
}

/**
 * One run of a program, from its first instruction to its last, with everything that is called on the way. Used again
 * for later runs: a machine has as many as runs can be inside one another.
 */
export class Execution {
  /** r0 to r5 as helpers see them, two halves each: the registers of whatever function runs now. */
  registers: Int32Array;
  /** The running program's regions. */
  regions: Region[] = [];
  program!: Runnable;
  happening!: Happening;
  services!: Services;
  budget = 0;
  /** The frame of the function that runs now, from 0. */
  depth = 0;
  tailCalls = 0;
  /** Slot of the instruction that called a helper last. */
  slot = 0;
  /** Where `reach` found its bytes. */
  reached: Region = NO_REGION;
  readonly stack: Region;
  packet: Region | null = null;
  context: Region | null = null;
  readonly #first = new Int32Array(22);
  readonly #records: Reserved[] = [];
  /** Maps that programs got from maps of maps, theirs until the run ends. */
  readonly #lent: { readonly program: Runnable; readonly map: MachineMap }[] = [];

  constructor() {
    this.registers = this.#first;
    this.stack = new Region(STACK, {
      name: "the stack",
      bytes: new Uint8Array(MOST_FRAMES * FRAME_STRIDE),
      writable: true,
      stride: FRAME_STRIDE,
      limit: FRAME_BYTES,
    });
    for (let i = 0; i < MOST_RECORDS; i++) {
      const bytes = new Uint8Array(0);
      this.#records.push({
        region: new Region(FIRST_RECORD + i, { name: "a ring record", bytes, writable: true }),
        give: null,
      });
    }
  }

  /**
   * Runs a program and returns r0, signed.
   * @throws MachineFault
   */
  start(program: Runnable, input: RunInput, limits: RunLimits): bigint {
    const { context } = input;
    this.happening = input.happening;
    this.services = limits.services;
    this.budget = limits.budget;
    this.context = context;
    this.packet = input.packet;
    this.depth = 0;
    this.tailCalls = 0;
    this.slot = 0;
    const registers = this.#first;
    this.registers = registers;
    registers.fill(0);
    if (context !== null) this.setAddress(1, context, context.start);
    input.prepare?.(registers);
    try {
      this.enter(program, input.slot ?? 0);
    } finally {
      this.#dropRecords();
      if (this.#lent.length > 0) this.#takeBackMaps();
    }
    return getBig(registers, 0);
  }

  /** Runs a function of a program in the current frame; for tail calls too. */
  enter(program: Runnable, slot: number): void {
    const { program: before, regions } = this;
    this.#become(program, program.regions);
    const table = program.regions;
    const { occupant } = program;
    const context = table[CONTEXT]!;
    const packet = table[PACKET]!;
    if (occupant !== this) this.#moveIn(program);
    table[CONTEXT] = this.context ?? NO_REGION;
    table[PACKET] = this.packet ?? NO_REGION;
    try {
      program.code.run(this, slot);
    } finally {
      if (occupant !== this && occupant !== null) occupant.#moveIn(program);
      table[CONTEXT] = context;
      table[PACKET] = packet;
      this.#become(before, regions);
    }
  }

  /** Puts the regions that are the execution's own into a program's table: the stack, and records. */
  #moveIn(program: Runnable): void {
    program.occupant = this;
    program.regions[STACK] = this.stack;
    for (const { region } of this.#records) program.regions[region.id] = region;
  }

  #become(program: Runnable, regions: Region[]): void {
    this.program = program;
    this.regions = regions;
  }

  /** Calls a function of the running program from a helper: r1 to r5 are its arguments, the result is r0. */
  callBack(slot: number, prepare: (registers: Int32Array) => void): void {
    const { registers, slot: caller } = this;
    if (this.depth + 1 >= MOST_FRAMES) throw this.tooDeep(caller);
    const own = new Int32Array(22);
    prepare(own);
    this.registers = own;
    this.depth++;
    try {
      this.program.code.run(this, slot);
    } finally {
      this.depth--;
      this.registers = registers;
      this.slot = caller;
      this.openFrame();
    }
    registers[0] = own[0]!;
    registers[1] = own[1]!;
  }

  /** Clears the current frame for a function that begins. */
  clearFrame(): void {
    const from = this.depth * FRAME_STRIDE;
    this.stack.bytes.fill(0, from, from + FRAME_BYTES);
    this.openFrame();
  }

  /** Makes the stack end with the current frame. */
  openFrame(): void {
    const from = this.depth * FRAME_STRIDE;
    this.stack.length = from + FRAME_STRIDE;
    this.stack.setWindow(from, from + FRAME_BYTES);
  }

  /** Lower half of the frame pointer of the current frame. */
  get framePointer(): number {
    return LOW_BASE + this.depth * FRAME_STRIDE + FRAME_BYTES;
  }

  /** The unsigned value of an argument register, 1 to 5; inexact above 2^53. */
  number(register: number): number {
    return getNumber(this.registers, 2 * register);
  }

  /** The lower half of an argument register, unsigned. */
  word(register: number): number {
    return this.registers[2 * register]! >>> 0;
  }

  /** The whole argument register, signed. */
  big(register: number): bigint {
    return getBig(this.registers, 2 * register);
  }

  /** Sets r0 to a whole number of at most 53 bits. */
  result(value: number): void {
    const r = this.registers;
    r[0] = value | 0;
    r[1] = value < 0 ? -1 : 0;
    if (value > 0x7fffffff || value < -0x80000000) setNumber(r, 0, value);
  }

  /** Sets r0 to any number. */
  bigResult(value: bigint): void {
    setBig(this.registers, 0, value);
  }

  /** Points a register at an offset of a region. */
  setAddress(register: number, region: Region, offset: number): void {
    this.registers[2 * register] = LOW_BASE + offset;
    this.registers[2 * register + 1] = region.high;
  }

  /** Lets the running program touch a region, until it is revoked. */
  grant(region: Region): void {
    const { regions } = this;
    while (regions.length <= region.id) regions.push(NO_REGION);
    regions[region.id] = region;
  }

  /** Lets the running program use a map until the run ends. */
  lend(map: MachineMap): void {
    const { program } = this;
    if (program.maps.get(map.fd) === map) return;
    program.grantMap(map);
    this.#lent.push({ program, map });
  }

  #takeBackMaps(): void {
    for (const { program, map } of this.#lent.splice(0)) program.revokeMap(map);
  }

  /** Memory for a helper to hand to a callback, until it is dropped. Read-only for the program. */
  scratch(name: string, size: number): Region {
    const region = this.services.space.create({ name, bytes: new Uint8Array(size), writable: false });
    if (region === null) throw this.fault("helper", "the machine has no addresses left");
    this.grant(region);
    return region;
  }

  dropScratch(region: Region): void {
    this.regions[region.id] = NO_REGION;
    this.services.space.remove(region);
  }

  /** Takes instructions from the budget for what a helper does. @throws MachineFault when none are left */
  charge(steps: number): void {
    this.budget -= steps;
    if (this.budget < 0) throw this.outOfBudget(this.slot);
  }

  get cpuCount(): number {
    return this.services.cpuCount;
  }

  /**
   * The offset that an argument register points to, after checking that `size` bytes there may be read or written;
   * `reached` is their region then.
   *
   * @throws MachineFault
   */
  reach(register: number, size: number, write: boolean): number {
    const r = this.registers;
    const region = this.regions[r[2 * register + 1]! - FIRST_HIGH] ?? NO_REGION;
    const at = (r[2 * register]! >>> 0) - LOW_BASE;
    if (
      size === 0 ||
      (at >= region.from && at + size <= region.end && (!write || region.writable)) ||
      region.allows(at, size, write)
    ) {
      this.reached = region;
      // A helper works on all of it: what is long takes time, which counts as instructions.
      if (size >= BYTES_PER_STEP) this.charge(Math.floor(size / BYTES_PER_STEP));
      return at;
    }
    throw this.badAccess(this.slot, { low: r[2 * register]!, high: r[2 * register + 1]!, size, write });
  }

  /** The bytes that an argument register points to, in place. */
  bytes(register: number, size: number, write: boolean): Uint8Array {
    const at = this.reach(register, size, write);
    return size === 0 ? NO_BYTES : this.reached.bytes.subarray(at, at + size);
  }

  /** The bytes at an address, in place. @throws MachineFault when they are not the program's */
  at(address: bigint, size: number, write: boolean): Uint8Array {
    const r = this.registers;
    // r5 is not needed any more by a helper that was given its value.
    setBig(r, 10, address);
    return this.bytes(5, size, write);
  }

  /** The map that an argument register names. @throws MachineFault when it names none of the program's */
  map(register: number): MachineMap {
    const r = this.registers;
    const map = r[2 * register + 1] === MAP_HIGH ? this.program.maps.get(r[2 * register]!) : undefined;
    if (map === undefined) throw this.fault("helper", `r${register} holds no map of this program`);
    return map;
  }

  /** The slot of the function that an argument register names. */
  functionSlot(register: number): number {
    const r = this.registers;
    if (r[2 * register + 1] !== FUNCTION_HIGH)
      throw this.fault("helper", `r${register} holds no function of this program`);
    return r[2 * register]!;
  }

  /** Keeps a record that was reserved, and points r0 at it. False when too many are reserved. */
  reserve(bytes: Uint8Array, at: number, size: number, give: (discard: boolean) => void): boolean {
    const free = this.#records.find((record) => record.give === null);
    if (free === undefined) return false;
    free.give = give;
    free.region.replace(bytes, at, at + size);
    this.setAddress(0, free.region, at);
    return true;
  }

  /** Gives back the record that r1 points at. */
  giveBack(discard: boolean): void {
    const r = this.registers;
    const record = this.#records.find(
      ({ give, region }) => give !== null && region.high === r[3] && region.start + LOW_BASE === r[2],
    );
    if (record === undefined) throw this.fault("helper", "r1 points to no record that is reserved");
    record.give!(discard);
    this.#clear(record);
  }

  /** Records that a program left behind are thrown away. */
  #dropRecords(): void {
    for (const record of this.#records) {
      if (record.give === null) continue;
      record.give(true);
      this.#clear(record);
    }
  }

  #clear(record: Reserved): void {
    record.give = null;
    record.region.replace(NO_BYTES);
  }

  /** What stops the program at the helper call it is in. */
  fault(reason: FaultReason, why: string): MachineFault {
    return this.faultAt(this.slot, reason, why);
  }

  /** What stops the program at an instruction. */
  faultAt(slot: number, reason: FaultReason, why: string, address?: bigint): MachineFault {
    const { spec } = this.program;
    const at = sourceOf(spec, slot);
    const source = at === undefined ? "" : `\n  ${at.file}:${at.line}:${at.column}: ${at.text}`;
    const position = at === undefined ? undefined : { file: at.file, line: at.line, column: at.column };
    return new MachineFault(`program "${spec.name}" was stopped at instruction ${slot}: ${why}${source}`, {
      reason,
      program: spec.name,
      insn: slot,
      address,
      at: position,
    });
  }

  /** What stops a program that touches memory it may not. */
  badAccess(
    slot: number,
    access: { readonly low: number; readonly high: number; readonly size: number; readonly write: boolean },
  ): MachineFault {
    const { low, high, size, write } = access;
    const address = BigInt.asUintN(64, (BigInt(high) << 32n) | BigInt(low >>> 0));
    const region = this.regions[high - FIRST_HIGH] ?? NO_REGION;
    const doing = `${write ? "a write" : "a read"} of ${size === 1 ? "1 byte" : `${size} bytes`}`;
    const where =
      region === NO_REGION
        ? address < 4096n
          ? "through a null pointer"
          : "where the program has no memory"
        : write && !region.writable
          ? `into ${region.name}, which is read-only`
          : `outside ${region.name}, at offset ${(low >>> 0) - LOW_BASE}`;
    return this.faultAt(slot, "memory", `${doing} at ${showAddress(address)}, ${where}`, address);
  }

  tooDeep(slot: number): MachineFault {
    return this.faultAt(slot, "stack", `more than ${MOST_FRAMES} functions are in calls`);
  }

  outOfBudget(slot: number): MachineFault {
    return this.faultAt(slot, "budget", "it ran longer than its budget of instructions");
  }
}

const NO_BYTES = new Uint8Array(0);
