import type { Clock } from "./clock.ts";

export type { Clock } from "./clock.ts";

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

/** The circumstances of an event: what helpers answer that programs ask about where and when they run. */
export interface Happening {
  readonly task: Task;
  readonly cpu: number;
  readonly clock: Clock;
  /** Return addresses, innermost first. */
  readonly kernelStack: readonly bigint[];
  readonly userStack: readonly bigint[];
  readonly memory: UserMemory | null;
}
