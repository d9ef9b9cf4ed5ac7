import type { Edit } from "../edits.ts";
import type { Facts, FunctionCall } from "../facts.ts";
import { type Range, tokenAfter } from "../lexer.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";

const NAMES = new Set(["bpf_trace_printk", "bpf_printk"]);
/** The kernel's bpf_trace_vprintk takes this many. */
const MOST_VALUES = 12;
/** The kernel's bpf_trace_printk takes this many: what is left of five registers. */
const MOST_IN_REGISTERS = 3;

/**
 * `bpf_trace_printk("...", a, b)` as BCC has it becomes a call with the format's size; a format in an array of the
 * source's own gets the array's. A call that gives the size itself is the kernel's own and stays, and so does one the
 * source has a function or macro for.
 */
export function printk({ facts }: PassInput): PassResult {
  const edits: Edit[] = [];
  const diagnostics: PassDiagnostic[] = [];
  for (const call of facts.calls) {
    if (!NAMES.has(call.name) || facts.fileNames.has(call.name) || facts.isLocal(call.name, call.start))
      continue;
    const format = formatOf(facts, call);
    const result = format === undefined ? withoutFormat(call) : withFormat(facts, call, format);
    edits.push(...result.edits);
    diagnostics.push(...result.diagnostics);
  }
  return { edits, diagnostics };
}

/** A format that can be read: the string literals it is made of. */
interface Format {
  readonly literals: readonly Range[];
  /** Whether the call names an array that was initialised with them. */
  readonly isArray: boolean;
}

function formatOf(facts: Facts, call: FunctionCall): Format | undefined {
  const format = call.arguments[0];
  if (format === undefined) return undefined;
  const direct = literalsIn(facts, format);
  if (direct !== undefined) return { literals: direct, isArray: false };
  const name = facts.text.slice(format.start, format.end);
  if (!/^\w+$/.test(name)) return undefined;
  const initialised = lastInitialiser(facts, name, call.start);
  const literals = initialised === undefined ? undefined : literalsIn(facts, initialised);
  return literals === undefined ? undefined : { literals, isArray: true };
}

/** The string literals that a stretch consists of; undefined where there is anything else. */
function literalsIn({ text, normalized }: Facts, { start, end }: Range): readonly Range[] | undefined {
  const { tokens } = normalized;
  const literals: Range[] = [];
  for (let i = tokenAfter(tokens, start); i < tokens.length && tokens[i]!.start < end; i++) {
    const token = tokens[i]!;
    if (token.kind !== "string" || text[token.start] !== '"') return undefined;
    literals.push({ start: token.start, end: token.end });
  }
  return literals.length === 0 ? undefined : literals;
}

/** What the nearest `char name[...] = ...;` before an offset says. */
function lastInitialiser({ text, normalized }: Facts, name: string, before: number): Range | undefined {
  const { tokens, partners } = normalized;
  for (let i = tokenAfter(tokens, before) - 1; i > 0; i--) {
    const { start, end } = tokens[i]!;
    if (text.slice(start, end) !== name || text[tokens[i + 1]?.start ?? 0] !== "[") continue;
    const close = partners[i + 1]!;
    if (close < 0 || text.slice(tokens[close + 1]?.start, tokens[close + 1]?.end) !== "=") continue;
    const first = close + 2;
    let last = first;
    while (last < tokens.length && tokens[last]!.kind === "string") last++;
    return { start: tokens[first]?.start ?? end, end: tokens[last]?.start ?? text.length };
  }
  return undefined;
}

function withoutFormat(call: FunctionCall): PassResult {
  if (call.arguments.length >= 2) return { edits: [], diagnostics: [] };
  const finding = error(
    call.nameRange,
    "PRINTK_FORMAT",
    `the format of ${call.name} must be a string literal`,
    `or give the size as well: ${call.name}(format, sizeof(format), ...)`,
  );
  return { edits: [], diagnostics: [finding] };
}

