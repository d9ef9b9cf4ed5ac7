import type { Instruction } from "../isa/instruction.ts";
import type { Execution } from "./execution.ts";

/** A helper function as the machine runs it: it reads r1 to r5 of the execution's registers and sets r0. */
export type HelperFunction = (run: Execution) => void;

/** A program that passed the loader, with everything its instructions name resolved: what engines take. */
export interface CheckedProgram {
  readonly instructions: readonly Instruction[];
  /** Slots, wide loads counting two. */
  readonly slots: number;
  /** What each wide load puts into its register, by its slot. */
  readonly wide: ReadonlyMap<number, bigint>;
  /** The implementation of each helper that is called, by its number. */
  readonly helpers: ReadonlyMap<number, HelperFunction>;
}

/** A program ready to run. */
export interface Code {
  /**
   * Runs the function that begins at a slot in the frame that the execution stands at, with r1 to r5 of
   * `run.registers`, and leaves r0 there.
   *
   * @throws MachineFault, with the frame and registers of the execution as they were before
   */
  run(run: Execution, slot: number): void;
}

/** Turns programs into something that runs. Engines differ in speed and in nothing else. */
export interface Engine {
  readonly name: string;
  prepare(program: CheckedProgram): Code;
}
