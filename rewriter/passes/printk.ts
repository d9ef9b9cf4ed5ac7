import type { Edit } from "../edits.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";

const NAMES = new Set(["bpf_trace_printk", "bpf_printk"]);
/** The kernel's bpf_trace_vprintk takes this many. */
const MOST_VALUES = 12;

/**
 * `bpf_trace_printk("...", a, b)` as BCC has it becomes a call with the format's size. A call whose first argument is
 * no string literal is the kernel's own and stays, and so does one the source has a function or macro for.
 */
export function printk({ facts }: PassInput): PassResult {
  const edits: Edit[] = [];
  const diagnostics: PassDiagnostic[] = [];
  for (const call of facts.calls) {
    const format = call.arguments[0];
    if (!NAMES.has(call.name) || facts.fileNames.has(call.name) || facts.isLocal(call.name, call.start))
      continue;
    const isLiteral = format !== undefined && facts.text[format.start] === '"';
    if (!isLiteral) {
      if (call.arguments.length < 2) {
        diagnostics.push({
          ...call.nameRange,
          severity: "error",
          code: "PRINTK_FORMAT",
          message: `the format of ${call.name} must be a string literal`,
          hint: `or give the size as well: ${call.name}(format, sizeof(format), ...)`,
        });
      }
      continue;
    }
    if (call.arguments.length - 1 > MOST_VALUES) {
      diagnostics.push({
        ...call.nameRange,
        severity: "error",
        code: "PRINTK_VALUES",
        message: `${call.name} prints at most ${MOST_VALUES} values, not ${call.arguments.length - 1}`,
        hint: "submit a struct through BPF_PERF_OUTPUT or BPF_RINGBUF_OUTPUT instead",
      });
      continue;
    }
    edits.push({ kind: "replace", ...call.nameRange, text: "bcc_trace_printk" });
    // Brackets keep a comma inside a value, as in (struct key){1, 2}.first, from splitting it.
    for (const { start, end } of call.arguments.slice(1)) {
      edits.push({ kind: "wrap", start, end, before: "(", after: ")" });
    }
  }
  return { edits, diagnostics };
}
