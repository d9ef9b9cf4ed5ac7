import { SYSCALL_TABLE } from "./syscall-table.ts";

/** SyscallArchs whose system calls are known, by Node's names. */
export type SyscallArch = "x64" | "arm64";

/** One system call of an architecture. */
export interface SystemCall {
  /** As its function in the kernel and its tracepoints call it: "openat", "newfstat". */
  readonly name: string;
  readonly number: number;
  /** Declarations of its parameters: "const char * filename". */
  readonly parameters: readonly string[];
}

/** System calls of an architecture. */
export interface SystemCalls {
  readonly byName: ReadonlyMap<string, SystemCall>;
  readonly byNumber: ReadonlyMap<number, SystemCall>;
}

const known = new Map<SyscallArch, SystemCalls>();

/** The system calls of an architecture, read from the table on first use. */
export function systemCalls(arch: SyscallArch): SystemCalls {
  const before = known.get(arch);
  if (before !== undefined) return before;
  const calls = SYSCALL_TABLE.trim()
    .split("\n")
    .flatMap((line) => callOf(line, arch));
  const made = {
    byName: new Map(calls.map((call) => [call.name, call])),
    byNumber: new Map(calls.map((call) => [call.number, call])),
  };
  known.set(arch, made);
  return made;
}

function callOf(line: string, arch: SyscallArch): readonly SystemCall[] {
  const [name = "", x64 = "-", arm64 = "-", ...rest] = line.split(" ");
  const number = arch === "x64" ? x64 : arm64;
  if (number === "-") return [];
  const parameters = rest.length === 0 ? [] : rest.join(" ").split(" | ");
  return [{ name, number: Number(number), parameters }];
}
