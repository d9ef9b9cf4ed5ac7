import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { type MachineFault, UnsupportedError, UsageError } from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import { type ProgramKindName, programKinds, roleOfSection } from "../programs/kinds.ts";
import { type AttachTarget, describeTarget } from "../programs/targets.ts";
import {
  type ArgumentValue,
  type Circumstances,
  type EventContext,
  type Fields,
  firesEvents,
  type Outcome,
} from "../runtime/events.ts";
import type { Program, Runtime } from "../runtime/types.ts";
import { checkOptions, type OptionType } from "./options.ts";

/** A record with fields: of a tracepoint, or of a cgroup's or a socket's event. */
export interface RecordEvent extends Circumstances {
  /** By the names in the C struct. A text for a pointer becomes the address of that text in the process's memory. */
  readonly fields?: Fields;
  /** The whole record in place of fields. */
  readonly bytes?: Uint8Array;
}

/** A function that is entered, or returns. */
export interface FunctionEvent extends Circumstances {
  /** Its parameters. A text becomes the address of that text in the process's memory. */
  readonly args?: readonly ArgumentValue[];
  /** What it returns. */
  readonly result?: number | bigint;
  /** By the names of struct pt_regs, beside or in place of parameters and result. */
  readonly registers?: Readonly<Record<string, number | bigint>>;
}

/** Arguments of 8 bytes each: of a raw tracepoint, or of a function with types, where the result comes last. */
export interface ArgumentsEvent extends Circumstances {
  readonly args?: readonly ArgumentValue[];
  readonly result?: number | bigint;
}

/** A packet. */
export interface PacketEvent extends Circumstances {
  /** From its Ethernet header. */
  readonly packet: Uint8Array;
  /** Fields of the context that say where it came from, for instance `ingress_ifindex` or `mark`. */
  readonly fields?: Fields;
  /** Takes the packet as the program left it. */
  readonly after?: (packet: Uint8Array) => void;
}

type RecordWord = "tracepoint" | "tp";
type FunctionWord = "kprobe" | "kretprobe" | "ksyscall" | "kretsyscall";
type ArgumentsWord = "raw_tracepoint" | "raw_tp" | "tp_btf" | "fentry" | "fexit" | "fmod_ret" | "lsm";

/** An event by its name, as libbpf's sections have it: "tracepoint/syscalls/sys_enter_openat", "kprobe/vfs_read". */
export type EventName = `${RecordWord | FunctionWord | ArgumentsWord}/${string}`;

/** What happens at an event, by the word that its name begins with. */
export type EventOf<E extends EventName> = E extends `${RecordWord}/${string}`
  ? RecordEvent
  : E extends `${FunctionWord}/${string}`
    ? FunctionEvent
    : ArgumentsEvent;

/** What one function is run on. */
export type FunctionInput = RecordEvent | FunctionEvent | ArgumentsEvent | PacketEvent;

const INPUT: Readonly<Record<keyof EventContext, OptionType>> = {
  bytes: "bytes?",
  fields: "object?",
  args: "array?",
  result: "integer?",
  registers: "object?",
  callerRegisters: "bytes?",
  packet: "bytes?",
  after: "callback?",
  task: "object?",
  cpu: "integer?",
  time: "bigint?",
  kernelStack: "array?",
  userStack: "array?",
  memory: "object?",
};

/** The target that an event's name means. @throws UsageError for a name that means none */
export function targetOfEvent(name: string): AttachTarget {
  const target = roleOfSection(name)?.target ?? null;
  if (target !== null && target.hook !== "iter" && target.hook !== "kprobe_multi") return target;
  throw new UsageError(`"${name}" names no event`, {
    hint: 'events are named as in "tracepoint/syscalls/sys_enter_openat", "kprobe/vfs_read", "raw_tp/sched_switch"; functions by their names, others by what attaching gave',
  });
}

/**
 * Runs everything that is attached to an event's target; r0 of each, in the order in which they were attached.
 * @throws UsageError when nothing is attached there; MachineFault of the first that was stopped, after all have run
 */
export function fireEvent(
  runtime: Runtime,
  target: AttachTarget,
  input: object,
  attached: readonly AttachTarget[],
): readonly bigint[] {
  checkOptions("fire", input, INPUT);
  const what = describeTarget(target);
  if (!firesEvents(runtime)) throw onlyInMachine(what);
  if (!runtime.isAttached(target)) {
    const names = attached.map(describeTarget);
    throw new UsageError(`nothing is attached to ${what}`, {
      hint:
        didYouMean(nearestNames(what, names)) ?? `functions are attached to ${names.join(", ") || "nothing"}`,
    });
  }
  return runtime.fire(target, input).map(returned).map(orThrow);
}

/** A function to run, and where it is taken to be attached. */
export interface FiredProgram {
  readonly program: Program;
  readonly kind: ProgramKindName;
  readonly target: AttachTarget | null;
}

/**
 * Runs one program, and gives its r0. On the kernel, as a test run, where its kind has them.
 * @throws MachineFault; UnsupportedError for what the kernel cannot test
 */
export function fireProgram(
  runtime: Runtime,
  { program, kind, target }: FiredProgram,
  input: object,
): bigint {
  checkOptions("fire", input, INPUT);
  if (firesEvents(runtime)) return orThrow(returned(runtime.runOnce(program, target, input)));
  const given = input as EventContext;
  const bytes = testInput(kind, given);
  if (bytes === undefined) throw onlyInMachine(`"${program.spec.name}"`);
  const { result, output } = runtime.testRun(program, bytes);
  given.after?.(output);
  return BigInt(result | 0);
}

/** Kinds that the kernel runs on a given packet. */
const PACKET_CONTEXTS: readonly string[] = ["struct __sk_buff", "struct xdp_md"];

/** What the kernel's test run takes for an event; undefined where there is no such thing. */
function testInput(kind: ProgramKindName, event: EventContext): Uint8Array | undefined {
  const { packet, args, after: _, ...rest } = event;
  if (Object.keys(rest).length > 0) return undefined;
  const { hook, context } = programKinds[kind];
  if (hook === "raw_tracepoint" && packet === undefined) return words(args ?? []);
  return PACKET_CONTEXTS.includes(context) && args === undefined ? packet : undefined;
}

function words(args: readonly ArgumentValue[]): Uint8Array | undefined {
  const bytes = new Uint8Array(args.length * 8);
  for (const [index, value] of args.entries()) {
    if (typeof value !== "number" && typeof value !== "bigint") return undefined;
    viewOf(bytes).setBigInt64(index * 8, BigInt.asIntN(64, BigInt(value)), true);
  }
  return bytes;
}

/** A program's answer is a C int: the upper half of r0 is nobody's. */
function returned(outcome: Outcome): bigint | MachineFault {
  return outcome.fault ?? BigInt.asIntN(32, outcome.r0);
}

function orThrow(answer: bigint | MachineFault): bigint {
  if (typeof answer === "bigint") return answer;
  throw answer;
}

function onlyInMachine(what: string): UnsupportedError {
  return new UnsupportedError(`cannot fire ${what}: in the running kernel, events happen by themselves`, {
    hint: 'use { runtime: "machine" }; the kernel runs single functions on packets, and raw tracepoints on arguments',
  });
}
