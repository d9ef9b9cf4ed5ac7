import { UsageError } from "../../core/errors.ts";
import type { ProgramSpec } from "../../object/object-spec.ts";
import { type ProgramKindName, programKinds } from "../../programs/kinds.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { EventContext } from "../../runtime/events.ts";
import { CONTEXT, PACKET } from "../execution.ts";
import type { GivenMemory } from "../given-memory.ts";
import { Region } from "../memory.ts";
import type { PacketContext, PacketPool } from "./packets.ts";
import { recordOf } from "./records.ts";
import { type Architecture, firstParameter, registerBytes } from "./registers.ts";

/** What a program is run on. */
export interface MadeContext {
  readonly context: Region;
  /** The packet, or what else it may touch beside its context. */
  readonly packet: Region | null;
  /** The packet with its context, to be given back after the run. */
  readonly pooled?: PacketContext;
  /** The packet as it is after the run. */
  readonly after?: () => Uint8Array;
}

/** A program that an event happens to. */
export interface Subject {
  readonly spec: ProgramSpec;
  readonly kind: ProgramKindName;
  /** Where it is attached; null for nowhere in particular. */
  readonly target: AttachTarget | null;
  readonly arch: Architecture;
  /** Takes what parameters and fields point to. */
  readonly memory: GivenMemory;
  readonly packets: PacketPool;
}

type Make = (subject: Subject, event: EventContext) => MadeContext;

/** What an event says about its context, beside the circumstances. */
type Input = "args" | "result" | "registers" | "callerRegisters" | "fields" | "packet" | "after";

/** How contexts of a C type are made, and of what. */
interface Maker {
  readonly takes: readonly Input[];
  readonly make: Make;
}

/** Arguments of a raw tracepoint at most (MAX_BPF_FUNC_ARGS). */
export const MOST_ARGUMENTS = 12;

/** Words behind the registers in struct bpf_perf_event_data: the period and the address of the sample. */
const SAMPLE_BYTES = 16;

/** The function of a system call gets a pointer to its registers. */
const SYSCALL_FUNCTION = /^__(?:x64|arm64)_sys_/;

const words: Make = ({ memory }, { args = [], result, callerRegisters }) => {
  const caller = callerRegisters === undefined ? null : callerRegion(callerRegisters);
  const values = [
    ...(caller === null ? [] : [caller.address(0)]),
    ...args,
    ...(result === undefined ? [] : [result]),
  ];
  const whole = new BigInt64Array(Math.max(values.length, MOST_ARGUMENTS));
  for (const [index, value] of values.entries()) whole[index] = BigInt.asIntN(64, memory.number(value));
  return { ...plain(new Uint8Array(whole.buffer)), packet: caller };
};

const registers: Make = ({ target, arch, memory }, event) => {
  const args = (event.args ?? []).map((value) => memory.number(value));
  const isCall = target?.hook === "kprobe" && SYSCALL_FUNCTION.test(target.symbol) && !target.atReturn;
  if (!isCall) return plain(registerBytes(arch, { ...event, args }));
  // The registers that the function's first parameter points to, which programs read as the kernel's memory.
  const inner = callerRegion(event.callerRegisters ?? registerBytes(arch, { args }, true));
  const outer = { ...event.registers, [firstParameter(arch)]: inner.address(0) };
  return { ...plain(registerBytes(arch, { registers: outer })), packet: inner };
};

const packet: Make = ({ kind, packets }, { packet: bytes = NO_PACKET, fields }) => {
  const pooled = packets.take(kind, bytes, { fields });
  return { context: pooled.context, packet: pooled.packet, pooled, after: () => pooled.after() };
};

const sample: Make = ({ arch, memory }, { fields = {}, ...event }) => {
  const own = registerBytes(arch, {
    ...event,
    args: (event.args ?? []).map((value) => memory.number(value)),
  });
  const bytes = new Uint8Array(own.length + SAMPLE_BYTES);
  bytes.set(own);
  const view = new DataView(bytes.buffer);
  for (const [name, value] of Object.entries(fields)) {
    const at = ["sample_period", "addr"].indexOf(name);
    if (at < 0)
      throw new UsageError(`a perf event has no field "${name}"`, {
        hint: "fields are sample_period, addr",
      });
    if (typeof value !== "number" && typeof value !== "bigint")
      throw new UsageError(`field "${name}" is a number`);
    view.setBigInt64(own.length + at * 8, BigInt.asIntN(64, BigInt(value)), true);
  }
  return plain(bytes);
};

