import { ObjectError } from "../core/errors.ts";
import { BtfStrings } from "./btf-strings.ts";
import { btfKinds } from "./btf-types.ts";

/** 32-bit words of a type by kind: a fixed number, and one for each of the `vlen` entries. */
const fixedWords = Uint8Array.of(0, 4, 3, 6, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3, 4, 3, 3);
const entryWords = Uint8Array.of(0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3);

const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;

/** 32-bit words that each entry of a type takes: a member, an enumerator, a parameter, a variable. */
export function wordsPerEntry(kind: number): number {
  return entryWords[kind] ?? 0;
}

/** What BTF bytes consist of. */
export interface BtfSections {
  /** Where the type section starts. */
  readonly firstByte: number;
  /** The type section. */
  readonly types: Uint32Array;
  readonly strings: BtfStrings;
}

/** Reads the header (include/uapi/linux/btf.h, struct btf_header) and cuts the two sections out. */
export function btfSections(bytes: Uint8Array): BtfSections {
  const fail = (why: string) => new ObjectError(`cannot read BTF: ${why}`);
  if (bytes.length < HEADER_BYTES) throw fail(`${bytes.length} bytes are fewer than its header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint16(0, true);
  if (magic === 0x9feb) throw fail("it is big-endian, only little-endian is supported");
  if (magic !== MAGIC) throw fail(`its magic number is 0x${magic.toString(16)}, not 0x${MAGIC.toString(16)}`);
  if (bytes[2] !== 1) throw fail(`its version is ${bytes[2]}, not 1`);
  const headerLength = view.getUint32(4, true);
  const section = (field: number, what: string): { start: number; length: number } => {
    const start = headerLength + view.getUint32(field, true);
    const length = view.getUint32(field + 4, true);
    if (headerLength < HEADER_BYTES || start + length > bytes.length) {
      throw fail(`its ${what} section ends past the ${bytes.length} bytes given`);
    }
    return { start, length };
  };
  const types = section(8, "type");
  const strings = section(16, "string");
  if (types.start % 4 !== 0 || types.length % 4 !== 0)
    throw fail("its type section is not made of 32-bit words");
  const text = bytes.subarray(strings.start, strings.start + strings.length);
  return {
    firstByte: types.start,
    types: wordsAt(bytes, types.start, types.length),
    strings: new BtfStrings(text),
  };
}

/** The bytes as little-endian words: a view where alignment allows, else a copy. */
function wordsAt(bytes: Uint8Array, start: number, length: number): Uint32Array {
  const offset = bytes.byteOffset + start;
  if (offset % 4 === 0) return new Uint32Array(bytes.buffer, offset, length / 4);
  return new Uint32Array(new Uint8Array(bytes.subarray(start, start + length)).buffer);
}

/**
 * The word each type starts at.
 * @throws ObjectError for kinds newer than this library, and for types that end past the section
 */
export function indexTypes(words: Uint32Array): Uint32Array {
  const length = words.length;
  const knownKinds = btfKinds.length;
  const starts = new Uint32Array(Math.ceil(length / 3));
  let count = 0;
  let at = 0;
  while (at + 3 <= length) {
    const info = words[at + 1]!;
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind >= knownKinds) {
      throw new ObjectError(`cannot read BTF: type ${count + 1} is of unknown kind ${kind}`, {
        hint: "it was written by a compiler newer than this library",
      });
    }
    starts[count++] = at;
    at += fixedWords[kind]! + (info & 0xffff) * entryWords[kind]!;
  }
  if (at !== length) throw new ObjectError(`cannot read BTF: type ${count} ends past the type section`);
  return starts.subarray(0, count);
}
