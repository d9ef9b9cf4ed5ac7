import { createRequire } from "node:module";
import type { Tree } from "tree-sitter";

export type { SyntaxNode, Tree } from "tree-sitter";

type Parser = import("tree-sitter");

let parser: Parser | undefined;

/**
 * Parses C text. Offsets in the tree are UTF-16 units. The native parser loads on first use, so a cached object never
 * pays for it.
 */
export function parseC(text: string): Tree {
  if (parser === undefined) {
    const require = createRequire(import.meta.url);
    const ParserClass = require("tree-sitter") as new () => Parser;
    parser = new ParserClass();
    parser.setLanguage(require("tree-sitter-c"));
  }
  // The parser reads strings through a buffer of this many bytes and fails on longer ones.
  return parser.parse(text, undefined, { bufferSize: Math.max(32 * 1024, text.length * 2 + 2) });
}
