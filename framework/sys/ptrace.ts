import { lastErrno, type PinnedMemory, pinned, processCalls } from "./libc.ts";

/** Requests and options of ptrace(2) (linux/ptrace.h). */
const PTRACE_CONT = 7;
const PTRACE_DETACH = 17;
const PTRACE_SYSCALL = 24;
const PTRACE_GETEVENTMSG = 0x4201;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_LISTEN = 0x4208;
/** Since Linux 5.3. */
const PTRACE_GET_SYSCALL_INFO = 0x420e;

const OPTIONS = {
  SYSGOOD: 0x01,
  FORK: 0x02,
  VFORK: 0x04,
  CLONE: 0x08,
  EXEC: 0x10,
  EXIT: 0x40,
} as const;
const ALL_OPTIONS = Object.values(OPTIONS).reduce((all, option) => all | option, 0);

/** Why a traced task stopped, in the upper half of its status. */
export const stopEvents = { fork: 1, vfork: 2, clone: 3, exec: 4, exit: 6, stop: 128 } as const;

/** NT_PRSTATUS (linux/elf.h): the general registers. */
const GENERAL_REGISTERS = 1;

/** __WALL: threads too. */
const WAIT_FOR_ALL = 0x40000000;
/** __WNOTHREAD: only what this very thread traces or started. */
const WAIT_FOR_OWN = WAIT_FOR_ALL | 0x20000000;

/** A system call that a task is about to make or has made: struct ptrace_syscall_info. */
export interface SyscallStop {
  readonly op: "enter" | "exit" | "none";
  /** AUDIT_ARCH_*: 32-bit programs have another one, and other numbers. */
  readonly arch: number;
  /** Only at entry. */
  readonly number: number;
  readonly args: readonly bigint[];
  /** Only at exit: what the call returned, a negative errno for failure. */
  readonly result: bigint;
}

const OPS = ["none", "enter", "exit"] as const;
const INFO_BYTES = 88;

/** Memory that the kernel writes into; a thread has one. */
interface Scratch {
  readonly info: PinnedMemory;
  readonly registers: PinnedMemory;
  /** struct iovec. */
  readonly vector: PinnedMemory;
  readonly word: PinnedMemory;
}

/** More than the general registers of any 64-bit machine take. */
const REGISTER_BYTES = 512;

let own: Scratch | undefined;

function scratch(): Scratch {
  own ??= {
    info: pinned(INFO_BYTES),
    registers: pinned(REGISTER_BYTES),
    vector: pinned(16),
    word: pinned(8),
  };
  return own;
}

/**
 * Begins to trace a task without stopping it: its system calls, children, threads, programs and end.
 * @returns undefined, or the errno
 */
export function seize(tid: number): string | undefined {
  return processCalls().ptrace(PTRACE_SEIZE, tid, 0, ALL_OPTIONS) < 0 ? lastErrno() : undefined;
}

/** Stops a traced task, before it runs on in its own code. */
export function interrupt(tid: number): void {
  processCalls().ptrace(PTRACE_INTERRUPT, tid, 0, 0);
}

/** How a stopped task goes on: to its next system call, to its next other stop, or without being traced any more. */
export type Resumption = "syscall" | "free" | "detach";

const REQUESTS: Readonly<Record<Resumption, number>> = {
  syscall: PTRACE_SYSCALL,
  free: PTRACE_CONT,
  detach: PTRACE_DETACH,
};

/** Lets a stopped task go on, with a signal if there is one. A task that was killed meanwhile is left alone. */
export function resume(tid: number, how: Resumption, signal = 0): void {
  processCalls().ptrace(REQUESTS[how], tid, 0, signal);
}

/** Leaves a task stopped as job control wants it, until it is told to continue. */
export function listen(tid: number): void {
  processCalls().ptrace(PTRACE_LISTEN, tid, 0, 0);
}

/** What came with an event: the new task's id, or the id that a task had before it became another program. */
export function eventMessage(tid: number): number | undefined {
  const { word } = scratch();
  if (processCalls().ptrace(PTRACE_GETEVENTMSG, tid, 0, word.address) < 0) return undefined;
  return Number(word.view.getBigUint64(0, true));
}

/** The system call that a task stopped at; undefined when the task is gone or the kernel is older than 5.3. */
export function syscallStop(tid: number): SyscallStop | undefined {
  const { info } = scratch();
  if (processCalls().ptrace(PTRACE_GET_SYSCALL_INFO, tid, INFO_BYTES, info.address) < 0) return undefined;
  const { view } = info;
  const op = OPS[view.getUint8(0)] ?? "none";
  const isEntry = op === "enter";
  return {
    op,
    arch: view.getUint32(4, true),
    number: isEntry ? Number(view.getBigUint64(24, true)) : -1,
    args: isEntry ? [32, 40, 48, 56, 64, 72].map((at) => view.getBigUint64(at, true)) : [],
    result: op === "exit" ? view.getBigInt64(24, true) : 0n,
  };
}

/** The general registers of a stopped task, valid until the next call; empty when it is gone. */
export function registersOf(tid: number): Uint8Array {
  const { vector, registers } = scratch();
  vector.view.setBigUint64(0, BigInt(registers.address), true);
  vector.view.setBigUint64(8, BigInt(REGISTER_BYTES), true);
  if (processCalls().ptrace(PTRACE_GETREGSET, tid, GENERAL_REGISTERS, vector.address) < 0) {
    return registers.bytes.subarray(0, 0);
  }
  return registers.bytes.subarray(0, Number(vector.view.getBigUint64(8, true)));
}

/** What became of a task that was waited for. */
export type Waited =
  | { readonly pid: number; readonly state: "exited"; readonly code: number }
  | { readonly pid: number; readonly state: "killed"; readonly signal: number }
  /** `event` is one of `stopEvents`, 0 for a signal; system calls stop with SIGTRAP and its highest bit set. */
  | { readonly pid: number; readonly state: "stopped"; readonly signal: number; readonly event: number };

/** Waits for a child or traced task of this thread; null when there is none. */
export function waitForOwn(pid = -1): Waited | null {
  return wait(pid, WAIT_FOR_OWN);
}

/** Waits for the end of a child that any thread of this process has started; null when there is none. */
export function waitForChild(pid: number): Waited | null {
  return wait(pid, WAIT_FOR_ALL);
}

function wait(pid: number, options: number): Waited | null {
  const { word } = scratch();
  const calls = processCalls();
  let found: number;
  do found = calls.waitpid(pid, word.address, options);
  while (found < 0 && lastErrno() === "EINTR");
  if (found <= 0) return null;
  const status = word.view.getInt32(0, true);
  const low = status & 0x7f;
  if (low === 0) return { pid: found, state: "exited", code: (status >> 8) & 0xff };
  if (low !== 0x7f) return { pid: found, state: "killed", signal: low };
  return { pid: found, state: "stopped", signal: (status >> 8) & 0xff, event: status >>> 16 };
}