function withFormat(facts: Facts, call: FunctionCall, format: Format): PassResult {
  const { specifiers, findings } = readFormat(facts, format.literals);
  const values = call.arguments.slice(1);
  const second = call.arguments[1];
  const givesSize =
    second !== undefined &&
    (format.isArray || facts.text.startsWith("sizeof", second.start)) &&
    (specifiers === values.length - 1 || (format.isArray && specifiers !== values.length));
  if (givesSize) return { edits: [], diagnostics: findings };
  if (values.length > MOST_VALUES) {
    const message = `${call.name} prints at most ${MOST_VALUES} values, not ${values.length}`;
    const hint = "submit a struct through BPF_PERF_OUTPUT or BPF_RINGBUF_OUTPUT instead";
    return { edits: [], diagnostics: [error(call.nameRange, "PRINTK_VALUES", message, hint)] };
  }
  if (format.isArray && values.length > MOST_IN_REGISTERS) {
    const message = `with a format in an array, ${call.name} prints at most ${MOST_IN_REGISTERS} values, not ${values.length}`;
    const hint = "write the format as a string literal in the call";
    return { edits: [], diagnostics: [error(call.nameRange, "PRINTK_VALUES", message, hint)] };
  }
  const diagnostics = [...findings];
  if (findings.length === 0 && specifiers !== values.length) {
    diagnostics.push({
      ...call.nameRange,
      severity: "warning",
      code: "PRINTK_VALUES",
      message: `the format of ${call.name} has ${count(specifiers, "conversion")}, and ${count(values.length, "value")} follow${values.length === 1 ? "s" : ""}`,
    });
  }
  const macro = format.isArray ? "bcc_trace_printk_array" : "bcc_trace_printk";
  // Brackets keep a comma inside a value, as in (struct key){1, 2}.first, from splitting it.
  const brackets = values.map(
    ({ start, end }): Edit => ({ kind: "wrap", start, end, before: "(", after: ")" }),
  );
  return { edits: [{ kind: "replace", ...call.nameRange, text: macro }, ...brackets], diagnostics };
}

function count(n: number, what: string): string {
  return `${n === 0 ? "no" : n} ${what}${n === 1 ? "" : "s"}`;
}

function error(range: Range, code: string, message: string, hint: string): PassDiagnostic {
  return { ...range, severity: "error", code, message, hint };
}

/** What the kernel's formatter takes behind a per cent sign: flags, a width, then a pointer's, a text's or a number's. */
const CONVERSION =
  /[0+\- ]*(?:[1-9][0-9]*)?(?:p(?:[iI][46]|[ku]s|[KxsSB](?!\w)|(?!\w))|s|c|(?:ll?)?[diuxX])/y;

/**
 * Counts the conversions of a format. What the kernel would refuse is a warning at its place: the kernel prints nothing
 * then, and says so only to the program.
 */
function readFormat(
  { text }: Facts,
  literals: readonly Range[],
): { readonly specifiers: number; readonly findings: readonly PassDiagnostic[] } {
  const findings: PassDiagnostic[] = [];
  let specifiers = 0;
  for (const { start, end } of literals) {
    for (let at = start + 1; at < end - 1; at++) {
      if (text[at] === "\\") {
        at++;
        continue;
      }
      if (text.charCodeAt(at) > 126) {
        findings.push({
          start: at,
          end: at + 1,
          severity: "warning",
          code: "PRINTK_FORMAT",
          message: `the kernel prints no format with ${JSON.stringify(text[at])} in it`,
          hint: "formats are ASCII; print other texts through %s",
        });
      }
      if (text[at] !== "%") continue;
      if (text[at + 1] === "%") {
        at++;
        continue;
      }
      specifiers++;
      CONVERSION.lastIndex = at + 1;
      if (CONVERSION.test(text) && CONVERSION.lastIndex <= end - 1) {
        at = CONVERSION.lastIndex - 1;
        continue;
      }
      const shown = /^%[0-9+\- .*#lhzjt]*\w?/.exec(text.slice(at, end - 1))![0];
      findings.push({
        start: at,
        end: at + shown.length,
        severity: "warning",
        code: "PRINTK_FORMAT",
        message: `the kernel does not print "${shown}", nor anything else of this format`,
        hint: "it takes %d %i %u %x %X with l or ll, %c, %s, %p and its kinds (%pK %ps %pS %pB %pks %pus %pI4 %pI6), and %%",
      });
    }
  }
  return { specifiers, findings };
}
