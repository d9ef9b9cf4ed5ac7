import { viewOf } from "../core/layout.ts";
import { type ElfFile, type FileSection, textAt, wordAt } from "./elf-file.ts";

/** A symbol of a program or library that stands for a place in it. */
export interface FileSymbol {
  /** Without its version. */
  readonly name: string;
  /** Address before relocation. */
  readonly address: number;
  /** Bytes; 0 when the file does not say. */
  readonly size: number;
  /** An indirect function's code only chooses another function, once. */
  readonly kind: "function" | "indirect" | "object" | "other";
  readonly isGlobal: boolean;
  /** What stands behind the "@", for instance "GLIBC_2.34"; "" without versions. */
  readonly version: string;
  /** Whether the name without a version means this one. */
  readonly isDefault: boolean;
}

const SYMBOL_BYTES = 24;
const PIECE_SYMBOLS = 1 << 15;
const PIECE_TEXT = 1 << 20;
const FIRST_RESERVED_SECTION = 0xff00;
const HIDDEN_VERSION = 0x8000;

/** The type of a symbol that names a function. */
export const STT_FUNC = 2;

const kinds: Readonly<Record<number, FileSymbol["kind"]>> = {
  1: "object",
  [STT_FUNC]: "function",
  10: "indirect",
};

/** One symbol as it lies in its table. */
export interface RawSymbol {
  /** Place in the table. */
  readonly index: number;
  readonly nameAt: number;
  /** STT_ number. */
  readonly type: number;
  readonly binding: number;
  readonly section: number;
  readonly address: number;
  readonly size: number;
}

/** A symbol table of a file, read in pieces: neither table nor names are ever held as a whole for a single lookup. */
export class SymbolTable {
  readonly file: ElfFile;
  readonly #table: FileSection;
  readonly #names: FileSection;
  readonly #versions: Versions | undefined;

  private constructor(file: ElfFile, table: FileSection, names: FileSection) {
    this.file = file;
    this.#table = table;
    this.#names = names;
    this.#versions = table.name === ".dynsym" ? new Versions(file) : undefined;
  }

  /** The table in a section of this name, or undefined when the file has none. */
  static of(file: ElfFile, name: ".symtab" | ".dynsym"): SymbolTable | undefined {
    const table = file.section(name);
    const names = table === undefined ? undefined : file.sections[table.link];
    return table === undefined || names === undefined ? undefined : new SymbolTable(file, table, names);
  }

