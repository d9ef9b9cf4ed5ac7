import { AttachError, UnsupportedError } from "../core/errors.ts";
import { notify } from "../core/notify.ts";
import type { Scope } from "../core/scope.ts";
import type { ProgramKindName } from "../programs/kinds.ts";
import { syscallOf } from "../programs/syscalls.ts";
import { type AttachTarget, describeTarget, targetKey } from "../programs/targets.ts";
import type { Link, Program, RawMap, Runtime } from "../runtime/types.ts";
import { linkAll } from "./link-group.ts";
import { assertProbesAllowed, countProbe } from "./probe-quota.ts";

/** What attaching needs of the BPF object. */
export interface AttachHost {
  readonly runtime: Runtime;
  readonly scope: Scope;
  /** Loads a function as a kind, once. */
  load(name: string, kind: ProgramKindName): Program;
  /** Loads a function for the tracepoint of a system call, in place of a probe of the call's function. */
  loadForSyscall(name: string): Program;
  hasTracepoint(category: string, name: string): boolean;
}

/** Kernel functions to attach to together. */
export type ManyFunctions = Extract<AttachTarget, { hook: "kprobe_multi" }>;

interface Attachment {
  readonly functionName: string;
  /** What the user asked for; the link's own may be a system call's tracepoint in its place. */
  readonly target: AttachTarget;
  readonly link: Link;
}

/** The links of one BPF object by target: one program attaches to one target once. */
export class Attachments {
  readonly #host: AttachHost;
  readonly #byTarget = new Map<string, readonly Attachment[]>();

  constructor(host: AttachHost) {
    this.#host = host;
  }

  /**
   * Attaches a function.
   *
   * A probe of a system call's function becomes the call's tracepoint where the kernel has no kprobes.
   *
   * @param map the map that an iterator walks over
   * @throws AttachError when the function is attached there already
   */
  attach(functionName: string, kind: ProgramKindName, target: AttachTarget, map?: RawMap): Link {
    this.#host.scope.assertOpen();
    const key = targetKey(target);
    const present = this.#at(key);
    if (present.some((attachment) => attachment.functionName === functionName)) {
      throw new AttachError(`"${functionName}" is attached to ${describeTarget(target)} already`);
    }
    const link = this.#host.scope.own(this.#link(functionName, kind, target, map));
    this.#byTarget.set(key, [...present, { functionName, target, link }]);
    return link;
  }

  /**
   * Attaches a function to many kernel functions, to all or to none: through one link where the kernel has it (5.18),
   * else one by one.
   *
   * @throws AttachError for no function at all, and when the probes exceed the limit
   */
  attachMany(functionName: string, target: ManyFunctions): Link {
    const { symbols, atReturn } = target;
    if (symbols.length === 0) {
      throw new AttachError(
        `cannot attach "${functionName}" to ${describeTarget(target)}: no kernel function matches`,
        {
          hint: "functions that the compiler inlined everywhere are not there to match",
        },
      );
    }
    const { runtime } = this.#host;
    if (runtime.supports("kprobe_multi").state === "yes") {
      return this.attach(functionName, atReturn ? "kretprobe_multi" : "kprobe_multi", target);
    }
    assertProbesAllowed(symbols.length);
    const kind = atReturn ? "kretprobe" : "kprobe";
    const one = { hook: "kprobe", offset: 0, atReturn, maxActive: 0 } as const;
    return linkAll(
      target,
      symbols.map((symbol) => () => this.attach(functionName, kind, { ...one, symbol })),
    );
  }

