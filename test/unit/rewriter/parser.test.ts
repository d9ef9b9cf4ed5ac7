import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type ParserClass from "tree-sitter";
import type { TreeCursor } from "tree-sitter";
import { expect, test } from "vitest";
import { normalize } from "../../../rewriter/normalize.ts";
import { parseC, type SyntaxNode } from "../../../rewriter/parser.ts";
import { fixtureNames, fixturesFolder } from "../../support/fixtures.ts";

const require = createRequire(import.meta.url);
const native = new (require("tree-sitter") as typeof ParserClass)();
native.setLanguage({ ...require("tree-sitter-c"), nodeTypeInfo: [] });

/** What the parser itself says of every node, in the order of the text. */
function* asked(cursor: TreeCursor): Generator<string> {
  for (;;) {
    const isBound = !cursor.nodeIsNamed && "()[]{},;".includes(cursor.nodeType);
    if (!isBound)
      yield `${cursor.currentFieldName ?? ""}: ${cursor.nodeType} ${cursor.startIndex}-${cursor.endIndex}`;
    if (cursor.gotoFirstChild()) continue;
    while (!cursor.gotoNextSibling()) if (!cursor.gotoParent()) return;
  }
}

function* copied(node: SyntaxNode): Generator<string> {
  yield `${node.field ?? ""}: ${node.type} ${node.startIndex}-${node.endIndex}`;
  for (const child of node.children) {
    expect(child.parent).toBe(node);
    yield* copied(child);
  }
}

// The preprocessor leaves no directives.
const texts = fixtureNames("rewriter", ".in.c").map((name): [string, string] => [
  name,
  normalize(readFileSync(`${fixturesFolder}/rewriter/${name}.in.c`, "utf8").replace(/^#(?:.*\\\n)*.*$/gm, ""))
    .text,
]);

test.each([
  ...texts,
  ["strings", 'char *a = "  b" "\\n" u8"x";\nchar c = \' \', d = \'\\\\\';\n'],
  ["odd blanks", "int\ta\f=\v1 ;\r\nint\n\n\nb;"],
  ["lines that go on", "int a\\\n = 1 +\\\r\n 2; int lo\\\nng;"],
  ["words beyond ASCII", "int größe = 1; int $x = größe;"],
  ["words with escapes", "int gr\\u00f6sse = 1; int b = gr\\u00f6sse + 2;"],
  ["what does not parse", "int f( { return +; } struct { x"],
  ["nothing", ""],
  ["blanks", "  \n "],
])("a copied tree says of every node what the parser says: %s", (_, text) => {
  const tree = native.parse(text, undefined, { bufferSize: 1 << 20 });
  expect([...copied(parseC(text).root)].slice(1)).toEqual([...asked(tree.walk())].slice(1));
});
