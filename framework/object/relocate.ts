import { viewOf } from "../core/layout.ts";
import type { Placement } from "./btf-ext.ts";
import {
  type Elf,
  type ElfRelocation,
  type ElfSection,
  type ElfSymbol,
  malformed,
  SHF_EXECINSTR,
  SHT_PROGBITS,
} from "./elf.ts";
import type { MapReference } from "./object-spec.ts";

/** A function in one of the object's executable sections. */
export interface ObjectFunction {
  readonly name: string;
  readonly section: ElfSection;
  /** Bytes in its section. */
  readonly start: number;
  readonly end: number;
  readonly isLocal: boolean;
}

/** A place in a map: the map itself, or a byte of its value. */
export type MapPlace = Pick<MapReference, "map" | "valueOffset">;

/**
 * Gives the map that a symbol (plus a number of bytes) stands for, or null when it is in none.
 */
export type MapLookup = (symbol: ElfSymbol, addend: number) => MapPlace | null;

/** An entry function joined with every function it calls. */
export interface LinkedProgram {
  readonly insns: Uint8Array;
  readonly mapReferences: readonly MapReference[];
  /** The functions in the order they are laid out, the entry first. */
  readonly placements: readonly Placement[];
}

const INSN_BYTES = 8;
/** BPF_LD | BPF_IMM | BPF_DW: a 64-bit constant in two slots. */
const LOAD_WIDE = 0x18;
/** BPF_JMP | BPF_CALL */
const CALL = 0x85;
/** src_reg of a call into the program itself, and of a wide load of a function's address (linux/bpf.h). */
const PSEUDO_CALL = 1;
const PSEUDO_KFUNC_CALL = 2;
const PSEUDO_FUNC = 4;

/** An executable section: its instructions, and what to do to them. */
interface CodeSection {
  readonly section: ElfSection;
  readonly insns: Uint8Array;
  readonly relocations: ReadonlyMap<number, ElfRelocation>;
}

/** The object's functions, and how to join them into programs. */
export class Linker {
  /** Every function, in order of section and offset. */
  readonly functions: readonly ObjectFunction[];
  readonly #code = new Map<number, CodeSection>();
  readonly #starts = new Map<string, ObjectFunction>();
  readonly #findMap: MapLookup;

  /**
   * @param findMap asked for every wide load that refers to data
   * @param patched instructions to take in place of a section's own, by section name
   */
  constructor(elf: Elf, findMap: MapLookup, patched: ReadonlyMap<string, Uint8Array>) {
    this.#findMap = findMap;
    for (const section of elf.sections) {
      if (!isCode(section)) continue;
      if (section.size % INSN_BYTES !== 0)
        throw malformed(`section "${section.name}" does not hold whole instructions`);
      const relocations = new Map(
        elf.relocations(section).map((relocation) => [relocation.offset, relocation]),
      );
      this.#code.set(section.index, {
        section,
        insns: patched.get(section.name) ?? section.data,
        relocations,
      });
    }
    this.functions = findFunctions(elf.symbols);
    for (const fn of this.functions) this.#starts.set(key(fn.section, fn.start), fn);
  }

  /** @throws ObjectError when the function refers to something the object does not have */
  link(entry: ObjectFunction): LinkedProgram {
    const joined = new Joined(entry);
    const mapReferences: MapReference[] = [];
    for (const { fn, at } of joined.functions) {
      this.#resolve(fn, at, joined, mapReferences);
    }
    return {
      insns: joined.bytes(),
      mapReferences,
      placements: joined.functions.map(({ fn, at }) => ({
        section: fn.section.name,
        start: fn.start,
        end: fn.end,
        at,
      })),
    };
  }

  /** Copies one function and resolves its references; functions it calls are added to `joined`. */
  #resolve(fn: ObjectFunction, base: number, joined: Joined, mapReferences: MapReference[]): void {
    const { insns, relocations } = this.#code.get(fn.section.index)!;
    const code = insns.slice(fn.start, fn.end);
    const view = viewOf(code);
    for (let at = 0; at < code.length; at += INSN_BYTES) {
      const opcode = code[at]!;
      const source = code[at + 1]! >> 4;
      const relocation = relocations.get(fn.start + at);
      const insn = base + at / INSN_BYTES;
      const reference = { fn, at, addend: view.getInt32(at + 4, true), relocation };
      if (opcode === LOAD_WIDE) {
        if (at + 2 * INSN_BYTES > code.length) throw wrong(fn, at, "a wide load has no second half");
        const callee =
          relocation === undefined && source !== PSEUDO_FUNC ? null : this.#functionAddress(reference);
        if (callee !== null) {
          code[at + 1] = (code[at + 1]! & 0xf) | (PSEUDO_FUNC << 4);
          view.setInt32(at + 4, joined.place(callee) - insn - 1, true);
          view.setInt32(at + 12, 0, true);
        } else if (relocation !== undefined) {
          mapReferences.push({ insn, ...this.#mapPlace(reference, relocation.symbol) });
          view.setInt32(at + 4, 0, true);
          view.setInt32(at + 12, 0, true);
        }
        at += INSN_BYTES;
        if (relocations.has(fn.start + at))
          throw wrong(fn, at, "the second half of a wide load refers to a symbol");
      } else if (opcode === CALL && (source === PSEUDO_CALL || relocation !== undefined)) {
        code[at + 1] = (code[at + 1]! & 0xf) | (PSEUDO_CALL << 4);
        view.setInt32(at + 4, joined.place(this.#callee(reference)) - insn - 1, true);
      } else if (opcode === CALL && source === PSEUDO_KFUNC_CALL) {
        throw wrong(
          fn,
          at,
          "it calls a kernel function by number, which only the kernel that gave the number knows",
        );
      } else if (relocation !== undefined) {
        throw wrong(
          fn,
          at,
          `it uses the address of "${relocation.symbol.name}" in a way that BPF code cannot`,
        );
      }
    }
    joined.fill(base, code);
  }

  /** The function a call goes to. */
  #callee({ fn, at, addend, relocation }: Reference): ObjectFunction {
    if (relocation === undefined) {
      const target = fn.start + at + (addend + 1) * INSN_BYTES;
      return (
        this.#functionAt(fn.section, target) ?? fail(wrong(fn, at, "it calls into the middle of a function"))
      );
    }
    const { symbol } = relocation;
    if (symbol.section === null) throw undefinedSymbol(fn, symbol);
    return (
      this.#functionAt(symbol.section, symbol.value + (addend + 1) * INSN_BYTES) ??
      fail(wrong(fn, at, `it calls "${symbol.name}", where no function starts`))
    );
  }

  /** The function a wide load takes the address of, or null when it loads something else. */
  #functionAddress({ fn, at, addend, relocation }: Reference): ObjectFunction | null {
    if (relocation === undefined) {
      const target = fn.start + at + (addend + 1) * INSN_BYTES;
      return (
        this.#functionAt(fn.section, target) ?? fail(wrong(fn, at, "it refers to the middle of a function"))
      );
    }
    const { symbol } = relocation;
    if (symbol.section === null) throw undefinedSymbol(fn, symbol);
    if (!this.#code.has(symbol.section.index)) return null;
    return (
      this.#functionAt(symbol.section, symbol.value + addend) ??
      fail(wrong(fn, at, `it refers to "${symbol.name}", where no function starts`))
    );
  }

  #mapPlace({ fn, at, addend }: Reference, symbol: ElfSymbol): MapPlace {
    return (
      this.#findMap(symbol, addend) ??
      fail(
        wrong(
          fn,
          at,
          `it refers to "${symbol.name}" in section "${symbol.section?.name ?? ""}", which is no map`,
        ),
      )
    );
  }

  #functionAt(section: ElfSection, offset: number): ObjectFunction | undefined {
    return this.#starts.get(key(section, offset));
  }
}

