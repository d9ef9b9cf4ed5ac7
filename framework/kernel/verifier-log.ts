import { VerifierError } from "../core/errors.ts";
import { isAtLeast } from "../core/version.ts";
import { helperByNumber, helpers } from "../isa/helpers.ts";
import { sourceOf } from "../object/line-info.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { kernelRelease, kernelVersion } from "../sys/proc.ts";

/** Numbers at the end of a log, and the remains of the machine's state: not reasons. */
const TRAILER = /^(processed \d+ insns|verification time |stack depth |max_states|peak_states|mark_read)/;
/** An instruction, a jump to one, a source line, a state of registers or a step of the search for one. */
const STEP =
  /^(\d+: |from \d+ to |;|mark_precise:|(R\d+|fp-\d+)(_\w+)?=|caller:|callee:|cur state:|old state:|returning from callee|func#)/;

/** The verifier's words, on this and older kernels, and what to do about each. First match wins. */
const HINTS: readonly (readonly [RegExp, (match: RegExpExecArray) => string])[] = [
  [
    /invalid mem access '\w*_or_null\w*'|pointer arithmetic on \w*_or_null/,
    () => "check the pointer for NULL before using it: a lookup can miss",
  ],
  [
    /invalid mem access '(scalar|inv)'/,
    () => "read kernel memory with bpf_probe_read_kernel(), user memory with bpf_probe_read_user()",
  ],
  [
    /expected=fp|type=(scalar|inv|ctx|ptr_\w*) expected=/,
    () => "pass a pointer to a variable on the stack or to a map's value: copy the data there first",
  ],
  [/(?:unknown func|invalid func|cannot use helper) (\S+)/, (match) => helperHint(match[1]!)],
  [
    /GPL[- ](restricted|compatible)|cannot call GPL|non-GPL/i,
    () => 'this helper is for GPL programs only: set the license to "GPL"',
  ],
  [
    /combined stack size|stack size of|invalid (write to )?stack .*off=-(51[3-9]|5[2-9]\d|[6-9]\d\d|\d{4,})/,
    () => "a program has 512 bytes of stack with all its calls: move large variables to a per-CPU array",
  ],
  [
    /invalid (indirect )?(read|access) (from|to) stack|invalid read from stack/,
    () => "initialise the whole variable, padding too: clear it with __builtin_memset() first",
  ],
  [
    /back-edge|infinite loop|loop detected/,
    () => "loops need a constant bound; before Linux 5.3 also #pragma unroll",
  ],
  [
    /unbounded memory access|unbounded min value|min value is negative|min value is outside|max value is outside|outside of the allowed memory range/,
    () =>
      "bound the index or length first: if (n >= MAX) return 0, or n &= MAX - 1 where MAX is a power of two",
  ],
  [/R0 !read_ok/, () => "every path must return a value"],
  [
    /!read_ok/,
    () =>
      "a register is read that nothing was written to: an uninitialised variable, or one kept across a call",
  ],
  [/invalid access to packet/, () => "compare the pointer with data_end before reading the packet"],
  [
    /invalid bpf_context access/,
    () => "this field of the context is not readable here, or its size or offset is wrong",
  ],
  [
    /leaks addr|pointer comparison prohibited/,
    () => "only privileged programs may keep or return kernel addresses",
  ],
  [
    /too large|too many (states|instructions)|complexity|sequence of \d+ jumps/,
    () => "the program has too many paths: shorten loops, or split it with tail calls",
  ],
  [
    /Unreleased reference|reference has not been/,
    () => "submit or discard every reserved record, and release every reference, on all paths",
  ],
  [
    /unreachable insn|jump out of range|last insn is not an exit/,
    () => "the instructions are not a complete function",
  ],
];

/** What is wrong with a call of "bpf_ktime_get_boot_ns#125" or, on kernels that lack it, "unknown#125". */
function helperHint(text: string): string {
  const [name = text, number] = text.split("#");
  const helper = number === undefined ? undefined : helperByNumber(Number(number));
  if (helper === undefined) return `this kernel has no helper ${text}, or not for this kind of program`;
  if (!isAtLeast(kernelVersion(), helpers[helper].since)) {
    return `bpf_${helper}() needs Linux ${helpers[helper].since}; this is ${kernelRelease()}`;
  }
  return `${name === "unknown" ? `bpf_${helper}` : name}() is not allowed in this kind of program`;
}

/** What a log says in short. */
export interface LogSummary {
  /** The verifier's reason: its last line that is one, with the line before when both belong together. */
  readonly reason: string;
  /** Lines with text that are not in `reason`. */
  readonly leftOut: number;
  /** The last instruction that the log mentions. */
  readonly insn: number | undefined;
  readonly hint: string | undefined;
}

/** Finds the reason in a verifier's log. */
export function summarizeLog(log: string): LogSummary {
  const lines = log
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  const reasons = reasonLines(lines);
  const reason = reasons.join("; ");
  return {
    reason,
    leftOut: lines.length - reasons.length,
    insn: lastInstruction(lines, reason),
    hint: findHint(reason),
  };
}

/** The last one or two lines that say something. */
function reasonLines(lines: readonly string[]): readonly string[] {
  const text = lines.filter((line) => !TRAILER.test(line));
  const last = text.findLastIndex((line) => !STEP.test(line));
  if (last < 0) return text.slice(-1);
  const before = text[last - 1];
  return before !== undefined && !STEP.test(before) ? [before, text[last]!] : [text[last]!];
}

function lastInstruction(lines: readonly string[], reason: string): number | undefined {
  const named = /\binsn (\d+)/.exec(reason);
  if (named !== null) return Number(named[1]);
  const line = lines.findLast((candidate) => /^\d+: \(/.test(candidate));
  return line === undefined ? undefined : Number.parseInt(line, 10);
}

function findHint(reason: string): string | undefined {
  for (const [pattern, hint] of HINTS) {
    const match = pattern.exec(reason);
    if (match !== null) return hint(match);
  }
  return undefined;
}

/** The error for a rejected program: the reason first, then the user's line; the whole log in a field. */
export function rejection(spec: ProgramSpec, log: string, cause: unknown): VerifierError {
  const { reason, leftOut, insn, hint } = summarizeLog(log);
  const at = insn === undefined ? undefined : sourceOf(spec, insn);
  const lines = leftOut === 1 ? "1 line" : `${leftOut} lines`;
  const source = at === undefined ? "" : `\n  ${at.file}:${at.line}:${at.column}: ${at.text}`;
  const message = `program "${spec.name}" was rejected: ${reason} (${lines} left out)${source}`;
  const position = at === undefined ? undefined : { file: at.file, line: at.line, column: at.column };
  return new VerifierError(message, { program: spec.name, log, at: position }, { hint, cause });
}
