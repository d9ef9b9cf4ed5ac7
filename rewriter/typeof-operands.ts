import type { Range } from "./lexer.ts";
import { normalize } from "./normalize.ts";
import { parseC, type SyntaxNode } from "./parser.ts";

/** Parsed together: a parse of its own for each takes longer than all the rest, and one that is no C spoils these at most. */
const GROUP = 256;

/** What a source has in the brackets of its `typeof`s, as syntax of their own. */
export class TypeofOperands {
  readonly #text: string;
  readonly #ranges: readonly Range[];
  readonly #indices: ReadonlyMap<Range, number>;
  readonly #parsed = new Map<Range, SyntaxNode | undefined>();

  /** @param ranges where the operands stand in the text, in its order */
  constructor(text: string, ranges: readonly Range[]) {
    this.#text = text;
    this.#ranges = ranges;
    this.#indices = new Map(ranges.map((range, index) => [range, index]));
  }

  /** A `sizeof` of the operand: it takes types and expressions alike, and the grammar tells which this is. */
  parsed(operand: Range): SyntaxNode | undefined {
    if (!this.#parsed.has(operand)) {
      const first = (this.#indices.get(operand) ?? 0) & -GROUP;
      this.#parseGroup(this.#ranges.slice(first, first + GROUP));
    }
    return this.#parsed.get(operand);
  }

  #parseGroup(ranges: readonly Range[]): void {
    const lines = ranges.map(({ start, end }) => {
      const text = normalize(this.#text.slice(start, end)).text.replaceAll("\n", " ");
      return `int x = sizeof(${text});\n`;
    });
    const declarations = parseC(lines.join("")).root.children;
    let start = 0;
    const isFaultless = lines.every((line, index) => {
      const declaration = declarations[index];
      const fits = declaration?.startIndex === start && declaration.endIndex === start + line.length - 1;
      start += line.length;
      return fits;
    });
    for (const [index, range] of ranges.entries()) {
      const root = isFaultless ? declarations[index]! : parseC(lines[index]!).root;
      this.#parsed.set(range, root.descendantsOfType("sizeof_expression")[0]);
    }
  }
}
