import type { PassInput, PassResult } from "./index.ts";

/** A source without a licence section is GPL, as in BCC. */
export function license({ facts }: PassInput): PassResult {
  if (facts.sections.has("license")) return { edits: [], diagnostics: [] };
  const at = facts.text.length;
  const text = '\nchar _license[] __attribute__((section("license"), used)) = "GPL";\n';
  return { edits: [{ kind: "replace", start: at, end: at, text }], diagnostics: [] };
}
