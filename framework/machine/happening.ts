import type { Task, UserMemory } from "../runtime/events.ts";
import type { Clock } from "./clock.ts";

export type { Task, UserMemory } from "../runtime/events.ts";
export type { Clock } from "./clock.ts";

/** The circumstances of an event: what helpers answer that programs ask about where and when they run. */
export interface Happening {
  readonly task: Task;
  readonly cpu: number;
  readonly clock: Clock;
  /** Return addresses, innermost first. */
  readonly kernelStack: readonly bigint[];
  readonly userStack: readonly bigint[];
  /** Memory of the process, and what an event gives of the kernel's. */
  readonly memory: UserMemory | null;
}
