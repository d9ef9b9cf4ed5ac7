import type { Btf } from "../../object/btf.ts";
import { systemCalls } from "../../programs/system-calls.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { EventContext, Fields } from "../../runtime/events.ts";
import { readProcess, writeProcess } from "../../sys/process-memory.ts";
import { recordWith } from "../contexts/records.ts";
import { type Architecture, registerBytes } from "../contexts/registers.ts";
import { GivenMemory } from "../given-memory.ts";
import { ENTER, type EventKind, EXEC, EXIT, FORK, LEAVE, type Mailbox, type Wanted } from "./mailbox.ts";

/** What traced commands can cause, of everything that programs attach to. */
export interface Awaited extends Wanted {
  /** Targets where traced commands cause nothing. */
  readonly silent: readonly AttachTarget[];
}

/** One thing that happens at one target. */
export interface LiveEvent {
  readonly target: AttachTarget;
  readonly context: EventContext;
}

/** What of the host decides how its events look. */
export interface LiveHost {
  readonly arch: Architecture;
  /** What comes before a system call's name in its function's, for instance "__x64_sys_". */
  readonly syscallPrefix: string;
  readonly types: () => Btf | null;
}

const TASK_EVENTS: Readonly<Record<string, number>> = {
  sched_process_fork: FORK,
  sched_process_exec: EXEC,
  sched_process_exit: LEAVE,
};

/** What has something attached, as the tracing thread needs to know it. */
export function awaitedBy(targets: readonly AttachTarget[], host: LiveHost): Awaited {
  const calls = new Map<number, number>();
  const silent: AttachTarget[] = [];
  let [all, tasks] = [0, 0];
  for (const target of targets) {
    const found = awaitedAt(target, host);
    if (found === null) silent.push(target);
    else if (found.where === "all") all |= found.bits;
    else if (found.where === "tasks") tasks |= found.bits;
    else calls.set(found.where, (calls.get(found.where) ?? 0) | found.bits);
  }
  return { all, calls, tasks, silent };
}

interface Place {
  readonly where: "all" | "tasks" | number;
  readonly bits: number;
}

function awaitedAt(target: AttachTarget, { arch, syscallPrefix }: LiveHost): Place | null {
  const call = (name: string, bits: number): Place | null => {
    const number = systemCalls(arch).byName.get(name)?.number;
    return number === undefined ? null : { where: number, bits };
  };
  switch (target.hook) {
    case "raw_tracepoint":
    case "btf":
      return every(target.name);
    case "kprobe":
      return target.offset !== 0 || !target.symbol.startsWith(syscallPrefix)
        ? null
        : call(target.symbol.slice(syscallPrefix.length), target.atReturn ? EXIT : ENTER);
    case "tracepoint": {
      const { category, name } = target;
      if (category === "raw_syscalls") return every(name);
      if (category === "sched")
        return name in TASK_EVENTS ? { where: "tasks", bits: TASK_EVENTS[name]! } : null;
      const parts = category === "syscalls" ? /^sys_(enter|exit)_(.+)$/.exec(name) : null;
      return parts === null ? null : call(parts[2]!, parts[1] === "enter" ? ENTER : EXIT);
    }
    default:
      return null;
  }
}

function every(name: string): Place | null {
  if (name === "sys_enter") return { where: "all", bits: ENTER };
  return name === "sys_exit" ? { where: "all", bits: EXIT } : null;
}

/** Where the fields of a system call's record begin: behind the common ones. */
const RECORD_NUMBER = 8;
const RECORD_VALUES = 16;

/** Everything that one posted event means, in the kernel's order. Records have the kernel's layout. */
export class LiveEvents {
  readonly #host: LiveHost;

  constructor(host: LiveHost) {
    this.#host = host;
  }

  of(box: Mailbox): readonly LiveEvent[] {
    return this.#kinds[box.kind](box);
  }

