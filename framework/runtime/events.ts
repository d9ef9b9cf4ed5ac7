import type { MachineFault } from "../core/errors.ts";
import type { AttachTarget } from "../programs/targets.ts";
import type { Program, Runtime } from "./types.ts";

/** A task that programs run in: what bpf_get_current_pid_tgid and its relatives tell. */
export interface Task {
  /** The thread's id, which the kernel calls pid. */
  readonly pid: number;
  /** The process' id. */
  readonly tgid: number;
  /** Its name, at most 15 bytes. */
  readonly comm: string;
  readonly uid: number;
  readonly gid: number;
  /** The process that started it; 0 when nobody knows. */
  readonly parent: number;
}

/** Memory of the process that a program looks at. */
export interface UserMemory {
  /** Fills `into` from an address; false when any of it cannot be read. */
  read(address: bigint, into: Uint8Array): boolean;
  /** Writes at an address; false when any of it cannot be written. */
  write(address: bigint, bytes: Uint8Array): boolean;
}

/**
 * What a parameter or a pointer is: a number, or what it points to. A text (a NUL is put behind it) and bytes are in the
 * process's memory; `{ kernel }` puts them where programs read the kernel's.
 */
export type ArgumentValue = number | bigint | string | Uint8Array | { readonly kernel: string | Uint8Array };

/** A value of a field: as for parameters; arrays of characters take a text or bytes, others a value for each item. */
export type FieldValue = ArgumentValue | readonly ArgumentValue[];

/** Fields of a record by name. */
export type Fields = Readonly<Record<string, FieldValue>>;

/** In which circumstances something happens. What is left out is the runtime's own: this process, CPU 0, now. */
export interface Circumstances {
  readonly task?: Partial<Task>;
  readonly cpu?: number;
  /** Nanoseconds since boot. */
  readonly time?: bigint;
  /** Return addresses, innermost first. */
  readonly kernelStack?: readonly bigint[];
  readonly userStack?: readonly bigint[];
  /** Memory of the process, beside what the event's own texts and bytes are put in. */
  readonly memory?: UserMemory;
}

/** An event made by hand. Fields, registers and arguments that are left out are zero. */
export interface EventContext extends Circumstances {
  /** The whole context, for any kind of program, in place: programs that may write to theirs change it. */
  readonly bytes?: Uint8Array;
  /** Tracepoints, cgroups, sockets: fields of the context by name. Packets: those that say where they came from. */
  readonly fields?: Fields;
  /** Functions: parameters. Raw tracepoints: arguments. */
  readonly args?: readonly ArgumentValue[];
  /** Functions: what they return. */
  readonly result?: number | bigint;
  /** Functions and perf events: registers by the names of struct pt_regs. */
  readonly registers?: Readonly<Record<string, number | bigint>>;
  /**
   * System calls: struct pt_regs of the caller, which the call's function and the raw tracepoints sys_enter and sys_exit
   * get a pointer to. Made from `args` without it; raw tracepoints get the pointer before `args`.
   */
  readonly callerRegisters?: Uint8Array;
  /** Programs for packets: the packet, from its Ethernet header. */
  readonly packet?: Uint8Array;
  /** Takes the packet as the program left it. */
  readonly after?: (packet: Uint8Array) => void;
}

/** What one program answered to an event: r0, signed, or the fault that stopped it. */
export type Outcome =
  | { readonly program: Program; readonly r0: bigint; readonly fault: null }
  | { readonly program: Program; readonly r0: null; readonly fault: MachineFault };

/** A runtime in which events can be made by hand. */
export interface FiringRuntime extends Runtime {
  /** Lets something happen: every program that is attached there runs, now. A fault stops one and no other. */
  fire(target: AttachTarget, context?: EventContext): readonly Outcome[];
  /**
   * Runs one program, attached or not. @param target where it is taken to be attached; null for nowhere in particular
   */
  runOnce(program: Program, target: AttachTarget | null, context?: EventContext): Outcome;
  /** Whether anything is attached to a target. */
  isAttached(target: AttachTarget): boolean;
}

/** Whether events can be made by hand. */
export function firesEvents(runtime: Runtime): runtime is FiringRuntime {
  return "fire" in runtime;
}
