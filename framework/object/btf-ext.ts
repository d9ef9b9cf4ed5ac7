import { viewOf } from "../core/layout.ts";
import type { Btf } from "./btf.ts";
import { malformed } from "./elf.ts";

/**
 * Records about the instructions of one section, each so many words; the first word is a byte offset into the section.
 * In order of that offset.
 */
export interface SectionRecords {
  readonly words: Uint32Array;
  readonly wordsPerRecord: number;
}

/** A `.BTF.ext` section: records by the name of the section they are about. */
export interface BtfExt {
  /** Words: offset, type id of the function. */
  readonly functions: ReadonlyMap<string, SectionRecords>;
  /** Words: offset, file name, text of the line, line << 10 | column. */
  readonly lines: ReadonlyMap<string, SectionRecords>;
  /** Words: offset, local type id, access string, kind (enum bpf_core_relo_kind). */
  readonly relocations: ReadonlyMap<string, SectionRecords>;
}

/** What an object without a `.BTF.ext` section has. */
export const noBtfExt: BtfExt = { functions: new Map(), lines: new Map(), relocations: new Map() };

const HEADER_BYTES = 24;
const HEADER_WITH_RELOCATIONS = 32;

/**
 * Reads a `.BTF.ext` section (Documentation/bpf/btf.rst, "The .BTF.ext section").
 * @throws ObjectError when it is malformed
 */
export function readBtfExt(bytes: Uint8Array, btf: Btf): BtfExt {
  if (bytes.length < HEADER_BYTES) throw malformed("its .BTF.ext section is shorter than the header");
  const view = viewOf(bytes);
  if (view.getUint16(0, true) !== 0xeb9f) throw malformed("its .BTF.ext section has a wrong magic number");
  const headerLength = view.getUint32(4, true);
  const table = (field: number, words: number): ReadonlyMap<string, SectionRecords> => {
    const start = headerLength + view.getUint32(field, true);
    const length = view.getUint32(field + 4, true);
    if (headerLength < HEADER_BYTES || start + length > bytes.length) {
      throw malformed("a table of its .BTF.ext section ends past the section");
    }
    return readTable(viewOf(bytes.subarray(start, start + length)), words, btf);
  };
  return {
    functions: table(8, 2),
    lines: table(16, 4),
    relocations:
      headerLength >= HEADER_WITH_RELOCATIONS && bytes.length >= HEADER_WITH_RELOCATIONS
        ? table(24, 4)
        : new Map(),
  };
}

/** One table: the record size, then for each section its name, the number of records and the records. */
function readTable(view: DataView, words: number, btf: Btf): ReadonlyMap<string, SectionRecords> {
  const sections = new Map<string, SectionRecords>();
  if (view.byteLength === 0) return sections;
  const recordBytes = view.byteLength >= 4 ? view.getUint32(0, true) : 0;
  if (recordBytes < words * 4)
    throw malformed(`records in its .BTF.ext section have ${recordBytes} bytes, not ${words * 4}`);
  for (let at = 4; at < view.byteLength; ) {
    if (at + 8 > view.byteLength) throw malformed("its .BTF.ext section ends inside a table");
    const name = btf.string(view.getUint32(at, true));
    const count = view.getUint32(at + 4, true);
    at += 8;
    if (at + count * recordBytes > view.byteLength)
      throw malformed("its .BTF.ext section ends inside a table");
    const records: number[][] = [];
    for (let i = 0; i < count; i++, at += recordBytes) {
      records.push(Array.from({ length: words }, (_, word) => view.getUint32(at + word * 4, true)));
    }
    records.sort((a, b) => a[0]! - b[0]!);
    sections.set(name, { words: Uint32Array.from(records.flat()), wordsPerRecord: words });
  }
  return sections;
}

/** Where a run of instructions lies in its section, and where it went in a program. */
export interface Placement {
  readonly section: string;
  /** Bytes in the section. */
  readonly start: number;
  readonly end: number;
  /** Instructions from the program's start. */
  readonly at: number;
}

/**
 * Records of a program, their offsets counted in its own instructions, as the kernel takes them. Empty unless each
 * run of instructions has a record at its first one: the kernel refuses a table that leaves a function out.
 */
export function rebaseRecords(
  tables: ReadonlyMap<string, SectionRecords>,
  placements: readonly Placement[],
): Uint8Array {
  const words: number[] = [];
  for (const { section, start, end, at } of placements) {
    const records = tables.get(section);
    if (records === undefined) return new Uint8Array(0);
    const first = lowerBound(records, start);
    if (records.words[first] !== start) return new Uint8Array(0);
    let last = -1;
    for (let i = first; i < records.words.length && records.words[i]! < end; i += records.wordsPerRecord) {
      const offset = records.words[i]!;
      if (offset % 8 !== 0)
        throw malformed(`a record for section "${section}" is at byte ${offset}, inside an instruction`);
      if (offset === last) continue;
      last = offset;
      words.push(at + (offset - start) / 8, ...records.words.subarray(i + 1, i + records.wordsPerRecord));
    }
  }
  return new Uint8Array(Uint32Array.from(words).buffer);
}

/** Index of the first word of the first record at this offset or behind it. */
function lowerBound({ words, wordsPerRecord }: SectionRecords, offset: number): number {
  let low = 0;
  let high = words.length / wordsPerRecord;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (words[middle * wordsPerRecord]! < offset) low = middle + 1;
    else high = middle;
  }
  return low * wordsPerRecord;
}
