import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";

/** Follows a text file that another machine appends to: each call gives the whole lines that are new. */
export class Tail {
  readonly #path: string;
  readonly #decoder = new StringDecoder("utf8");
  #offset = 0;
  #unfinished = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Whole lines since the last call; none while the file is missing. */
  lines(): readonly string[] {
    const lines = (this.#unfinished + this.#readNew()).split("\n");
    this.#unfinished = lines.pop() ?? "";
    return lines;
  }

  /** The last line when it has no line end; for asking after the writer is gone. */
  rest(): string {
    const rest = this.#unfinished + this.#decoder.end();
    this.#unfinished = "";
    return rest;
  }

  #readNew(): string {
    if (!existsSync(this.#path)) return "";
    const file = openSync(this.#path, "r");
    try {
      const chunk = Buffer.alloc(65536);
      let text = "";
      for (;;) {
        const count = readSync(file, chunk, 0, chunk.length, this.#offset);
        if (count === 0) return text;
        this.#offset += count;
        text += this.#decoder.write(chunk.subarray(0, count));
      }
    } finally {
      closeSync(file);
    }
  }
}
