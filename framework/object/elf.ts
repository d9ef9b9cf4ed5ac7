import { ObjectError } from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import { utf8 } from "../core/text.ts";

/** One section of an object file. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** SHT_ number. */
  readonly type: number;
  /** SHF_ bits. */
  readonly flags: number;
  /** Bytes in memory; for a section without bytes in the file (.bss) all of them are zero. */
  readonly size: number;
  /** The section's bytes in the file: a view, empty for .bss. */
  readonly data: Uint8Array;
  readonly link: number;
  readonly info: number;
}

/** One symbol. */
export interface ElfSymbol {
  /** For the symbol of a section, that section's name. */
  readonly name: string;
  readonly kind: "object" | "function" | "section" | "other";
  readonly isLocal: boolean;
  /** The section it is in, or null when the object only refers to it. */
  readonly section: ElfSection | null;
  /** Byte offset in its section. */
  readonly value: number;
  readonly size: number;
}

/** One place that a symbol's address goes to; the addend is in the bytes there. */
export interface ElfRelocation {
  /** Byte offset in the section that is changed. */
  readonly offset: number;
  /** R_BPF_ number. */
  readonly type: number;
  readonly symbol: ElfSymbol;
}

/** Section types and flags, as in elf.h. */
export const SHT_PROGBITS = 1;
const SHT_SYMTAB = 2;
const SHT_RELA = 4;
export const SHT_NOBITS = 8;
const SHT_REL = 9;
export const SHF_WRITE = 1;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;

const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const REL_BYTES = 16;
const ET_REL = 1;
const EM_BPF = 247;
const FIRST_RESERVED_SECTION = 0xff00;

const symbolKinds: Readonly<Record<number, ElfSymbol["kind"]>> = { 1: "object", 2: "function", 3: "section" };

/** A relocatable object file for BPF: 64-bit, little-endian. */
export class Elf {
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];

  /** @throws ObjectError for any other kind of file, and for one whose parts do not hold together */
  constructor(bytes: Uint8Array) {
    // A Buffer's slice would share its bytes, where a Uint8Array's copies them.
    this.sections = readSections(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const table = this.sections.find((section) => section.type === SHT_SYMTAB);
    this.symbols = table === undefined ? [] : readSymbols(table, this.sections);
  }

  /** The first section of this name. */
  section(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** Relocations that change a section, in file order. */
  relocations(target: ElfSection): readonly ElfRelocation[] {
    const found: ElfRelocation[] = [];
    for (const section of this.sections) {
      if (section.info !== target.index) continue;
      if (section.type === SHT_RELA) {
        throw malformed(
          `section "${section.name}" has relocations with addends, which BPF objects do not use`,
        );
      }
      if (section.type === SHT_REL) this.#readRelocations(section, target, found);
    }
    return found;
  }

  #readRelocations(section: ElfSection, target: ElfSection, found: ElfRelocation[]): void {
    const view = viewOf(section.data);
    for (let at = 0; at + REL_BYTES <= section.size; at += REL_BYTES) {
      const offset = offsetAt(view, at);
      const index = view.getUint32(at + 12, true);
      const symbol = this.symbols[index];
      if (symbol === undefined)
        throw malformed(`section "${section.name}" refers to symbol ${index}, which is not there`);
      if (offset >= target.size)
        throw malformed(`section "${section.name}" changes bytes past "${target.name}"`);
      found.push({ offset, type: view.getUint32(at + 8, true), symbol });
    }
  }
}

/** An error about the object as a whole. */
export function malformed(why: string, hint?: string): ObjectError {
  return new ObjectError(`cannot read the object: ${why}`, { hint });
}

function readSections(bytes: Uint8Array): readonly ElfSection[] {
  if (bytes.length < HEADER_BYTES) throw malformed(`${bytes.length} bytes are fewer than an ELF header`);
  const view = viewOf(bytes);
  if (view.getUint32(0, false) !== 0x7f454c46) throw malformed("it is not an ELF file");
  if (bytes[4] !== 2 || bytes[5] !== 1)
    throw malformed("it is not 64-bit little-endian ELF", "compile with -target bpfel");
  const machine = view.getUint16(18, true);
  if (view.getUint16(16, true) !== ET_REL || (machine !== EM_BPF && machine !== 0)) {
    throw malformed("it is not a relocatable object for BPF", "compile with -target bpf -c");
  }
  const start = offsetAt(view, 40);
  const count = view.getUint16(60, true);
  if (view.getUint16(58, true) !== SECTION_BYTES || start + count * SECTION_BYTES > bytes.length) {
    throw malformed("its section headers are past its end");
  }
  const headers = Array.from({ length: count }, (_, i) =>
    readHeader(bytes, view, start + i * SECTION_BYTES, i),
  );
  const names = headers[view.getUint16(62, true)];
  if (names === undefined) throw malformed("it has no section names");
  return headers.map(({ nameOffset, ...section }) => ({
    ...section,
    name: stringAt(names.data, nameOffset),
  }));
}

function readHeader(bytes: Uint8Array, view: DataView, at: number, index: number) {
  const type = view.getUint32(at + 4, true);
  const offset = offsetAt(view, at + 24);
  const size = offsetAt(view, at + 32);
  const inFile = type !== SHT_NOBITS && type !== 0;
  if (inFile && offset + size > bytes.length) throw malformed(`section ${index} ends past the file's end`);
  return {
    index,
    nameOffset: view.getUint32(at, true),
    type,
    flags: view.getUint32(at + 8, true),
    size,
    data: inFile ? bytes.subarray(offset, offset + size) : new Uint8Array(0),
    link: view.getUint32(at + 40, true),
    info: view.getUint32(at + 44, true),
  };
}

function readSymbols(table: ElfSection, sections: readonly ElfSection[]): readonly ElfSymbol[] {
  const strings = sections[table.link];
  if (strings === undefined) throw malformed("its symbols have no names");
  const view = viewOf(table.data);
  const symbols: ElfSymbol[] = [];
  for (let at = 0; at + SYMBOL_BYTES <= table.size; at += SYMBOL_BYTES) {
    const info = view.getUint8(at + 4);
    const index = view.getUint16(at + 6, true);
    const isPlaced = index !== 0 && index < FIRST_RESERVED_SECTION;
    const section = isPlaced ? sections[index] : null;
    if (section === undefined)
      throw malformed(`symbol ${symbols.length} is in section ${index}, which is not there`);
    const kind = symbolKinds[info & 0xf] ?? "other";
    const name =
      kind === "section" ? (section?.name ?? "") : stringAt(strings.data, view.getUint32(at, true));
    symbols.push({
      name,
      kind,
      isLocal: info >> 4 === 0,
      section,
      value: offsetAt(view, at + 8),
      size: offsetAt(view, at + 16),
    });
  }
  return symbols;
}

/** A 64-bit offset as a number: exact up to 2^53, and any above is past every file's end anyway. */
function offsetAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

function stringAt(table: Uint8Array, offset: number): string {
  const end = table.indexOf(0, offset);
  if (end < 0) throw malformed(`a name at ${offset} is past the string table`);
  return utf8(table, offset, end);
}
