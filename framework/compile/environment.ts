import type { KernelFacts } from "./flags.ts";

/** The kernel that sources are compiled for, as far as the compiler asks about it. */
export interface CompileEnvironment extends KernelFacts {
  /** Changes with the kernel and its types: part of the cache key. */
  readonly identity: string;
  /** CPUs online, for bpf_num_cpus(). */
  readonly onlineCpus: number;
  /** The format file of a tracepoint; undefined when there is no such tracepoint or tracefs cannot be read. */
  tracepointFormat(category: string, name: string): string | undefined;
  /** Names of a category's tracepoints, or of all categories when it is unknown: for suggestions. */
  tracepointNames(category: string): readonly string[];
}
