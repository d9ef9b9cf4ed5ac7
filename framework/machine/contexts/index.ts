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

type Maker = (subject: Subject, event: EventContext) => MadeContext;

/** Arguments of a raw tracepoint at most (MAX_BPF_FUNC_ARGS). */
export const MOST_ARGUMENTS = 12;

/** Words behind the registers in struct bpf_perf_event_data: the period and the address of the sample. */
const SAMPLE_BYTES = 16;

/** The function of a system call gets a pointer to its registers. */
const SYSCALL_FUNCTION = /^__(?:x64|arm64)_sys_/;

const words: Maker = ({ memory }, { args = [], result, callerRegisters }) => {
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

const registers: Maker = ({ target, arch, memory }, event) => {
  const args = (event.args ?? []).map((value) => memory.number(value));
  const isCall = target?.hook === "kprobe" && SYSCALL_FUNCTION.test(target.symbol) && !target.atReturn;
  if (!isCall) return plain(registerBytes(arch, { ...event, args }));
  // The registers that the function's first parameter points to, which programs read as the kernel's memory.
  const inner = callerRegion(event.callerRegisters ?? registerBytes(arch, { args }, true));
  const outer = { ...event.registers, [firstParameter(arch)]: inner.address(0) };
  return { ...plain(registerBytes(arch, { registers: outer })), packet: inner };
};

const packet: Maker = ({ kind, packets }, { packet: bytes = NO_PACKET, fields }) => {
  const pooled = packets.take(kind, bytes, { fields });
  return { context: pooled.context, packet: pooled.packet, pooled };
};

const NO_PACKET = new Uint8Array(0);

/** Makers by the C type of a kind's context; other types are structs whose fields the program's own types tell. */
const makers: Readonly<Record<string, Maker>> = {
  "struct pt_regs": registers,
  "unsigned long long": words,
  "struct bpf_raw_tracepoint_args": words,
  "struct __sk_buff": packet,
  "struct xdp_md": packet,
  "struct bpf_perf_event_data": ({ arch, memory }, { fields = {}, ...event }) => {
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
  },
};

/** Kinds whose programs may write to a context that is plain memory: the addresses of sockets, options, settings. */
const WRITABLE: ReadonlySet<string> = new Set([
  "struct bpf_sock_addr",
  "struct bpf_sockopt",
  "struct bpf_sysctl",
]);

/** The context of an event for a program of its kind. @throws UsageError for what such a context does not have */
export function contextOf(subject: Subject, event: EventContext): MadeContext {
  const { context } = programKinds[subject.kind];
  const isWritable = WRITABLE.has(context);
  if (event.bytes !== undefined) return plain(event.bytes, isWritable);
  const maker = makers[context];
  if (maker !== undefined) return maker(subject, event);
  return plain(recordOf(subject.spec, event.fields ?? {}, subject.memory), isWritable);
}

function plain(bytes: Uint8Array, writable = false): MadeContext {
  return { context: new Region(CONTEXT, { name: "the context", bytes, writable }), packet: null };
}

function callerRegion(bytes: Uint8Array): Region {
  return new Region(PACKET, { name: "the registers of the system call", bytes, writable: false });
}