/** A struct by the program's own types. Programs may write to those that say to the kernel what it shall do. */
const record =
  (writable: boolean): Make =>
  ({ spec, memory }, { fields = {} }) =>
    plain(recordOf(spec, fields, memory), writable);

/** Such a struct with two members that point to bytes, the event's packet, and behind them. */
const span =
  (start: string, end: string, writable: { readonly context: boolean; readonly bytes: boolean }): Make =>
  (subject, event) => {
    const make = record(writable.context);
    if (event.packet === undefined) return make(subject, event);
    const bytes = event.packet.slice();
    const region = new Region(PACKET, { name: "the packet", bytes, writable: writable.bytes });
    const pointers = { [start]: region.address(0), [end]: region.address(bytes.length) };
    const made = make(subject, { ...event, fields: { ...event.fields, ...pointers } });
    return { ...made, packet: region, after: () => bytes };
  };

const NO_PACKET = new Uint8Array(0);

const FUNCTION: Maker = { takes: ["args", "result", "registers", "callerRegisters"], make: registers };
const ARGUMENTS: Maker = { takes: ["args", "result", "callerRegisters"], make: words };
const PACKETS: Maker = { takes: ["packet", "fields", "after"], make: packet };
const RECORD: Maker = { takes: ["fields"], make: record(false) };

/** Makers by the C type of a kind's context; other types are structs that programs only read. */
const makers: Readonly<Record<string, Maker>> = {
  "struct pt_regs": FUNCTION,
  "unsigned long long": ARGUMENTS,
  "struct bpf_raw_tracepoint_args": ARGUMENTS,
  "struct __sk_buff": PACKETS,
  "struct xdp_md": PACKETS,
  "struct bpf_perf_event_data": { takes: ["args", "result", "registers", "fields"], make: sample },
  "struct bpf_sock_addr": { takes: ["fields"], make: record(true) },
  "struct bpf_sysctl": { takes: ["fields"], make: record(true) },
  "struct bpf_sockopt": {
    takes: PACKETS.takes,
    make: span("optval", "optval_end", { context: true, bytes: true }),
  },
  "struct sk_msg_md": {
    takes: PACKETS.takes,
    make: span("data", "data_end", { context: false, bytes: true }),
  },
  "struct sk_reuseport_md": {
    takes: PACKETS.takes,
    make: span("data", "data_end", { context: false, bytes: false }),
  },
};

/** Those whose context given as bytes may be written. */
const WRITABLE: ReadonlySet<string> = new Set([
  "struct bpf_sock_addr",
  "struct bpf_sockopt",
  "struct bpf_sysctl",
]);

const INPUTS: readonly Input[] = [...FUNCTION.takes, ...PACKETS.takes];

/** The context of an event for a program of its kind. @throws UsageError for what such a context does not have */
export function contextOf(subject: Subject, event: EventContext): MadeContext {
  const { context } = programKinds[subject.kind];
  const { takes, make } = makers[context] ?? RECORD;
  const { bytes } = event;
  const allowed = bytes === undefined ? takes : [];
  const unknown = INPUTS.find((name) => event[name] !== undefined && !allowed.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(
      bytes === undefined
        ? `what happens to a ${subject.kind} program has no "${unknown}"`
        : `a context is given as "bytes" or by "${unknown}", not both`,
      { hint: `it takes ${takes.join(", ")}; or the whole context as bytes` },
    );
  }
  return bytes === undefined ? make(subject, event) : plain(bytes, WRITABLE.has(context));
}

function plain(bytes: Uint8Array, writable = false): MadeContext {
  return { context: new Region(CONTEXT, { name: "the context", bytes, writable }), packet: null };
}

function callerRegion(bytes: Uint8Array): Region {
  return new Region(PACKET, { name: "the registers of the system call", bytes, writable: false });
}
