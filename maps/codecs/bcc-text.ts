import { LayoutError } from "../../framework/core/errors.ts";
import { roundUp, show } from "../../framework/core/layout.ts";
import type { Btf, BtfMember } from "../../framework/object/btf.ts";

/** A type's values as BCC writes them: `{ 0x1 "text" [ 0x2 0x3 ] }`. */
export interface BccText {
  readonly size: number;
  print(view: DataView, at: number): string;
  /** Writes what the words say into zeroed memory. @throws LayoutError where they say something else */
  scan(words: Words, view: DataView, at: number): void;
}

/**
 * The text form of a BTF type.
 *
 * | C | text |
 * | --- | --- |
 * | integers, enums, pointers, floats' bits, bit fields | hexadecimal, negative ones as two's complement |
 * | arrays of char and of bytes | a text in quotes, up to the first NUL |
 * | other arrays | `[ 0x1 0x2 ]` |
 * | structs | `{ 0x1 0x2 }`: the members' values |
 * | unions | `{ 0x1 }`: of the most aligned member, the largest of those; bytes behind it as a text |
 *
 * BCC prints bit fields by the units that its compiler stores them in; here each is a value.
 * @throws LayoutError for what has no bytes
 */
export function bccText(btf: Btf, typeId: number): BccText {
  const id = btf.resolve(typeId);
  const type = btf.type(id);
  switch (type.kind) {
    case "int":
    case "enum":
    case "enum64":
    case "float":
      return number(type.size);
    case "ptr":
      return number(8);
    case "array": {
      const element = btf.type(btf.resolve(type.element));
      if (element.kind === "int" && element.size === 1 && !element.bool) return quoted(type.length);
      const item = bccText(btf, type.element);
      const parts = Array.from({ length: type.length }, (_, index) => ({
        text: item,
        offset: index * item.size,
      }));
      return sequence("[", "]", parts, item.size * type.length);
    }
    case "struct":
      return sequence(
        "{",
        "}",
        type.members.map((member) => partOf(btf, member)),
        type.size,
      );
    case "union":
      return sequence("{", "}", unionParts(btf, type.members, type.size), type.size);
    default:
      throw new LayoutError(`values of type "${btf.describe(id)}" have no text`);
  }
}

/** The text form of bytes of an unknown type: a number where one is that long, else a text. */
export function plainText(size: number): BccText {
  return [1, 2, 4, 8].includes(size) ? number(size) : quoted(size);
}

/** Per-CPU values, one after another. */
export function perCpuText(one: BccText, cpuCount: number): BccText {
  const slot = roundUp(one.size, 8);
  const parts = Array.from({ length: cpuCount }, (_, cpu) => ({ text: one, offset: cpu * slot }));
  return sequence("[", "]", parts, slot * cpuCount);
}

/** A text that is being read, word by word. */
export class Words {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Takes what a pattern, which is sticky, finds behind blanks. */
  take(pattern: RegExp, what: string): string {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) {
      const rest = this.#text.slice(this.#at, this.#at + 12);
      const is = rest === "" ? "the text ends" : `there is ${JSON.stringify(rest)}`;
      throw new LayoutError(`expected ${what} at character ${this.#at + 1}, and ${is}`, {
        hint: 'the form is that of key_sprintf and leaf_sprintf: { 0x1 "text" [ 0x2 0x3 ] }',
      });
    }
    this.#at += found.length;
    return found;
  }
}

/** Writes a whole text into zeroed memory. @throws LayoutError when it is another type's */
export function scanAll(form: BccText, text: string, view: DataView): void {
  const words = new Words(text);
  form.scan(words, view, 0);
  words.take(/$/y, "the end");
}

interface Part {
  readonly text: BccText;
  /** Bytes from the record's start. */
  readonly offset: number;
}

