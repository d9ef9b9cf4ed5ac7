import type { MapSpec, ProgramSpec } from "../../../framework/object/object-spec.ts";
import type { ProgramKindName } from "../../../framework/programs/kinds.ts";
import type { MapKindName } from "../../../maps/kinds.ts";

/** One instruction, or both halves of a wide load. */
export type Insn = readonly number[];

function insn(code: number, dst: number, src: number, off: number, imm: number): Insn {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  bytes[0] = code;
  bytes[1] = dst | (src << 4);
  view.setInt16(2, off, true);
  view.setInt32(4, imm, true);
  return Array.from(bytes);
}

/** Just enough of the instruction set, named as in the kernel's documentation: sizes are in bits. */
export const asm = {
  movImm: (dst: number, imm: number): Insn => insn(0xb7, dst, 0, 0, imm),
  mov: (dst: number, src: number): Insn => insn(0xbf, dst, src, 0, 0),
  addImm: (dst: number, imm: number): Insn => insn(0x07, dst, 0, 0, imm),
  shiftRightImm: (dst: number, imm: number): Insn => insn(0x77, dst, 0, 0, imm),
  load64: (dst: number, src: number, off: number): Insn => insn(0x79, dst, src, off, 0),
  store64: (dst: number, off: number, src: number): Insn => insn(0x7b, dst, src, off, 0),
  storeImm32: (dst: number, off: number, imm: number): Insn => insn(0x62, dst, 0, off, imm),
  storeImm64: (dst: number, off: number, imm: number): Insn => insn(0x7a, dst, 0, off, imm),
  atomicAdd64: (dst: number, off: number, src: number): Insn => insn(0xdb, dst, src, off, 0),
  jumpIfEqualImm: (dst: number, imm: number, off: number): Insn => insn(0x15, dst, 0, off, imm),
  jumpIfNotEqualImm: (dst: number, imm: number, off: number): Insn => insn(0x55, dst, 0, off, imm),
  loadMap: (dst: number): Insn => [...insn(0x18, dst, 0, 0, 0), ...insn(0, 0, 0, 0, 0)],
  loadImm64: (dst: number, low: number, high: number): Insn => [
    ...insn(0x18, dst, 0, 0, low),
    ...insn(0, 0, 0, 0, high),
  ],
  call: (helper: number): Insn => insn(0x85, 0, 0, 0, helper),
  exit: (): Insn => insn(0x95, 0, 0, 0, 0),
};

/** A program spec; `maps` gives the map of each wide load by its instruction index. */
export function program(
  kind: ProgramKindName | null,
  insns: readonly Insn[],
  more: Partial<ProgramSpec> & { readonly maps?: Readonly<Record<number, string>> } = {},
): ProgramSpec {
  const { maps = {}, ...rest } = more;
  return {
    name: "probe",
    section: kind ?? "unknown",
    kind,
    target: null,
    insns: Uint8Array.from(insns.flat()),
    mapReferences: Object.entries(maps).map(([at, map]) => ({ insn: Number(at), map, valueOffset: null })),
    license: "GPL",
    kernelVersion: 0,
    btf: null,
    funcInfo: new Uint8Array(0),
    lineInfo: new Uint8Array(0),
    recordTypes: [],
    ...rest,
  };
}

/** A map spec without types. */
export function map(kind: MapKindName, more: Partial<MapSpec> = {}): MapSpec {
  return {
    name: "counts",
    kind,
    keySize: 4,
    valueSize: 8,
    maxEntries: 16,
    flags: 0,
    keyType: 0,
    valueType: 0,
    btf: null,
    initial: null,
    frozen: false,
    eventTypes: [],
    ...more,
  };
}

/** Adds one to entry 0 of the array "counts" for each call made by this process. */
export function countOwnCalls(kind: ProgramKindName, pid: number): ProgramSpec {
  const insns = [
    asm.call(14), // get_current_pid_tgid
    asm.shiftRightImm(0, 32),
    asm.jumpIfNotEqualImm(0, pid, 9),
    asm.storeImm32(10, -4, 0),
    asm.loadMap(1),
    asm.mov(2, 10),
    asm.addImm(2, -4),
    asm.call(1), // map_lookup_elem
    asm.jumpIfEqualImm(0, 0, 2),
    asm.movImm(1, 1),
    asm.atomicAdd64(0, 0, 1),
    asm.movImm(0, 0),
    asm.exit(),
  ];
  return program(kind, insns, { maps: { 4: "counts" } });
}

/** Writes the first context word, 8 bytes, to the ring buffer "events"; returns the helper's result. */
export function outputToRing(): ProgramSpec {
  const insns = [
    asm.load64(6, 1, 0),
    asm.store64(10, -8, 6),
    asm.loadMap(1),
    asm.mov(2, 10),
    asm.addImm(2, -8),
    asm.movImm(3, 8),
    asm.movImm(4, 0),
    asm.call(130), // ringbuf_output
    asm.exit(),
  ];
  return program("raw_tracepoint", insns, { maps: { 2: "events" } });
}

/** Reserves 24 bytes of the ring buffer "events", puts the first context word there, then ends with a helper. */
export function reserveInRing(ending: "submit" | "discard"): ProgramSpec {
  const insns = [
    asm.load64(6, 1, 0),
    asm.loadMap(1),
    asm.movImm(2, 24),
    asm.movImm(3, 0),
    asm.call(131), // ringbuf_reserve
    asm.jumpIfEqualImm(0, 0, 4),
    asm.store64(0, 0, 6),
    asm.mov(1, 0),
    asm.movImm(2, 0),
    asm.call(ending === "submit" ? 132 : 133),
    asm.movImm(0, 0),
    asm.exit(),
  ];
  return program("raw_tracepoint", insns, { maps: { 1: "events" } });
}

/** Writes the first context word, 8 bytes, to the perf buffer "events" of the current CPU. */
export function outputToPerf(): ProgramSpec {
  const insns = [
    asm.load64(6, 1, 0),
    asm.store64(10, -8, 6),
    asm.loadMap(2),
    asm.loadImm64(3, -1, 0), // BPF_F_CURRENT_CPU
    asm.mov(4, 10),
    asm.addImm(4, -8),
    asm.movImm(5, 8),
    asm.call(25), // perf_event_output
    asm.exit(),
  ];
  return program("raw_tracepoint", insns, { maps: { 2: "events" } });
}

/** Returns a constant. */
export function returns(kind: ProgramKindName, value: number): ProgramSpec {
  return program(kind, [asm.movImm(0, value), asm.exit()]);
}

/** A raw tracepoint's arguments. */
export function words(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

/** A 32-bit key. */
export function key(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
