import { assertDeclaredRecords, type IteratorDeclaration } from "../../maps/tables/declaration.ts";
import { AttachError, UsageError } from "../core/errors.ts";
import type { Scope } from "../core/scope.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { type ProgramKindName, programKinds } from "../programs/kinds.ts";
import { syscallOf } from "../programs/syscalls.ts";
import { type AttachTarget, placeTracepoint } from "../programs/targets.ts";
import {
  type Command,
  type CommandOptions,
  isIteratorLink,
  type Link,
  type RawMap,
} from "../runtime/types.ts";
import type { Host } from "../runtimes.ts";
import type { Attachments, ManyFunctions } from "./attachments.ts";
import { BpfIterator } from "./iterator.ts";
import { KernelQueries } from "./kernel-queries.ts";
import { linkAll } from "./link-group.ts";
import { checkOptions } from "./options.ts";
import { starPattern } from "./patterns.ts";

/** Where a kprobe goes: one function, or all whose names a regular expression matches whole. */
interface KprobeOptions {
  readonly fn_name: string;
  readonly event?: string;
  readonly event_re?: string;
}

/** The part of `BPF` that attaches to the kernel's own code: functions, tracepoints, system calls, iterators. */
export abstract class KernelHooks extends KernelQueries {
  protected abstract readonly attachments: Attachments;
  protected abstract readonly host: Host;
  protected abstract readonly scope: Scope;
  /** @throws UsageError for a function that the source lacks */
  protected abstract specOf(functionName: string): ProgramSpec;
  /** @throws UsageError for a table that the source lacks */
  protected abstract rawMap(tableName: string): RawMap;

  /**
   * Runs a function when a kernel function is entered (4.1), or at an offset into it. `event` may name a module's
   * function, also as "module:function". With `event_re` it runs at every function whose whole name matches: through one
   * link on kernels that have it (5.18), else through as many probes as there are functions.
   */
  attach_kprobe(options: KprobeOptions & { readonly event_off?: number }): Link {
    checkOptions("attach_kprobe", options, {
      fn_name: "string",
      event: "string?",
      event_re: "string?",
      event_off: "number?",
    });
    const target = probeTarget("attach_kprobe", options);
    if (target.hook === "kprobe_multi") return this.attachments.attachMany(options.fn_name, target);
    return this.attachments.attach(options.fn_name, "kprobe", { ...target, offset: options.event_off ?? 0 });
  }

  /** Runs a function when a kernel function returns (4.1). `maxactive` above 0 needs tracefs and 4.12. */
  attach_kretprobe(options: KprobeOptions & { readonly maxactive?: number }): Link {
    checkOptions("attach_kretprobe", options, {
      fn_name: "string",
      event: "string?",
      event_re: "string?",
      maxactive: "number?",
    });
    const target = { ...probeTarget("attach_kretprobe", options), atReturn: true };
    if (target.hook === "kprobe_multi") return this.attachments.attachMany(options.fn_name, target);
    return this.attachments.attach(options.fn_name, "kretprobe", {
      ...target,
      maxActive: options.maxactive ?? 0,
    });
  }

  /** Runs a function at a tracepoint (4.7), named "category:event", or at all whose names begin as `tp_re` says. */
  attach_tracepoint(options: {
    readonly fn_name: string;
    readonly tp?: string;
    readonly tp_re?: string;
  }): Link {
    checkOptions("attach_tracepoint", options, { fn_name: "string", tp: "string?", tp_re: "string?" });
    const { fn_name, tp, tp_re } = options;
    const attach = (name: string): Link =>
      this.attachments.attach(fn_name, "tracepoint", tracepointTarget(name));
    if ((tp === undefined) === (tp_re === undefined)) throw eitherOr("attach_tracepoint", "tp", "tp_re");
    if (tp_re === undefined) return attach(tp!);
    const names = KernelQueries.get_tracepoints(tp_re);
    if (names.length === 0)
      throw new AttachError(`cannot attach "${fn_name}": no tracepoint matches ${tp_re}`);
    return linkAll(
      { hook: "tracepoint", category: "*", name: tp_re },
      names.map((name) => () => attach(name)),
    );
  }

  /** Runs a function at a tracepoint with its raw arguments (4.17); modules' tracepoints since 5.0. */
  attach_raw_tracepoint(options: { readonly tp: string; readonly fn_name: string }): Link {
    checkOptions("attach_raw_tracepoint", options, { tp: "string", fn_name: "string" });
    return this.attachments.attach(options.fn_name, "raw_tracepoint", {
      hook: "raw_tracepoint",
      name: options.tp,
    });
  }

