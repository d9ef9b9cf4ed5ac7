import type { Btf, BtfKind, BtfType } from "../object/btf.ts";
import { recordFields } from "../object/record-fields.ts";
import { probeableFunctions } from "../sys/kernel-functions.ts";
import { kernelSymbol } from "../sys/proc.ts";
import { availableEvents, tracepointId } from "../sys/tracefs.ts";
import { kernelBtf, typesWith } from "./environment.ts";
import { supports } from "./features.ts";
import { orWritten, writtenFormat } from "./tracepoint-formats.ts";

/** What programs can be attached to in the running kernel, and what it can do: for questions without a runtime. */
export const attachable = {
  /** Functions that may be probed, of those whose names match; modules' functions without their module. */
  functions: probeableFunctions,
  /** Every tracepoint, as "category:event". */
  tracepoints: availableEvents,
  hasTracepoint: (category: string, name: string): boolean =>
    orWritten(
      () => tracepointId(category, name) !== undefined,
      () => writtenFormat(category, name, kernelBtf) !== undefined,
    ),
  /** Whether raw tracepoints find those of modules (5.0). */
  tracesModules: (): boolean => kernelSymbol("bpf_trace_modules") !== undefined,
  supports,
  /** Whether a struct or union has a field; undefined without such a type. */
  hasField(tag: string, field: string): boolean | undefined {
    const found = typeOf(tag, "struct", "union");
    if (found?.type.kind !== "struct" && found?.type.kind !== "union") return undefined;
    return recordFields(found.types, found.type.members).some(({ name }) => name === field);
  },
  /** Whether an enum has an enumerator; undefined without such a type. */
  hasEnumerator(tag: string, enumerator: string): boolean | undefined {
    const found = typeOf(tag, "enum", "enum64");
    if (found?.type.kind !== "enum" && found?.type.kind !== "enum64") return undefined;
    return found.type.values.some(({ name }) => name === enumerator);
  },
} as const;

/** A type of the kernel or of a loaded module. */
function typeOf(
  tag: string,
  ...kinds: BtfKind[]
): { readonly types: Btf; readonly type: BtfType } | undefined {
  const types = typesWith([tag]);
  const id = types?.find(tag, ...kinds) ?? 0;
  return types === null || id === 0 ? undefined : { types, type: types.type(id) };
}
