import { UsageError } from "../../core/errors.ts";

/** struct pt_regs of x86-64, in order (arch/x86/include/uapi/asm/ptrace.h). */
const X64 = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss".split(" ");
/** struct pt_regs of arm64 as programs see it (struct user_pt_regs). */
const ARM64 = [...Array.from({ length: 31 }, (_, index) => `x${index}`), "sp", "pc", "pstate"];

/** What is where on an architecture. */
interface Registers {
  readonly names: readonly string[];
  readonly parameters: readonly string[];
  /** Of a system call, in the registers that its function gets a pointer to. */
  readonly syscall: readonly string[];
  readonly result: string;
}

export type Architecture = "x64" | "arm64";

const architectures: Readonly<Record<Architecture, Registers>> = {
  x64: {
    names: X64,
    parameters: ["di", "si", "dx", "cx", "r8", "r9"],
    syscall: ["di", "si", "dx", "r10", "r8", "r9"],
    result: "ax",
  },
  arm64: {
    names: ARM64,
    parameters: ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"],
    syscall: ["x0", "x1", "x2", "x3", "x4", "x5"],
    result: "x0",
  },
};

/** Registers of a function that was entered or left. */
export interface RegisterValues {
  /** By the names of struct pt_regs. */
  readonly registers?: Readonly<Record<string, number | bigint>>;
  /** The function's parameters. */
  readonly args?: readonly (number | bigint)[];
  /** What it returned. */
  readonly result?: number | bigint;
}

/** struct pt_regs with these values; all others are 0. @throws UsageError for a register that does not exist */
export function registerBytes(arch: Architecture, values: RegisterValues, isSyscall = false): Uint8Array {
  const { names, parameters, syscall, result } = architectures[arch];
  const view = new DataView(new ArrayBuffer(names.length * 8));
  const set = (name: string, value: number | bigint): void => {
    const at = names.indexOf(name);
    if (at < 0)
      throw new UsageError(`there is no register "${name}"`, { hint: `registers are ${names.join(", ")}` });
    view.setBigInt64(at * 8, BigInt.asIntN(64, BigInt(value)), true);
  };
  const places = isSyscall ? syscall : parameters;
  for (const [index, value] of (values.args ?? []).entries()) {
    const place = places[index];
    if (place === undefined)
      throw new UsageError(`registers hold ${places.length} parameters, not ${values.args!.length}`);
    set(place, value);
  }
  if (values.result !== undefined) set(result, values.result);
  for (const [name, value] of Object.entries(values.registers ?? {})) set(name, value);
  return new Uint8Array(view.buffer);
}

/** The register that holds a function's first parameter. */
export function firstParameter(arch: Architecture): string {
  return architectures[arch].parameters[0]!;
}
