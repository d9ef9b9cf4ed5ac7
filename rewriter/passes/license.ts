import type { Edit } from "../edits.ts";
import type { Facts } from "../facts.ts";
import type { PassInput, PassResult } from "./index.ts";

/** Sections that clang 17 makes a symbol of, which a variable or function of that name would meet. */
const SECTIONS = ["license", "version"];

/**
 * A source without a licence section is GPL, as in BCC. Names of file scope that are called like the sections, as in
 * `char license[] SEC("license")`, get another.
 */
export function license({ facts }: PassInput): PassResult {
  const edits = SECTIONS.flatMap((name) => renameUses(facts, name));
  if (!facts.sections.has("license")) {
    const at = facts.text.length;
    const text = '\nchar _license[] __attribute__((section("license"), used)) = "GPL";\n';
    edits.push({ kind: "replace", start: at, end: at, text });
  }
  return { edits, diagnostics: [] };
}

function renameUses(facts: Facts, name: string): readonly Edit[] {
  if (!facts.fileNames.has(name) || (name !== "license" && !facts.sections.has(name))) return [];
  if (facts.functions.some((fact) => fact.name === name && !fact.isHelper)) return [];
  const uses = facts.root
    .descendantsOfType("identifier")
    .filter((node) => node.text === name && !facts.isLocal(name, node.startIndex));
  return uses.map(({ startIndex: start, endIndex: end }) => ({
    kind: "replace",
    start,
    end,
    text: `__rx_${name}`,
  }));
}
