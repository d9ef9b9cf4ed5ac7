import { probeableFunctions } from "../sys/kernel-functions.ts";
import { kernelSymbol } from "../sys/proc.ts";
import { availableEvents, tracepointId } from "../sys/tracefs.ts";
import { kernelBtf } from "./environment.ts";
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
} as const;
