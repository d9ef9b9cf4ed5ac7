import type { MapKindName } from "../../maps/kinds.ts";
import type { ProgramKindName } from "../programs/kinds.ts";
import type { AttachTarget } from "../programs/targets.ts";
import type { Btf } from "./btf.ts";

/** A map to create. Plain data, no descriptor; sizes may still be changed before creating. */
export interface MapSpec {
  readonly name: string;
  readonly kind: MapKindName;
  /** Bytes of a key; 0 for kinds without keys. */
  readonly keySize: number;
  /** Bytes of one value (one CPU's, for per-CPU kinds). */
  readonly valueSize: number;
  /** 0 where the kernel or the loader chooses: perf event arrays get one slot per possible CPU. */
  readonly maxEntries: number;
  readonly flags: number;
  /** Type ids in `btf`; 0 when the source does not say. */
  readonly keyType: number;
  readonly valueType: number;
  /** The object's types; null for a map without any. */
  readonly btf: Btf | null;
  /** First value of a map made from a data section (.data, .bss, .rodata); null for others. */
  readonly initial: Uint8Array | null;
  /** Read-only for programs and, once filled, for everybody (.rodata). */
  readonly frozen: boolean;
  /** Event buffers: the type ids (in `btf`) of what call sites submit, in source order without repeats. */
  readonly eventTypes: readonly number[];
  /**
   * Event buffers whose records begin with eight bytes, the number of the call that submitted them: what type id each
   * number stands for.
   */
  readonly eventTags?: ReadonlyMap<number, number> | undefined;
  /** Maps of maps: what the maps inside are like. */
  readonly inner?: MapSpec | undefined;
  /** Maps of maps: names of the object's maps that are in slots from the start; null leaves a slot empty. */
  readonly slots?: readonly (string | null)[] | undefined;
  /** Where in a BPF file system the map is kept: taken from there, or made and put there. */
  readonly pin?: string | undefined;
}

/** One instruction that refers to a map. */
export interface MapReference {
  /** Index of the first half of a wide load, in 8-byte instructions. */
  readonly insn: number;
  readonly map: string;
  /** Offset into the map's value for global data; null when the instruction loads the map itself. */
  readonly valueOffset: number | null;
}

/** A program to load: one entry function and every function it calls, laid out one after another. */
export interface ProgramSpec {
  /** The C function's name. */
  readonly name: string;
  /** Its ELF section. */
  readonly section: string;
  /** What the section or the function's name says it is; null when only loading tells. */
  readonly kind: ProgramKindName | null;
  /** Where it attaches by itself; null when nothing says so. */
  readonly target: AttachTarget | null;
  /** Instructions; calls between functions resolved, map references still open. */
  readonly insns: Uint8Array;
  readonly mapReferences: readonly MapReference[];
  /** Iterators: the type ids (in `btf`) of what is written as records, in source order without repeats. */
  readonly recordTypes: readonly number[];
  readonly license: string;
  /** LINUX_VERSION_CODE the object was made for, or 0. */
  readonly kernelVersion: number;
  /** The object's types; null without debug information. */
  readonly btf: Btf | null;
  /** bpf_func_info records: for each function, instruction offset and type id. 8 bytes each; empty without BTF. */
  readonly funcInfo: Uint8Array;
  /** bpf_line_info records: instruction offset, file, line text, line and column. 16 bytes each; empty without BTF. */
  readonly lineInfo: Uint8Array;
}

/** All an object file holds. */
export interface ObjectSpec {
  readonly maps: readonly MapSpec[];
  readonly programs: readonly ProgramSpec[];
  readonly btf: Btf | null;
  readonly license: string;
}