  /** Attaches a KFUNC_PROBE (5.5) that was left unattached or detached: "vmlinux__do_rmdir", or the function's whole name. */
  attach_kfunc(options: { readonly fn_name: string }): Link {
    return this.#attachByBtf("attach_kfunc", options, "fentry", "kfunc__");
  }

  /** Attaches a KRETFUNC_PROBE (5.5). */
  attach_kretfunc(options: { readonly fn_name: string }): Link {
    return this.#attachByBtf("attach_kretfunc", options, "fexit", "kretfunc__");
  }

  /** Attaches a KMOD_RET (5.7), which can change what a function returns. */
  attach_fmod_ret(options: { readonly fn_name: string }): Link {
    return this.#attachByBtf("attach_fmod_ret", options, "fmod_ret", "kmod_ret__");
  }

  /** Attaches an LSM_PROBE (5.7). */
  attach_lsm(options: { readonly fn_name: string }): Link {
    return this.#attachByBtf("attach_lsm", options, "lsm", "lsm__");
  }

  /**
   * Makes an iterator of a BPF_ITER function (5.8), or one whose section begins with "iter/".
   *
   * `table` is the table whose entries are walked over, for iterators such as bpf_map_elem; `pid` and `tid` narrow
   * iterators over tasks (6.1); `type` names the records' struct where the source writes several. What `rxbpf types` wrote
   * about the iterator tells the records' type.
   *
   * @throws MapError MAP_MISMATCH, with both layouts, when records are not as declared
   */
  iterator<T = unknown>(
    wanted: string | IteratorDeclaration<T>,
    options: {
      readonly table?: string;
      readonly pid?: number;
      readonly tid?: number;
      readonly type?: string;
    } = {},
  ): BpfIterator<T> {
    checkOptions("iterator", options, { table: "string?", pid: "number?", tid: "number?", type: "string?" });
    const functionName = typeof wanted === "string" ? wanted : wanted.name;
    const { kind, target, name, btf, recordTypes } = this.specOf(functionName);
    if (kind !== "iter" || target?.hook !== "iter") {
      throw new UsageError(`"${functionName}" is no iterator`, {
        hint: 'declare it with BPF_ITER(task) { … }, and name it "bpf_iter__task"',
      });
    }
    if (typeof wanted !== "string") assertDeclaredRecords(wanted, btf, recordTypes);
    const { table = "", pid = 0, tid = 0 } = options;
    const map = table === "" ? undefined : this.rawMap(table);
    const link = this.attachments.attach(name, kind, { ...target, map: table, pid, tid }, map);
    if (!isIteratorLink(link)) throw new TypeError(`the link of "${name}" is no iterator`);
    return this.scope.own(new BpfIterator<T>(link, options.type));
  }

  /**
   * Starts a command whose doings the programs see. In the machine it runs under ptrace: programs that are attached to
   * system calls see its own, and those of all that it starts. The kernel's programs see every process anyway.
   *
   * Closing this object leaves the command running.
   *
   * @throws UsageError when there is no such program
   * @throws UnsupportedError, PermissionError where the machine cannot trace
   */
  spawn(command: string, args: readonly string[] = [], options: CommandOptions = {}): Command {
    this.scope.assertOpen();
    checkOptions("spawn", options, { cwd: "string?", env: "object?", stdio: "stringOrArray?" });
    return this.host.spawn(command, args, options);
  }

  detach_kprobe(options: {
    readonly event?: string;
    readonly event_re?: string;
    readonly fn_name?: string;
    readonly event_off?: number;
  }): void {
    checkOptions("detach_kprobe", options, {
      event: "string?",
      event_re: "string?",
      fn_name: "string?",
      event_off: "number?",
    });
    const target = probeTarget("detach_kprobe", options);
    if (target.hook === "kprobe_multi") this.attachments.detachMany(target, options.fn_name);
    else this.attachments.detach({ ...target, offset: options.event_off ?? 0 }, options.fn_name);
  }

  detach_kretprobe(options: {
    readonly event?: string;
    readonly event_re?: string;
    readonly fn_name?: string;
  }): void {
    checkOptions("detach_kretprobe", options, { event: "string?", event_re: "string?", fn_name: "string?" });
    const target = { ...probeTarget("detach_kretprobe", options), atReturn: true };
    if (target.hook === "kprobe_multi") this.attachments.detachMany(target, options.fn_name);
    else this.attachments.detach(target, options.fn_name);
  }

