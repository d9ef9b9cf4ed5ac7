import { ObjectError } from "../core/errors.ts";
import { latin1, textBytes, utf8 } from "../core/text.ts";

/** The string section of BTF: texts that each end with a NUL, named by their offset. */
export class BtfStrings {
  /** Bytes in the section. */
  readonly length: number;
  readonly #bytes: Uint8Array;
  /** The section as one character a byte: engines search a string faster than a buffer. */
  #characters: string | undefined;
  readonly #found = new Map<string, readonly number[]>();

  /** @throws ObjectError when the last string does not end */
  constructor(bytes: Uint8Array) {
    if (bytes.length > 0 && bytes[bytes.length - 1] !== 0) {
      throw new ObjectError("cannot read BTF: its last string does not end");
    }
    this.#bytes = textBytes(bytes);
    this.length = bytes.length;
  }

  /** The text at an offset. */
  at(offset: number): string {
    if (offset >= this.length) {
      throw new ObjectError(`cannot read BTF: string offset ${offset} is past the string section`);
    }
    if (this.#bytes[offset] === 0) return "";
    return utf8(this.#bytes, offset, this.#bytes.indexOf(0, offset));
  }

  /** Where this text stands: usually one place, as writers store each text once. Finds nothing for "". */
  offsetsOf(text: string): readonly number[] {
    let offsets = this.#found.get(text);
    if (offsets === undefined) {
      offsets = text === "" || text.includes("\0") ? [] : this.#search(text);
      this.#found.set(text, offsets);
    }
    return offsets;
  }

  #search(text: string): readonly number[] {
    this.#characters ??= latin1(this.#bytes);
    const needle = `${latin1(new TextEncoder().encode(text))}\0`;
    const offsets: number[] = [];
    // Strings of split BTF begin without the empty one.
    if (this.#characters.startsWith(needle)) offsets.push(0);
    for (
      let at = this.#characters.indexOf(`\0${needle}`);
      at >= 0;
      at = this.#characters.indexOf(`\0${needle}`, at + 1)
    ) {
      offsets.push(at + 1);
    }
    return offsets;
  }
}
