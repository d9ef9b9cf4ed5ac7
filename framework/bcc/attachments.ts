import { AttachError, UnsupportedError } from "../core/errors.ts";
import { notify } from "../core/notify.ts";
import type { Scope } from "../core/scope.ts";
import type { ProgramKindName } from "../programs/kinds.ts";
import { syscallOf } from "../programs/syscalls.ts";
import { type AttachTarget, describeTarget, targetKey } from "../programs/targets.ts";
import type { Link, Program, Runtime } from "../runtime/types.ts";

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

interface Attachment {
  readonly functionName: string;
  /** What the user asked for; the link's own target may be a system call's tracepoint in its place. */
  readonly hook: AttachTarget["hook"];
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
   * @throws AttachError when the function is attached there already
   */
  attach(functionName: string, kind: ProgramKindName, target: AttachTarget): Link {
    this.#host.scope.assertOpen();
    const key = targetKey(target);
    const present = this.#at(key);
    if (present.some((attachment) => attachment.functionName === functionName)) {
      throw new AttachError(`"${functionName}" is attached to ${describeTarget(target)} already`);
    }
    const link = this.#host.scope.own(this.#link(functionName, kind, target));
    this.#byTarget.set(key, [...present, { functionName, hook: target.hook, link }]);
    return link;
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
      );
    }
    this.#byTarget.set(
      key,
      present.filter((item) => !leaving.includes(item)),
    );
    for (const { link } of leaving) {
      link[Symbol.dispose]();
      this.#host.scope.disown(link);
    }
  }

  /** How many places of a hook have something attached. */
  count(hook: AttachTarget["hook"]): number {
    return [...this.#byTarget.keys()]
      .map((key) => this.#at(key)[0])
      .reduce((sum, first) => (first?.hook === hook ? sum + placesOf(first.link.target) : sum), 0);
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

  #link(functionName: string, kind: ProgramKindName, target: AttachTarget): Link {
    const { runtime } = this.#host;
    if (target.hook === "kprobe" && runtime.supports("kprobe").state === "no") {
      return this.#attachToSyscall(functionName, target);
    }
    return runtime.attach(this.#host.load(functionName, kind), target);
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

function placesOf(target: AttachTarget): number {
  return target.hook === "uprobe" ? target.places.length : 1;
}
