import { VerifierError } from "../core/errors.ts";
import { disassemble } from "../isa/disassemble.ts";
import { helperByNumber, helpers } from "../isa/helpers.ts";
import {
  decode,
  FRAME_POINTER,
  INSN_BYTES,
  type Instruction,
  jumpTarget,
  type Refusal,
  writtenRegister,
} from "../isa/instruction.ts";
import { sourceOf } from "../object/line-info.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import type { CheckedProgram, HelperFunction } from "./engine.ts";
import type { MachineMap } from "./maps/machine-map.ts";
import { FUNCTION_HIGH, LOW_BASE, MAP_HIGH } from "./memory.ts";

/** What the loader asks its machine. */
export interface LoadHost {
  /** The implementation of a helper; undefined for one that the machine lacks. */
  helper(number: number): HelperFunction | undefined;
  /** The map behind a number in the instructions; undefined for none. */
  mapOf(fd: number): MachineMap | undefined;
}

/** A program that may run, and the maps it names. */
export interface LoadedProgram {
  readonly checked: CheckedProgram;
  readonly maps: ReadonlySet<MachineMap>;
}

/** Licenses under which the kernel lets programs call GPL-only helpers (include/linux/license.h). */
const GPL = ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/**
 * Checks a program and resolves what its instructions name.
 *
 * Everything is refused that RFC 9669 refuses before running: opcodes and forms that do not exist, reserved fields that
 * are set, jumps to where no instruction begins, and ends that are none. What memory a program touches is checked while
 * it runs.
 *
 * @throws VerifierError that names the instruction and, by the line records, the user's line
 */
export function loadProgram(
  spec: ProgramSpec,
  maps: ReadonlyMap<string, MachineMap>,
  host: LoadHost,
): LoadedProgram {
  const { instructions, refusal } = decode(spec.insns);
  const found =
    refusal ?? checkWrites(instructions) ?? checkFlow(instructions, spec.insns.length / INSN_BYTES);
  if (found !== null) throw rejected(spec, found, instructions);
  const named = new Map(spec.mapReferences.map((reference) => [reference.insn, reference]));
  const wide = new Map<number, bigint>();
  const used = new Set<MachineMap>();
  const called = new Map<number, HelperFunction>();
  const refuse = (at: number, reason: string, hint?: string): never => {
    throw rejected(spec, { at, reason }, instructions, hint);
  };
  for (const insn of instructions) {
    const { opcode, at, imm } = insn;
    if (opcode.kind === "call") {
      if (opcode.callee === "kernel") refuse(at, "the machine has no kernel functions (kfuncs)");
      if (opcode.callee !== "helper") continue;
      called.set(imm, host.helper(imm) ?? refuse(at, ...lackedHelper(imm)));
      const name = helperByNumber(imm);
      if (name !== undefined && helpers[name].gpl && !GPL.includes(spec.license)) {
        refuse(
          at,
          `bpf_${name}() is for GPL programs only`,
          'this helper is for GPL programs only: set the license to "GPL"',
        );
      }
    }
    if (opcode.kind !== "wide") continue;
    const reference = named.get(at);
    const map = reference === undefined ? mapIn(insn, host) : maps.get(reference.map);
    if (map === undefined && (reference !== undefined || opcode.form !== "imm64")) {
      if (opcode.form !== "func") refuse(at, `${disassemble(insn)} names nothing that the machine has`);
      wide.set(at, address(FUNCTION_HIGH, at + 1 + imm));
      continue;
    }
    if (map === undefined) {
      wide.set(at, (BigInt(insn.next) << 32n) | BigInt(imm >>> 0));
      continue;
    }
    used.add(map);
    const offset =
      reference === undefined
        ? opcode.kind === "wide" && opcode.form === "map_value"
          ? insn.next
          : null
        : reference.valueOffset;
    if (offset === null) wide.set(at, address(MAP_HIGH, map.fd));
    else
      wide.set(
        at,
        valueAddress(map, offset) ?? refuse(at, `table "${map.spec.name}" has no value at offset ${offset}`),
      );
  }
  return {
    checked: { instructions, slots: spec.insns.length / INSN_BYTES, wide, helpers: called },
    maps: used,
  };
}

function mapIn({ opcode, imm }: Instruction, host: LoadHost): MachineMap | undefined {
  const names = opcode.kind === "wide" && (opcode.form === "map" || opcode.form === "map_value");
  return names ? host.mapOf(imm) : undefined;
}

function valueAddress(map: MachineMap, offset: number): bigint | undefined {
  const { region } = map.store;
  if (region === null || map.spec.kind !== "array" || offset < 0 || offset >= map.spec.valueSize)
    return undefined;
  return address(region.high, LOW_BASE + offset);
}

function address(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

function lackedHelper(number: number): [reason: string, hint?: string] {
  const name = helperByNumber(number);
  return name === undefined
    ? [`there is no helper with number ${number}`]
    : [`the machine has no helper bpf_${name}()`, 'use { runtime: "kernel" } with the privileges it needs'];
}

function checkWrites(instructions: readonly Instruction[]): Refusal | null {
  const wrong = instructions.find((insn) => writtenRegister(insn) === FRAME_POINTER);
  return wrong === undefined ? null : { at: wrong.at, reason: "the frame pointer r10 is read-only" };
}

/** Control stays in each function: no jump leaves it or leads between two halves, and its end is one. */
function checkFlow(instructions: readonly Instruction[], slots: number): Refusal | null {
  const begins = new Uint8Array(slots);
  for (const { at } of instructions) begins[at] = 1;
  const starts = new Set([0]);
  for (const { opcode, at, imm } of instructions) {
    const isCall = opcode.kind === "call" && opcode.callee === "local";
    if (!isCall && !(opcode.kind === "wide" && opcode.form === "func")) continue;
    const target = at + 1 + imm;
    if (begins[target] !== 1) return { at, reason: `there is no function at instruction ${target}` };
    starts.add(target);
  }
  const ordered = [...starts].sort((a, b) => a - b);
  let function_ = 0;
  for (const [index, insn] of instructions.entries()) {
    const { at, opcode } = insn;
    while (function_ + 1 < ordered.length && ordered[function_ + 1]! <= at) function_++;
    const start = ordered[function_]!;
    const end = ordered[function_ + 1] ?? slots;
    const target = jumpTarget(insn);
    if (target !== undefined) {
      if (target < start || target >= end)
        return { at, reason: `it jumps out of its function, to ${target}` };
      if (begins[target] !== 1)
        return { at, reason: `it jumps into the middle of the wide load at ${target - 1}` };
    }
    const next = instructions[index + 1]?.at ?? slots;
    const isEnd = opcode.kind === "exit" || opcode.kind === "goto";
    if (next >= end && !isEnd) return { at, reason: "the function goes on past its last instruction" };
  }
  return null;
}

/** The error for a program that the machine does not load. */
function rejected(
  spec: ProgramSpec,
  { at, reason }: Refusal,
  instructions: readonly Instruction[],
  hint?: string,
): VerifierError {
  const insn = instructions.find((candidate) => candidate.at === at);
  const text = insn === undefined ? "" : `, ${disassemble(insn)}`;
  const source = sourceOf(spec, at);
  const line =
    source === undefined ? "" : `\n  ${source.file}:${source.line}:${source.column}: ${source.text}`;
  const position =
    source === undefined ? undefined : { file: source.file, line: source.line, column: source.column };
  const words = `instruction ${at}${text}: ${reason}`;
  return new VerifierError(
    `program "${spec.name}" was rejected: ${words}${line}`,
    { program: spec.name, log: words, at: position },
    { hint },
  );
}