  /** Detaches a function, or all, from what `attachMany` attached it to. @throws AttachError as `detach` does */
  detachMany(target: ManyFunctions, functionName?: string): void {
    const one = { hook: "kprobe", offset: 0, atReturn: target.atReturn, maxActive: 0 } as const;
    const single = target.symbols
      .map((symbol) => ({ ...one, symbol }))
      .filter((candidate) => this.#at(targetKey(candidate)).length > 0);
    if (single.length === 0 || this.#at(targetKey(target)).length > 0)
      return this.detach(target, functionName);
    for (const candidate of single) this.detach(candidate, functionName);
  }

  /**
   * Detaches what is attached to a target: one function, or all of them.
   *
   * @throws AttachError when nothing of that name is attached there
   */
  detach(target: AttachTarget, functionName?: string): void {
    this.#host.scope.assertOpen();
    const key = targetKey(target);
    const present = this.#at(key);
    const leaving = present.filter(
      (item) => functionName === undefined || item.functionName === functionName,
    );
    if (leaving.length === 0) {
      const what = functionName === undefined ? "nothing" : `"${functionName}"`;
      throw new AttachError(
        `${what} is ${functionName === undefined ? "" : "not "}attached to ${describeTarget(target)}`,
        { hint: this.#hintFor(target) },
      );
    }
    this.#end(key, leaving);
  }

  /** Detaches everything whose target answers a description; returns how many functions that were. */
  detachWhere(matches: (target: AttachTarget) => boolean): number {
    this.#host.scope.assertOpen();
    let count = 0;
    for (const name of [...this.#byTarget.keys()]) {
      const leaving = this.#at(name).filter(({ target }) => matches(target));
      count += leaving.length;
      this.#end(name, leaving);
    }
    return count;
  }

  /** Whether anything is attached to a target. */
  has(target: AttachTarget): boolean {
    return this.#at(targetKey(target)).length > 0;
  }

  #end(key: string, leaving: readonly Attachment[]): void {
    this.#byTarget.set(
      key,
      this.#at(key).filter((item) => !leaving.includes(item)),
    );
    for (const { link } of leaving) {
      link[Symbol.dispose]();
      this.#host.scope.disown(link);
    }
  }

  /** How many places of a hook have something attached. */
  count(hook: AttachTarget["hook"]): number {
    return new Set(this.targets().flatMap((target) => placesOf(target, hook))).size;
  }

  /** What has something attached now. */
  targets(): readonly AttachTarget[] {
    return [...this.#byTarget.keys()].flatMap((name) => this.#at(name)[0]?.target ?? []);
  }

  /** A function that is traced together with others cannot be left alone. */
  #hintFor(target: AttachTarget): string | undefined {
    if (target.hook !== "kprobe") return undefined;
    const group = this.targets().find(
      (other) => other.hook === "kprobe_multi" && other.symbols.includes(target.symbol),
    );
    return group?.hook === "kprobe_multi"
      ? `it is one of many that were attached together: detach them with event_re ${JSON.stringify(group.pattern)}`
      : undefined;
  }

  /** What is attached to a target; links that their user disposed are forgotten. */
  #at(key: string): readonly Attachment[] {
    const known = this.#byTarget.get(key) ?? [];
    const present = known.filter(({ link }) => !link.closed);
    if (present.length === known.length) return known;
    for (const { link } of known) if (link.closed) this.#host.scope.disown(link);
    this.#byTarget.set(key, present);
    return present;
  }

  #link(functionName: string, kind: ProgramKindName, target: AttachTarget, map?: RawMap): Link {
    const { runtime } = this.#host;
    if (target.hook === "kprobe") {
      assertProbesAllowed(1);
      return countProbe(
        runtime.supports("kprobe").state === "no"
          ? this.#attachToSyscall(functionName, target)
          : runtime.attach(this.#host.load(functionName, kind), target),
      );
    }
    if (target.hook === "uprobe") {
      assertProbesAllowed(kind === "uprobe_multi" ? 1 : target.places.length);
      return countProbe(runtime.attach(this.#host.load(functionName, kind), target));
    }
    return runtime.attach(this.#host.load(functionName, kind), target, map);
  }

  #attachToSyscall(functionName: string, target: AttachTarget & { readonly hook: "kprobe" }): Link {
    const call = syscallOf(target.symbol);
    const tracepoint = `${target.atReturn ? "sys_exit" : "sys_enter"}_${call}`;
    if (call === undefined || target.offset !== 0 || !this.#host.hasTracepoint("syscalls", tracepoint)) {
      const reason = "this kernel was built without CONFIG_KPROBES";
      throw new UnsupportedError(`cannot attach "${functionName}" to ${describeTarget(target)}: ${reason}`, {
        hint: "only entries and returns of system calls can be traced instead; use a tracepoint (TRACEPOINT_PROBE, RAW_TRACEPOINT_PROBE), or a kernel with CONFIG_KPROBES",
      });
    }
    const program = this.#host.loadForSyscall(functionName);
    notify(
      "rxbpf: this kernel has no kprobes (CONFIG_KPROBES); probes of system calls use the calls' tracepoints instead",
    );
    return this.#host.runtime.attach(program, { hook: "tracepoint", category: "syscalls", name: tracepoint });
  }
}

/** The places of a hook that a target is or holds. */
function placesOf(target: AttachTarget, hook: AttachTarget["hook"]): readonly string[] {
  if (target.hook === "kprobe_multi" && hook === "kprobe") {
    return target.symbols.map((symbol) => `${target.atReturn ? "kretprobe" : "kprobe"} ${symbol}`);
  }
  if (target.hook !== hook) return [];
  const key = targetKey(target);
  return target.hook === "uprobe" ? target.places.map(({ offset }) => `${key} ${offset}`) : [key];
}
