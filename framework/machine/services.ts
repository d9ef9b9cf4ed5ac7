import type { Task } from "./happening.ts";
import type { AddressSpace } from "./memory.ts";
import type { TaskMemory } from "./tasks.ts";
import type { Timers } from "./timers.ts";

/** A line that a program printed. */
export interface Printed {
  readonly task: Task;
  readonly cpu: number;
  /** Nanoseconds since boot. */
  readonly time: bigint;
  readonly text: string;
}

/** What helpers need of the machine around them. */
export interface Services {
  readonly cpuCount: number;
  readonly space: AddressSpace;
  /** 32 random bits. */
  random(): number;
  /** Takes what bpf_trace_printk and its relatives print. */
  print(line: Printed): void;
  /** Timers that programs keep in map values. */
  readonly timers: Timers;
  /** Structures of the kernel that programs may read, such as the current task's. */
  readonly tasks: TaskMemory;
}