/** One instruction that refers to something. */
interface Reference {
  readonly fn: ObjectFunction;
  readonly at: number;
  readonly addend: number;
  readonly relocation: ElfRelocation | undefined;
}

/** Functions laid out one after another; a function gets its place when it is first referred to. */
class Joined {
  readonly functions: { readonly fn: ObjectFunction; readonly at: number }[] = [];
  readonly #places = new Map<ObjectFunction, number>();
  readonly #codes: { readonly at: number; readonly code: Uint8Array }[] = [];
  #length = 0;

  constructor(entry: ObjectFunction) {
    this.place(entry);
  }

  /** The instruction a function starts at. */
  place(fn: ObjectFunction): number {
    const known = this.#places.get(fn);
    if (known !== undefined) return known;
    const at = this.#length;
    this.#length += (fn.end - fn.start) / INSN_BYTES;
    this.#places.set(fn, at);
    this.functions.push({ fn, at });
    return at;
  }

  fill(at: number, code: Uint8Array): void {
    this.#codes.push({ at, code });
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length * INSN_BYTES);
    for (const { at, code } of this.#codes) all.set(code, at * INSN_BYTES);
    return all;
  }
}

/** Whether a section holds instructions. */
export function isCode(section: ElfSection): boolean {
  return section.type === SHT_PROGBITS && (section.flags & SHF_EXECINSTR) !== 0;
}

function findFunctions(symbols: readonly ElfSymbol[]): readonly ObjectFunction[] {
  const functions: ObjectFunction[] = [];
  for (const { kind, section, name, value, size, isLocal } of symbols) {
    if (kind !== "function" || section === null || !isCode(section)) continue;
    const end = value + size;
    if (value % INSN_BYTES !== 0 || size % INSN_BYTES !== 0 || size === 0 || end > section.size) {
      throw malformed(`function "${name}" does not cover whole instructions of section "${section.name}"`);
    }
    functions.push({ name, section, start: value, end, isLocal });
  }
  return functions.sort((a, b) => a.section.index - b.section.index || a.start - b.start);
}

function key(section: ElfSection, offset: number): string {
  return `${section.index}:${offset}`;
}

function wrong(fn: ObjectFunction, at: number, why: string) {
  return malformed(`function "${fn.name}", instruction ${at / INSN_BYTES}: ${why}`);
}

function undefinedSymbol(fn: ObjectFunction, symbol: ElfSymbol) {
  return malformed(
    `function "${fn.name}" uses "${symbol.name}", which is declared but nowhere defined`,
    "define it in the source; kernel functions and kernel variables cannot be linked",
  );
}

function fail(error: Error): never {
  throw error;
}
