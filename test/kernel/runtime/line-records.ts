import { Btf } from "../../../framework/object/btf.ts";
import type { ProgramSpec } from "../../../framework/object/object-spec.ts";

/** One line record of a program. */
export interface LineRecord {
  readonly insn: number;
  readonly file: string;
  readonly line: number;
  /** From 1, in bytes. */
  readonly column: number;
  readonly text: string;
}

const KIND_INT = 1;
const KIND_FUNC = 12;
const KIND_FUNC_PROTO = 13;

/** The program with types of one function, `int probe(void)`, and line records: what clang -g would have made. */
export function withLines(spec: ProgramSpec, lines: readonly LineRecord[]): ProgramSpec {
  let strings = "\0";
  const text = (value: string): number => {
    const at = Buffer.byteLength(strings);
    strings += `${value}\0`;
    return at;
  };
  const types = Uint32Array.of(
    ...[text("int"), KIND_INT << 24, 4, (1 << 24) | 32],
    ...[0, KIND_FUNC_PROTO << 24, 1],
    ...[text(spec.name), KIND_FUNC << 24, 2],
  );
  const records = lines.flatMap(({ insn, file, line, column, text: source }) => [
    insn,
    text(file),
    text(source),
    (line << 10) | column,
  ]);
  const body = Buffer.concat([Buffer.from(types.buffer), Buffer.from(strings)]);
  const header = Buffer.from(
    Uint32Array.of(0x0001eb9f, 24, 0, types.byteLength, types.byteLength, Buffer.byteLength(strings)).buffer,
  );
  return {
    ...spec,
    btf: new Btf(Uint8Array.from(Buffer.concat([header, body]))),
    funcInfo: new Uint8Array(Uint32Array.of(0, 3).buffer),
    lineInfo: new Uint8Array(Uint32Array.from(records).buffer),
  };
}
