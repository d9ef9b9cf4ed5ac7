import { UsageError } from "../core/errors.ts";
import type { FeatureName, Support } from "../runtime/types.ts";
import { attachable } from "../runtimes.ts";
import { probeLimit } from "./probe-quota.ts";
import { SymbolNames } from "./symbols.ts";

/** BCC's questions about the running kernel, asked of the class. */
export abstract class KernelQueries extends SymbolNames {
  /**
   * Kernel functions that may be probed and whose whole names match. Names of modules' functions are without the module.
   *
   * @throws UsageError for a bad regular expression
   */
  static get_kprobe_functions(event_re: string): ReadonlySet<string> {
    return new Set(attachable.functions(matcher("get_kprobe_functions", `^(?:${event_re})$`)));
  }

  /** How many probes this process may have open: BCC_PROBE_LIMIT in the environment, else 1000. */
  static get_probe_limit(): number {
    return probeLimit();
  }

  /**
   * Tracepoints, as "category:event", whose names begin as the regular expression says.
   *
   * @throws UsageError for a bad regular expression; PermissionError, UnsupportedError where tracefs is out of reach
   */
  static get_tracepoints(tp_re: string): readonly string[] {
    return attachable.tracepoints().filter(matcher("get_tracepoints", `^(?:${tp_re})`));
  }

  /** Whether this kernel has a tracepoint. */
  static tracepoint_exists(category: string, event: string): boolean {
    return attachable.hasTracepoint(category, event);
  }

  /** Whether this kernel has a feature: yes, no and since which kernel, or unknown and why it could not be told. */
  static supports(feature: FeatureName): Support {
    return attachable.supports(feature);
  }

  /** Whether this process can attach programs to kernel functions by BTF: KFUNC_PROBE, KRETFUNC_PROBE (5.5). */
  static support_kfunc(): boolean {
    return has("fentry");
  }

  /** Whether this process can attach programs that change what functions return: KMOD_RET (5.7). */
  static support_fmod_ret(): boolean {
    return has("fmod_ret");
  }

  /** Whether LSM_PROBE programs can be attached and BPF is among the active security modules (5.7). */
  static support_lsm(): boolean {
    return has("lsm");
  }

  /** Whether this kernel has raw tracepoints (4.17). */
  static support_raw_tracepoint(): boolean {
    return has("raw_tracepoint");
  }

  /** Whether raw tracepoints of modules can be attached to (5.0). */
  static support_raw_tracepoint_in_module(): boolean {
    return has("raw_tracepoint") && attachable.tracesModules();
  }

  /**
   * Whether a struct or union of the kernel has a field, that of an anonymous member too: 1 or 0; -1 where the kernel and
   * its loaded modules have no such type, or no types at all. For sources that follow the kernel's changes.
   */
  static kernel_struct_has_field(struct_name: string, field_name: string): 1 | 0 | -1 {
    return answer(attachable.hasField(struct_name, field_name));
  }

  /** Whether an enum of the kernel has an enumerator, told likewise. */
  static kernel_enum_has_val(enum_name: string, enum_value: string): 1 | 0 | -1 {
    return answer(attachable.hasEnumerator(enum_name, enum_value));
  }

  /** What `bpf_ktime_get_ns` gives in a program, in nanoseconds: a bigint, where BCC's number is rounded from 104 days on. */
  static monotonic_time(): bigint {
    return process.hrtime.bigint();
  }
}

function answer(found: boolean | undefined): 1 | 0 | -1 {
  if (found === undefined) return -1;
  return found ? 1 : 0;
}

function has(feature: FeatureName): boolean {
  return attachable.supports(feature).state === "yes";
}

function matcher(method: string, pattern: string): (name: string) => boolean {
  try {
    const expression = new RegExp(pattern);
    return (name) => expression.test(name);
  } catch (cause) {
    throw new UsageError(`${method}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
