import { UsageError } from "../core/errors.ts";
import { syscallOf } from "../programs/syscalls.ts";
import type { AttachTarget } from "../programs/targets.ts";
import type { Link } from "../runtime/types.ts";
import type { Host } from "../runtimes.ts";
import type { Attachments } from "./attachments.ts";
import { checkOptions } from "./options.ts";
import { SymbolNames } from "./symbols.ts";

/** The part of `BPF` that attaches to the kernel's own code: functions, tracepoints, system calls. */
export abstract class KernelHooks extends SymbolNames {
  protected abstract readonly attachments: Attachments;
  protected abstract readonly host: Host;

  /** Runs a function when a kernel function is entered (4.1), or at an offset into it. */
  attach_kprobe(options: {
    readonly event: string;
    readonly fn_name: string;
    readonly event_off?: number;
  }): Link {
    checkOptions("attach_kprobe", options, { event: "string", fn_name: "string", event_off: "number?" });
    return this.attachments.attach(
      options.fn_name,
      "kprobe",
      kprobeTarget(options.event, options.event_off ?? 0),
    );
  }

  /** Runs a function when a kernel function returns (4.1). `maxactive` above 0 needs tracefs and 4.12. */
  attach_kretprobe(options: {
    readonly event: string;
    readonly fn_name: string;
    readonly maxactive?: number;
  }): Link {
    checkOptions("attach_kretprobe", options, { event: "string", fn_name: "string", maxactive: "number?" });
    const target = { ...kprobeTarget(options.event, 0), atReturn: true, maxActive: options.maxactive ?? 0 };
    return this.attachments.attach(options.fn_name, "kretprobe", target);
  }

  /** Runs a function at a tracepoint (4.7), named "category:event". */
  attach_tracepoint(options: { readonly tp: string; readonly fn_name: string }): Link {
    checkOptions("attach_tracepoint", options, { tp: "string", fn_name: "string" });
    return this.attachments.attach(options.fn_name, "tracepoint", tracepointTarget(options.tp));
  }

  /** Runs a function at a tracepoint with its raw arguments (4.17). */
  attach_raw_tracepoint(options: { readonly tp: string; readonly fn_name: string }): Link {
    checkOptions("attach_raw_tracepoint", options, { tp: "string", fn_name: "string" });
    return this.attachments.attach(options.fn_name, "raw_tracepoint", {
      hook: "raw_tracepoint",
      name: options.tp,
    });
  }

  detach_kprobe(options: {
    readonly event: string;
    readonly fn_name?: string;
    readonly event_off?: number;
  }): void {
    checkOptions("detach_kprobe", options, { event: "string", fn_name: "string?", event_off: "number?" });
    this.attachments.detach(kprobeTarget(options.event, options.event_off ?? 0), options.fn_name);
  }

  detach_kretprobe(options: { readonly event: string; readonly fn_name?: string }): void {
    checkOptions("detach_kretprobe", options, { event: "string", fn_name: "string?" });
    this.attachments.detach({ ...kprobeTarget(options.event, 0), atReturn: true }, options.fn_name);
  }

  detach_tracepoint(options: { readonly tp: string }): void {
    checkOptions("detach_tracepoint", options, { tp: "string" });
    this.attachments.detach(tracepointTarget(options.tp));
  }

  detach_raw_tracepoint(options: { readonly tp: string }): void {
    checkOptions("detach_raw_tracepoint", options, { tp: "string" });
    this.attachments.detach({ hook: "raw_tracepoint", name: options.tp });
  }

  /** How many kernel functions have a probe of this object. */
  num_open_kprobes(): number {
    return this.attachments.count("kprobe");
  }

  /** How many tracepoints have a program of this object. */
  num_open_tracepoints(): number {
    return this.attachments.count("tracepoint");
  }

  /** What comes before a system call's name in its kernel function's, for instance "__x64_sys_". */
  get_syscall_prefix(): string {
    return this.host.syscallPrefix;
  }

  /** The kernel function of a system call: "execve" → "__x64_sys_execve" on x86-64. */
  get_syscall_fnname(name: string): string {
    return this.host.syscallPrefix + name;
  }

  /** A function's name with this kernel's prefix when it has the prefix of any: "sys_clone" → "__x64_sys_clone". */
  fix_syscall_fnname(name: string): string {
    const call = syscallOf(name);
    return call === undefined ? name : this.get_syscall_fnname(call);
  }
}

function kprobeTarget(symbol: string, offset: number): AttachTarget & { readonly hook: "kprobe" } {
  return { hook: "kprobe", symbol, offset, atReturn: false, maxActive: 0 };
}

function tracepointTarget(tp: string): AttachTarget {
  const [category = "", name = "", ...rest] = tp.split(":");
  if (category === "" || name === "" || rest.length > 0) {
    throw new UsageError(`${JSON.stringify(tp)} is no tracepoint`, {
      hint: 'write "category:event", as in "sched:sched_switch"',
    });
  }
  return { hook: "tracepoint", category, name };
}
