import type { SourcePosition } from "../core/errors.ts";
import { struct, u32, viewOf } from "../core/layout.ts";
import type { ProgramSpec } from "./object-spec.ts";

/** `struct bpf_line_info`. */
const bpfLineInfo = struct("bpf_line_info", {
  insn_off: u32,
  file_name_off: u32,
  line_off: u32,
  line_col: u32,
});

/** A place in the user's source, and the text of its line without the white space around. */
export interface SourceLine extends SourcePosition {
  readonly text: string;
}

/** Where an instruction came from, when the program has line records. */
export function sourceOf(spec: ProgramSpec, insn: number): SourceLine | undefined {
  if (spec.btf === null || spec.lineInfo.length < bpfLineInfo.size) return undefined;
  const view = viewOf(spec.lineInfo);
  let at = -1;
  for (let next = 0; next + bpfLineInfo.size <= view.byteLength; next += bpfLineInfo.size) {
    if (bpfLineInfo.read(view, next).insn_off > insn) break;
    at = next;
  }
  if (at < 0) return undefined;
  const { file_name_off, line_off, line_col } = bpfLineInfo.read(view, at);
  const line = spec.btf.string(line_off);
  // The low 10 bits are the column, in bytes of UTF-8; positions here count UTF-16 units.
  const before = new TextEncoder().encode(line).subarray(0, Math.max(0, (line_col & 0x3ff) - 1));
  return {
    file: spec.btf.string(file_name_off),
    line: line_col >>> 10,
    column: new TextDecoder().decode(before).length + 1,
    text: line.trim(),
  };
}
