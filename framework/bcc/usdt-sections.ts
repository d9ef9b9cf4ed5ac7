import { USDT } from "./usdt.ts";

/** A function whose section names a probe: `SEC("usdt/PATH:PROVIDER:NAME") int BPF_USDT(on_probe, int first)`. */
const SECTION =
  /\bSEC\s*\(\s*"usdt(?:\.s)?\/([^":]+):(\w+):(\w+)"\s*\)\s*(?:int|long)\s+(?:BPF_USDT\s*\(\s*)?(\w+)/g;

/** What the sections of a source enable. */
export interface UsdtSections {
  readonly contexts: readonly USDT[];
  /** The functions that have such a section. */
  readonly functionNames: ReadonlySet<string>;
}

/**
 * Probes that a source names in sections, as they are written in the text: reading their arguments takes the program's
 * notes before anything is compiled. A section that a macro composes is not seen.
 *
 * @throws AttachError for a file or a probe that is not there
 */
export function usdtSections(text: string): UsdtSections {
  const byPath = new Map<string, USDT>();
  const functionNames = new Set<string>();
  for (const [, path = "", provider, name, functionName = ""] of text.matchAll(SECTION)) {
    const context = byPath.get(path) ?? new USDT({ path });
    byPath.set(path, context);
    context.enable_probe(`${provider}:${name}`, functionName);
    functionNames.add(functionName);
  }
  return { contexts: [...byPath.values()], functionNames };
}
