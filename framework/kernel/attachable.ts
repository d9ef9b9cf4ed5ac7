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
    const types = typesWith([tag]);
    const id = types?.find(tag, "struct", "union") ?? 0;
    if (types === null || id === 0) return undefined;
    const type = types.type(id);
    if (type.kind !== "struct" && type.kind !== "union") return undefined;
    return recordFields(types, type.members).some(({ name }) => name === field);
  },
  /** Whether an enum has an enumerator; undefined without such a type. */
  hasEnumerator(tag: string, enumerator: string): boolean | undefined {
    const types = typesWith([tag]);
    const id = types?.find(tag, "enum", "enum64") ?? 0;
    if (types === null || id === 0) return undefined;
    const type = types.type(id);
    if (type.kind !== "enum" && type.kind !== "enum64") return undefined;
    return type.values.some(({ name }) => name === enumerator);
  },
} as const;