  readonly #kinds: Readonly<Record<EventKind, (box: Mailbox) => readonly LiveEvent[]>> = {
    enter: (box) => this.#entered(box),
    exit: (box) => this.#left(box),
    // The new task never was in the function: only tracepoints see it come out of the call.
    begin: (box) => this.#left(box).filter(({ target }) => target.hook !== "kprobe"),
    fork: (box) =>
      this.#ofTask(box, "sched_process_fork", {
        parent_comm: box.name("own"),
        parent_pid: box.get("tid"),
        child_comm: box.name("other"),
        child_pid: box.get("other"),
      }),
    exec: (box) =>
      this.#ofTask(box, "sched_process_exec", {
        filename: box.text,
        pid: box.get("tid"),
        old_pid: box.get("other"),
      }),
    leave: (box) =>
      this.#ofTask(box, "sched_process_exit", {
        comm: box.name("own"),
        pid: box.get("tid"),
        prio: DEFAULT_PRIORITY,
        group_dead: box.get("isLast"),
      }),
  };

  #entered(box: Mailbox): readonly LiveEvent[] {
    const base = this.#baseOf(box);
    const { args } = box;
    const number = box.get("number");
    const name = this.#nameOf(box);
    const callerRegisters = this.#registersOf(box);
    const raw = { ...base, callerRegisters, args: [number] };
    const events: LiveEvent[] = [
      { target: { hook: "raw_tracepoint", name: "sys_enter" }, context: raw },
      { target: { hook: "btf", name: "sys_enter", module: "vmlinux" }, context: raw },
      {
        target: { hook: "tracepoint", category: "raw_syscalls", name: "sys_enter" },
        context: { ...base, bytes: syscallRecord(number, args) },
      },
    ];
    if (name === undefined) return events;
    return [
      ...events,
      {
        target: { hook: "tracepoint", category: "syscalls", name: `sys_enter_${name}` },
        context: { ...base, bytes: syscallRecord(number, args) },
      },
      { target: this.#function(name, false), context: { ...base, callerRegisters } },
    ];
  }

  #left(box: Mailbox): readonly LiveEvent[] {
    const base = this.#baseOf(box);
    const { result } = box;
    const number = box.get("number");
    const name = this.#nameOf(box);
    const callerRegisters = this.#registersOf(box);
    const record = { ...base, bytes: syscallRecord(number, [result]) };
    const raw = { ...base, callerRegisters, args: [result] };
    const events: LiveEvent[] = [
      { target: { hook: "raw_tracepoint", name: "sys_exit" }, context: raw },
      { target: { hook: "btf", name: "sys_exit", module: "vmlinux" }, context: raw },
      { target: { hook: "tracepoint", category: "raw_syscalls", name: "sys_exit" }, context: record },
    ];
    if (name === undefined) return events;
    return [
      { target: this.#function(name, true), context: { ...base, result } },
      ...events,
      { target: { hook: "tracepoint", category: "syscalls", name: `sys_exit_${name}` }, context: record },
    ];
  }

  #ofTask(box: Mailbox, name: string, fields: Fields): readonly LiveEvent[] {
    const { filename } = fields;
    const path = filename instanceof Uint8Array ? { filename: Uint8Array.from([...filename, 0]) } : {};
    const own = { ...fields, ...path };
    const bytes = this.#record(name, own);
    const context = { ...this.#baseOf(box), ...(bytes === null ? { fields: own } : { bytes }) };
    return [{ target: { hook: "tracepoint", category: "sched", name }, context }];
  }

  /** The record as the kernel's own types have it; null where it has none to tell. */
  #record(name: string, fields: Fields): Uint8Array | null {
    const types = this.#host.types();
    const id = types?.find(`trace_event_raw_${RECORD_OF[name] ?? name}`, "struct") ?? 0;
    const own = types?.find(`trace_event_raw_${name}`, "struct") ?? 0;
    const found = own === 0 ? id : own;
    return types === null || found === 0
      ? null
      : recordWith(types, found, { fields, memory: new GivenMemory(null) });
  }

  #function(name: string, atReturn: boolean): AttachTarget {
    return { hook: "kprobe", symbol: this.#host.syscallPrefix + name, offset: 0, atReturn, maxActive: 0 };
  }

  /** Calls of 32-bit programs have other numbers, and neither tracepoints nor functions of their own names. */
  #nameOf(box: Mailbox): string | undefined {
    if (box.get("isNative") === 0) return undefined;
    return systemCalls(this.#host.arch).byNumber.get(box.get("number"))?.name;
  }

  /** The caller's registers: what ptrace gives begins with struct pt_regs. */
  #registersOf(box: Mailbox): Uint8Array {
    const { length } = registerBytes(this.#host.arch, {});
    const bytes = new Uint8Array(length);
    bytes.set(box.registers.subarray(0, length));
    return bytes;
  }

  #baseOf(box: Mailbox): EventContext {
    const tid = box.get("tid");
    return {
      task: {
        pid: tid,
        tgid: box.get("tgid"),
        comm: box.name("own"),
        uid: box.get("uid"),
        gid: box.get("gid"),
        parent: box.get("parent"),
      },
      memory: {
        read: (address, into) => readProcess(tid, address, into),
        write: (address, bytes) => writeProcess(tid, address, bytes),
      },
    };
  }
}

/** `prio` of a task that nobody gave another nice value. */
const DEFAULT_PRIORITY = 120;

/** Records that several tracepoints share on kernels where they have none of their own. */
const RECORD_OF: Readonly<Record<string, string>> = { sched_process_exit: "sched_process_template" };

/** The record of a system call's tracepoint: its number, then its arguments or its result. */
function syscallRecord(number: number, values: readonly bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(RECORD_VALUES + 8 * values.length));
  view.setBigInt64(RECORD_NUMBER, BigInt(number), true);
  for (const [index, value] of values.entries()) {
    view.setBigUint64(RECORD_VALUES + 8 * index, BigInt.asUintN(64, value), true);
  }
  return new Uint8Array(view.buffer);
}
