import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { ObjectError } from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import { SHF_EXECINSTR, SHT_NOBITS } from "../object/elf.ts";

/** One section of a program or library; its bytes stay in the file. */
export interface FileSection {
  readonly index: number;
  readonly name: string;
  /** SHT_ number. */
  readonly type: number;
  readonly isExecutable: boolean;
  /** Address when loaded, before relocation; 0 for sections that are not loaded. */
  readonly address: number;
  readonly offset: number;
  /** Bytes in the file. */
  readonly size: number;
  readonly link: number;
}

/** A part of the file that is mapped into memory (PT_LOAD). */
interface Segment {
  readonly address: number;
  readonly offset: number;
  readonly fileSize: number;
}

const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const SEGMENT_BYTES = 56;
const PT_LOAD = 1;
const MAGIC = 0x7f454c46;

/**
 * A program, library or debug file: 64-bit, little-endian ELF of any size. Reads only what it is asked for, and holds
 * no descriptor between uses.
 */
export class ElfFile {
  readonly path: string;
  /** ET_ number: 2 is a program at fixed addresses, 3 one that moves, or a library. */
  readonly type: number;
  /** EM_ number: 62 is x86-64, 183 arm64. */
  readonly machine: number;
  readonly sections: readonly FileSection[];
  readonly #segments: readonly Segment[];
  readonly #identity: string;
  readonly #size: number;
  #fd = -1;
  #users = 0;

  /**
   * @throws ObjectError for a file that is no such ELF file
   * @throws Node's own error when it cannot be opened
   */
  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, "r");
    try {
      this.#identity = identityOf(this.#fd);
      this.#size = fstatSync(this.#fd).size;
      const header = viewOf(this.read(0, HEADER_BYTES));
      if (header.getUint32(0, false) !== MAGIC) throw malformed(path, "it is not an ELF file");
      if (header.getUint8(4) !== 2 || header.getUint8(5) !== 1)
        throw malformed(path, "it is not 64-bit little-endian ELF");
      this.type = header.getUint16(16, true);
      this.machine = header.getUint16(18, true);
      this.#segments = this.#readSegments(header);
      this.sections = this.#readSections(header);
    } finally {
      closeSync(this.#fd);
      this.#fd = -1;
    }
  }

  /** Keeps the file open while `action` reads. */
  use<T>(action: () => T): T {
    if (this.#users++ === 0) this.#open();
    try {
      return action();
    } finally {
      if (--this.#users === 0) {
        closeSync(this.#fd);
        this.#fd = -1;
      }
    }
  }

  /**
   * Bytes of the file.
   *
   * @throws ObjectError when they are past its end
   */
  read(offset: number, length: number): Uint8Array {
    if (this.#fd < 0) return this.use(() => this.read(offset, length));
    // Sizes come from the file itself, which may be damaged.
    if (offset + length > this.#size) throw malformed(this.path, `it ends before byte ${offset + length}`);
    const bytes = new Uint8Array(length);
    for (let filled = 0; filled < length; ) {
      const count = readSync(this.#fd, bytes, filled, length - filled, offset + filled);
      if (count === 0) throw malformed(this.path, `it ends before byte ${offset + length}`);
      filled += count;
    }
    return bytes;
  }

  /** The first section of this name that has bytes in the file. */
  section(name: string): FileSection | undefined {
    return this.sections.find((section) => section.name === name && section.size > 0);
  }

  /** All bytes of a section. */
  bytesOf(section: FileSection): Uint8Array {
    return this.read(section.offset, section.size);
  }

  /** A section in pieces, so that large ones need little memory; a piece begins `overlap` bytes before the last end. */
  *pieces(section: FileSection, size: number, overlap = 0): Generator<{ at: number; bytes: Uint8Array }> {
    for (let at = 0; at < section.size; at += size) {
      const length = Math.min(size + overlap, section.size - at);
      yield { at, bytes: this.read(section.offset + at, length) };
    }
  }

  /** Where in the file the byte at an address is; undefined for addresses that are not loaded from it. */
  fileOffsetOf(address: number): number | undefined {
    const found = this.#segments.find(
      (segment) => address >= segment.address && address < segment.address + segment.fileSize,
    );
    return found === undefined ? undefined : address - found.address + found.offset;
  }

  /** The address at which a byte of the file is loaded, before relocation. */
  addressOf(fileOffset: number): number | undefined {
    const found = this.#segments.find(
      ({ offset, fileSize }) => fileOffset >= offset && fileOffset < offset + fileSize,
    );
    return found === undefined ? undefined : fileOffset - found.offset + found.address;
  }

  #open(): void {
    this.#fd = openSync(this.path, "r");
    if (identityOf(this.#fd) === this.#identity) return;
    closeSync(this.#fd);
    this.#fd = -1;
    this.#users = 0;
    throw malformed(this.path, "it was replaced while it was in use");
  }

  #readSegments(header: DataView): readonly Segment[] {
    const count = header.getUint16(56, true);
    if (count === 0) return [];
    const view = viewOf(this.read(wordAt(header, 32), count * SEGMENT_BYTES));
    const segments: Segment[] = [];
    for (let at = 0; at < view.byteLength; at += SEGMENT_BYTES) {
      if (view.getUint32(at, true) !== PT_LOAD) continue;
      segments.push({
        offset: wordAt(view, at + 8),
        address: wordAt(view, at + 16),
        fileSize: wordAt(view, at + 32),
      });
    }
    return segments;
  }

  #readSections(header: DataView): readonly FileSection[] {
    const count = header.getUint16(60, true);
    if (count === 0) return [];
    const view = viewOf(this.read(wordAt(header, 40), count * SECTION_BYTES));
    const headers = Array.from({ length: count }, (_, index) => ({
      nameAt: view.getUint32(index * SECTION_BYTES, true),
      section: sectionAt(view, index),
    }));
    const names = headers[header.getUint16(62, true)]?.section;
    if (names === undefined) throw malformed(this.path, "its sections have no names");
    const texts = this.read(names.offset, names.size);
    return headers.map(({ nameAt, section }) => ({ ...section, name: textAt(texts, nameAt) }));
  }
}

function sectionAt(view: DataView, index: number): Omit<FileSection, "name"> {
  const at = index * SECTION_BYTES;
  const type = view.getUint32(at + 4, true);
  return {
    index,
    type,
    isExecutable: (view.getUint32(at + 8, true) & SHF_EXECINSTR) !== 0,
    address: wordAt(view, at + 16),
    offset: wordAt(view, at + 24),
    size: type === SHT_NOBITS ? 0 : wordAt(view, at + 32),
    link: view.getUint32(at + 40, true),
  };
}

/** What tells that a path still leads to the file that was read. */
function identityOf(fd: number): string {
  const { dev, ino, size, mtimeMs } = fstatSync(fd);
  return `${dev}:${ino}:${size}:${mtimeMs}`;
}

function malformed(path: string, why: string): ObjectError {
  return new ObjectError(`cannot read ${path}: ${why}`);
}

/** A 64-bit number; exact for every address and offset of user space. */
export function wordAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** The text up to the next NUL, one character per byte. */
export function textAt(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at);
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, (end < 0 ? bytes.length : end) - at).toString(
    "latin1",
  );
}