function sequence(open: string, close: string, parts: readonly Part[], size: number): BccText {
  const openPattern = new RegExp(`\\${open}`, "y");
  const closePattern = new RegExp(`\\${close}`, "y");
  return {
    size,
    print: (view, at) =>
      [open, ...parts.map(({ text, offset }) => text.print(view, at + offset)), close].join(" "),
    scan(words, view, at) {
      words.take(openPattern, `"${open}"`);
      for (const { text, offset } of parts) text.scan(words, view, at + offset);
      words.take(closePattern, `"${close}"`);
    },
  };
}

function partOf(btf: Btf, { type: id, bitOffset, bitSize }: BtfMember): Part {
  const type = btf.type(btf.resolve(id));
  const bits = bitSize !== 0 ? bitSize : type.kind === "int" && type.bits < type.size * 8 ? type.bits : 0;
  if (bits === 0 || (type.kind === "int" && type.bool))
    return { text: bccText(btf, id), offset: bitOffset / 8 };
  return { text: bitField(bitOffset % 8, bits), offset: Math.floor(bitOffset / 8) };
}

/** What the compiler makes of a union: its most aligned member, the largest of those, and bytes for the rest. */
function unionParts(btf: Btf, members: readonly BtfMember[], size: number): readonly Part[] {
  const [best] = members
    .map((member) => ({ part: partOf(btf, member), align: btf.alignOf(member.type) }))
    .sort((a, b) => b.align - a.align || b.part.text.size - a.part.text.size);
  if (best === undefined) return [];
  const used = best.part.text.size;
  return used >= size ? [best.part] : [best.part, { text: quoted(size - used), offset: used }];
}

const NUMBER = /-?(?:0x[0-9a-f]+|\d+)/iy;

function number(size: number): BccText {
  return {
    size,
    print(view, at) {
      let value = 0n;
      for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(at + i));
      return hex(value);
    },
    scan(words, view, at) {
      const value = numberOf(words.take(NUMBER, "a number"), size * 8);
      for (let i = 0; i < size; i++) view.setUint8(at + i, Number((value >> BigInt(8 * i)) & 0xffn));
    },
  };
}

/** Bits from a bit of the byte at the offset. */
function bitField(shift: number, bits: number): BccText {
  const size = Math.ceil((shift + bits) / 8);
  const whole = (view: DataView, at: number): bigint => {
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(at + i));
    return value;
  };
  return {
    size,
    print: (view, at) => hex(BigInt.asUintN(bits, whole(view, at) >> BigInt(shift))),
    scan(words, view, at) {
      const value = numberOf(words.take(NUMBER, "a number"), bits);
      const mask = ((1n << BigInt(bits)) - 1n) << BigInt(shift);
      const all = (whole(view, at) & ~mask) | (value << BigInt(shift));
      for (let i = 0; i < size; i++) view.setUint8(at + i, Number((all >> BigInt(8 * i)) & 0xffn));
    },
  };
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** A number as C spells it, of so many bits, as two's complement. */
function numberOf(word: string, bits: number): bigint {
  const digits = word.replace("-", "");
  const magnitude = BigInt(/^0\d/.test(digits) ? digits.replace(/^0+(?=\d)/, "0o") : digits);
  const value = word.startsWith("-") ? -magnitude : magnitude;
  if (value >= 1n << BigInt(bits) || value < -(1n << BigInt(bits - 1)))
    throw new LayoutError(`${word} does not fit into ${bits} bits`);
  return BigInt.asUintN(bits, value);
}

/** A quote in the text ends it only where a blank or nothing follows. */
const QUOTED = /".*?"(?=\s|$)/sy;

function quoted(size: number): BccText {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const encoder = new TextEncoder();
  return {
    size,
    print(view, at) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + at, size);
      const end = bytes.indexOf(0);
      return `"${decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))}"`;
    },
    scan(words, view, at) {
      const text = words.take(QUOTED, "a text in quotes").slice(1, -1);
      const bytes = encoder.encode(text);
      if (bytes.length > size) throw new LayoutError(`${show(text)} does not fit into ${size} bytes`);
      new Uint8Array(view.buffer, view.byteOffset + at, size).set(bytes);
    },
  };
}
