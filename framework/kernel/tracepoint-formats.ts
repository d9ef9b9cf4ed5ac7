import { PermissionError, UnsupportedError } from "../core/errors.ts";
import type { Btf, BtfMember } from "../object/btf.ts";
import { describeType } from "../object/describe-type.ts";
import { type SystemCall, systemCalls } from "../programs/system-calls.ts";
import { tracefsReadable } from "../sys/tracefs.ts";

/**
 * Formats of tracepoints for users whom tracefs is closed to: those of system calls from what is known of the calls,
 * others from the record that the kernel's types have under the tracepoint's name. Written as tracefs writes them.
 */

const COMMON = [
  "unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0",
  "unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0",
  "unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0",
  "int common_pid;\toffset:4;\tsize:4;\tsigned:1",
];
const NUMBER = "int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1";
const RESULT = "long ret;\toffset:16;\tsize:8;\tsigned:1";
/** Where a system call's parameters begin; each takes 8 bytes, whatever its type. */
const PARAMETERS_AT = 16;

/** A tracepoint's format without tracefs; undefined for one that nothing is known of. */
export function writtenFormat(category: string, name: string, types: () => Btf | null): string | undefined {
  if (category === "syscalls") {
    const [, side, callName = ""] = /^sys_(enter|exit)_(.+)$/.exec(name) ?? [];
    const call = ownCalls().get(callName);
    return call === undefined
      ? undefined
      : formatOf([NUMBER, ...(side === "enter" ? parametersOf(call) : [RESULT])]);
  }
  const btf = types();
  const type = btf?.type(btf.find(`trace_event_raw_${name}`, "struct"));
  if (btf === null || type?.kind !== "struct") return undefined;
  const [, ...members] = type.members;
  return formatOf(members.flatMap((member) => fieldOf(btf, member)));
}

/** Names of system calls' tracepoints: what can be told of a category without tracefs. */
export function writtenNames(category: string): readonly string[] {
  if (category !== "syscalls") return [];
  return [...ownCalls().keys()].flatMap((name) => [`sys_enter_${name}`, `sys_exit_${name}`]);
}

/** What tracefs says; what is known without it where this process may not read it. */
export function orWritten<T>(read: () => T, written: () => T): T {
  if (!tracefsReadable()) return written();
  try {
    return read();
  } catch (error) {
    if (error instanceof PermissionError || error instanceof UnsupportedError) return written();
    throw error;
  }
}

function ownCalls(): ReadonlyMap<string, SystemCall> {
  return systemCalls(process.arch === "arm64" ? "arm64" : "x64").byName;
}

function parametersOf({ parameters }: SystemCall): readonly string[] {
  return parameters.map(
    (declaration, index) => `${declaration};\toffset:${PARAMETERS_AT + 8 * index};\tsize:8;\tsigned:0`,
  );
}

function fieldOf(btf: Btf, { name, type, bitOffset }: BtfMember): readonly string[] {
  const size = btf.sizeOf(type);
  // The texts of any length are behind the record: `__data[]`.
  if (size === 0) return [];
  const place = `offset:${bitOffset / 8};\tsize:${size};\tsigned:${isSigned(btf, type) ? 1 : 0}`;
  if (name.startsWith("__data_loc_"))
    return [`__data_loc char[] ${name.slice("__data_loc_".length)};\t${place}`];
  const own = btf.type(btf.resolve(type));
  if (own.kind === "array") return [`${itemName(btf, own.element)} ${name}[${own.length}];\t${place}`];
  return [`${describeType(btf, type)} ${name};\t${place}`];
}

/** Format files have the words of the source for numbers; BTF has the compiler's, which nobody else reads. */
function itemName(btf: Btf, id: number): string {
  const type = btf.type(btf.resolve(id));
  if (type.kind !== "int" || type.char || type.size === 1) return describeType(btf, id);
  return `${type.signed ? "__s" : "__u"}${8 * type.size}`;
}

function isSigned(btf: Btf, id: number): boolean {
  const type = btf.type(btf.resolve(id));
  if (type.kind === "array") return isSigned(btf, type.element);
  return type.kind === "int" && type.signed;
}

function formatOf(fields: readonly string[]): string {
  const lines = (some: readonly string[]): string => some.map((field) => `\tfield:${field};\n`).join("");
  return `format:\n${lines(COMMON)}\n${lines(fields)}`;
}