  /** How many symbols there are at most. */
  get count(): number {
    return Math.floor(this.#table.size / SYMBOL_BYTES);
  }

  /** Calls back for every symbol that is defined in this file. Objects are only valid during the call. */
  scan(visit: (symbol: RawSymbol) => void): void {
    this.file.use(() => {
      const symbol = { index: 0, nameAt: 0, type: 0, binding: 0, section: 0, address: 0, size: 0 };
      for (const { at, bytes } of this.file.pieces(this.#table, PIECE_SYMBOLS * SYMBOL_BYTES)) {
        const view = viewOf(bytes);
        for (let i = 0; i + SYMBOL_BYTES <= bytes.length; i += SYMBOL_BYTES) {
          const section = view.getUint16(i + 6, true);
          if (section === 0 || section >= FIRST_RESERVED_SECTION) continue;
          symbol.index = (at + i) / SYMBOL_BYTES;
          symbol.nameAt = view.getUint32(i, true);
          symbol.type = bytes[i + 4]! & 0xf;
          symbol.binding = bytes[i + 4]! >> 4;
          symbol.section = section;
          symbol.address = wordAt(view, i + 8);
          symbol.size = wordAt(view, i + 16);
          visit(symbol);
        }
      }
    });
  }

  /** The name at a place of the name table; with "@" and its version where those are part of it. */
  nameAt(offset: number): string {
    const start = this.#names.offset + offset;
    const most = this.#names.size - offset;
    for (let length = 256; ; length *= 8) {
      const bytes = this.file.read(start, Math.min(length, most));
      if (bytes.includes(0) || length >= most) return textAt(bytes, 0);
    }
  }

  /** Symbols of a name, of all versions. */
  find(name: string): readonly FileSymbol[] {
    return this.file.use(() => {
      const places = this.#placesOf(name);
      const found: FileSymbol[] = [];
      if (places.size === 0) return found;
      this.scan((symbol) => {
        const full = places.get(symbol.nameAt);
        if (full !== undefined) found.push(this.#describe(symbol, full));
      });
      return found;
    });
  }

  /** All symbols of functions. Reads all names at once. */
  functions(): readonly FileSymbol[] {
    return this.file.use(() => {
      const names = this.file.bytesOf(this.#names);
      const found: FileSymbol[] = [];
      this.scan((symbol) => {
        if (kinds[symbol.type] !== "function" && kinds[symbol.type] !== "indirect") return;
        found.push(this.#describe(symbol, textAt(names, symbol.nameAt)));
      });
      return found;
    });
  }

  /** Where a name stands in the name table: also as the end of a longer one, and in front of a version. */
  #placesOf(name: string): ReadonlyMap<number, string> {
    const wanted = Buffer.from(name, "latin1");
    const places = new Map<number, string>();
    for (const { at, bytes } of this.file.pieces(this.#names, PIECE_TEXT, 512)) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let i = text.indexOf(wanted); i >= 0; i = text.indexOf(wanted, i + 1)) {
        const next = text[i + wanted.length];
        if (next === 0 || next === 0x40) places.set(at + i, textAt(bytes, i));
      }
    }
    return places;
  }

  #describe({ index, type, binding, address, size }: RawSymbol, full: string): FileSymbol {
    const [name = "", ...rest] = full.split("@");
    const own = rest.length === 0 ? this.#versions?.of(index) : undefined;
    return {
      name,
      address,
      size,
      kind: kinds[type] ?? "other",
      isGlobal: binding !== 0,
      version: own?.name ?? rest.at(-1) ?? "",
      isDefault: own?.isDefault ?? rest.length !== 1,
    };
  }
}

/** The versions of dynamic symbols. */
class Versions {
  readonly #file: ElfFile;
  #numbers: DataView | null | undefined;
  #names: ReadonlyMap<number, string> = new Map();

  constructor(file: ElfFile) {
    this.#file = file;
  }

  of(index: number): { readonly name: string; readonly isDefault: boolean } | undefined {
    const numbers = this.#load();
    if (numbers === null || index * 2 + 2 > numbers.byteLength) return undefined;
    const number = numbers.getUint16(index * 2, true);
    const name = this.#names.get(number & ~HIDDEN_VERSION);
    return name === undefined ? undefined : { name, isDefault: (number & HIDDEN_VERSION) === 0 };
  }

  #load(): DataView | null {
    if (this.#numbers !== undefined) return this.#numbers;
    const numbers = this.#file.section(".gnu.version");
    const definitions = this.#file.section(".gnu.version_d");
    this.#numbers = null;
    if (numbers === undefined || definitions === undefined) return null;
    this.#numbers = viewOf(this.#file.bytesOf(numbers));
    this.#names = this.#definitions(definitions);
    return this.#numbers;
  }

  /** `Elf64_Verdef` with one `Elf64_Verdaux` or more each: the first has the version's own name. */
  #definitions(section: FileSection): ReadonlyMap<number, string> {
    const names = new Map<number, string>();
    const strings = this.#file.sections[section.link];
    if (strings === undefined) return names;
    const texts = this.#file.bytesOf(strings);
    const view = viewOf(this.#file.bytesOf(section));
    for (let at = 0; at + 20 <= view.byteLength; ) {
      const aux = at + view.getUint32(at + 12, true);
      if (aux + 8 > view.byteLength) break;
      names.set(view.getUint16(at + 4, true), textAt(texts, view.getUint32(aux, true)));
      const next = view.getUint32(at + 16, true);
      if (next === 0) break;
      at += next;
    }
    return names;
  }
}