  /** Detaches all functions by BCC's own name for a probe: "p_do_rmdir" at the entry, "r_do_rmdir" at the return. */
  detach_kprobe_event(ev_name: string): void {
    this.attachments.detach(this.#probeNamed(ev_name));
  }

  /** Detaches one function by BCC's own name for a probe. */
  detach_kprobe_event_by_fn(ev_name: string, fn_name: string): void {
    this.attachments.detach(this.#probeNamed(ev_name), fn_name);
  }

  detach_tracepoint(options: { readonly tp: string }): void {
    checkOptions("detach_tracepoint", options, { tp: "string" });
    this.attachments.detach(tracepointTarget(options.tp));
  }

  detach_raw_tracepoint(options: { readonly tp: string }): void {
    checkOptions("detach_raw_tracepoint", options, { tp: "string" });
    this.attachments.detach({ hook: "raw_tracepoint", name: options.tp });
  }

  detach_kfunc(options: { readonly fn_name: string }): void {
    this.#detachByBtf("detach_kfunc", options, "fentry", "kfunc__");
  }

  detach_kretfunc(options: { readonly fn_name: string }): void {
    this.#detachByBtf("detach_kretfunc", options, "fexit", "kretfunc__");
  }

  detach_fmod_ret(options: { readonly fn_name: string }): void {
    this.#detachByBtf("detach_fmod_ret", options, "fmod_ret", "kmod_ret__");
  }

  detach_lsm(options: { readonly fn_name: string }): void {
    this.#detachByBtf("detach_lsm", options, "lsm", "lsm__");
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

  /** Attaches a function to where its name or section says. */
  protected attachByName({ name, kind, target }: ProgramSpec): void {
    // A source does not name the cgroup that an LSM program is for.
    if (kind === null || target === null || programKinds[kind].hook === "place") return;
    switch (target.hook) {
      case "iter":
        return; // runs when it is read
      case "kprobe_multi":
        this.attachments.attachMany(name, {
          ...target,
          symbols: [...KernelQueries.get_kprobe_functions(starPattern(target.pattern))],
        });
        return;
      default:
        this.attachments.attach(name, kind, this.placed(target));
    }
  }

  /** A target as this kernel names it: functions of system calls, and where a tracepoint's name is cut. */
  protected placed(target: AttachTarget): AttachTarget {
    if (target.hook === "kprobe") return { ...target, symbol: this.fix_syscall_fnname(target.symbol) };
    if (target.hook === "tracepoint") return placeTracepoint(target, KernelQueries.tracepoint_exists);
    return target;
  }

  #attachByBtf(
    method: string,
    options: { readonly fn_name: string },
    kind: ProgramKindName,
    prefix: string,
  ): Link {
    const { name, target } = this.#specByBtf(method, options, kind, prefix);
    return this.attachments.attach(name, kind, target);
  }

  #detachByBtf(
    method: string,
    options: { readonly fn_name: string },
    kind: ProgramKindName,
    prefix: string,
  ): void {
    const { name, target } = this.#specByBtf(method, options, kind, prefix);
    this.attachments.detach(target, name);
  }

  /** BCC's names may be given with or without what the macro puts before them. */
  #specByBtf(
    method: string,
    options: { readonly fn_name: string },
    kind: ProgramKindName,
    prefix: string,
  ): { readonly name: string; readonly target: AttachTarget } {
    checkOptions(method, options, { fn_name: "string" });
    const { fn_name } = options;
    const known = this.hasFunction(fn_name) || fn_name.startsWith(prefix);
    const spec = this.specOf(known ? fn_name : prefix + fn_name);
    if (spec.kind === kind && spec.target !== null) return { name: spec.name, target: spec.target };
    throw new UsageError(`${method}: "${spec.name}" is no ${kind} program with a target`);
  }

  protected abstract hasFunction(name: string): boolean;

  #probeNamed(eventName: string): AttachTarget {
    const found = this.attachments.targets().find((target) => {
      if (target.hook !== "kprobe") return false;
      return `${target.atReturn ? "r" : "p"}_${target.symbol.replace(/[+.]/g, "_")}` === eventName;
    });
    if (found !== undefined) return found;
    throw new AttachError(`no probe is called "${eventName}"`, {
      hint: 'names are "p_" and "r_" before the kernel function\'s',
    });
  }
}

type ProbeTarget = Extract<AttachTarget, { hook: "kprobe" }> | ManyFunctions;

function probeTarget(
  method: string,
  { event, event_re }: { readonly event?: string; readonly event_re?: string },
): ProbeTarget {
  if ((event === undefined) === (event_re === undefined)) throw eitherOr(method, "event", "event_re");
  if (event_re === undefined) {
    return { hook: "kprobe", symbol: event!, offset: 0, atReturn: false, maxActive: 0 };
  }
  const symbols = [...KernelQueries.get_kprobe_functions(event_re)];
  return { hook: "kprobe_multi", pattern: event_re, symbols, atReturn: false };
}

function eitherOr(method: string, one: string, other: string): UsageError {
  return new UsageError(`${method} takes either "${one}" or "${other}"`);
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
