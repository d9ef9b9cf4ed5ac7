import { AttachError, MachineFault, UnsupportedError, UsageError } from "../core/errors.ts";
import { notify } from "../core/notify.ts";
import type { Btf } from "../object/btf.ts";
import type { MapSpec, ProgramSpec } from "../object/object-spec.ts";
import { type ProgramKindName, programKinds } from "../programs/kinds.ts";
import { type AttachTarget, describeTarget } from "../programs/targets.ts";
import type {
  EventOptions,
  EventSource,
  FeatureName,
  Link,
  OpenDescriptor,
  ProcessRuntime,
  Program,
  RawMap,
  Support,
  TraceSource,
} from "../runtime/types.ts";
import { type Clock, realClock } from "./clock.ts";
import { HEADROOM, SKB_BYTES, SkbContext, withRoom, XDP_BYTES, XdpContext } from "./contexts/packets.ts";
import { type Fields, recordOf } from "./contexts/records.ts";
import { type Architecture, firstParameter, registerBytes } from "./contexts/registers.ts";
import { CONTEXT, PACKET } from "./execution.ts";
import type { Happening, Task, UserMemory } from "./happening.ts";
import { Machine, type MachineProgram, machineMap, machineProgram } from "./machine.ts";
import { PerfSource, PerfStore } from "./maps/perf.ts";
import { RingSource, RingStore } from "./maps/ringbuf.ts";
import { Region } from "./memory.ts";
import { TraceLines } from "./trace-source.ts";

/** How a machine stands in for a kernel. */
export interface MachineRuntimeOptions {
  readonly cpuCount?: number;
  /** What time it is; a `VirtualClock` for tests. */
  readonly clock?: Clock;
  /** The task that events happen in when they do not say: this process. */
  readonly task?: Task;
  readonly arch?: Architecture;
  /** The kernel's types, for structures that programs read. */
  readonly types?: () => Btf | null;
  readonly budget?: number;
  /** 32 random bits each time. */
  readonly random?: () => number;
}

/** An event made by hand. What is left out is zero, or the runtime's own. */
export interface EventContext {
  /** The whole context, for any kind of program. */
  readonly bytes?: Uint8Array;
  /** Tracepoints: fields of the record by name. */
  readonly fields?: Fields;
  /** Functions: parameters. Raw tracepoints: arguments. */
  readonly args?: readonly (number | bigint)[];
  /** Functions: what they return. */
  readonly result?: number | bigint;
  /** Functions: registers by the names of struct pt_regs. */
  readonly registers?: Readonly<Record<string, number | bigint>>;
  /** XDP programs and socket filters: the packet, from its Ethernet header. */
  readonly packet?: Uint8Array;
  readonly task?: Partial<Task>;
  readonly cpu?: number;
  /** Nanoseconds since boot. */
  readonly time?: bigint;
  readonly kernelStack?: readonly bigint[];
  readonly userStack?: readonly bigint[];
  readonly memory?: UserMemory;
}

/** What one program answered to an event: r0, signed, or the fault that stopped it. */
export type Outcome =
  | { readonly program: Program; readonly r0: bigint; readonly fault: null }
  | { readonly program: Program; readonly r0: null; readonly fault: MachineFault };

const NO_TASK: Task = { pid: 0, tgid: 0, comm: "", uid: 0, gid: 0, parent: 0 };

/** The function of a system call gets a pointer to its registers. */
const SYSCALL_FUNCTION = /^__(?:x64|arm64)_sys_/;

/** What the machine can stand in for. Nothing happens by itself: events are made by hand, or come from a live source. */
const features: Readonly<Record<FeatureName, boolean>> = {
  kprobe: true,
  kprobe_multi: false,
  uprobe: true,
  uprobe_multi: false,
  tracepoint: true,
  raw_tracepoint: true,
  fentry: true,
  fmod_ret: true,
  lsm: true,
  ringbuf: true,
  batch: true,
  xdp_link: true,
  link: true,
  netns_link: false,
  tcx_link: true,
};

/**
 * BPF objects in this process: the same contract as the kernel's, without privileges. Programs run when `fire` says that
 * something happened.
 */
export class MachineRuntime implements ProcessRuntime {
  readonly name = "machine";
  readonly cpuCount: number;
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #task: Task;
  readonly #arch: Architecture;
  readonly #lines = new TraceLines();
  /** What is attached, by the target's description, in order of attaching. */
  readonly #attached = new Map<string, MachineLink[]>();

  constructor(options: MachineRuntimeOptions = {}) {
    const {
      cpuCount = 1,
      clock = realClock(),
      task = NO_TASK,
      arch = "x64",
      budget,
      types,
      random,
    } = options;
    this.cpuCount = cpuCount;
    this.#clock = clock;
    this.#task = task;
    this.#arch = arch;
    this.#machine = new Machine({
      cpuCount,
      print: (line) => this.#lines.print(line),
      onFault: reportFault,
      ...(budget === undefined ? {} : { budget }),
      ...(types === undefined ? {} : { types }),
      ...(random === undefined ? {} : { random }),
    });
  }

  supports(feature: FeatureName): Support {
    return features[feature] ? { state: "yes" } : { state: "no", since: "0.0" };
  }

  createMap(spec: MapSpec): RawMap {
    if (spec.pin !== undefined) {
      throw new UnsupportedError(`table "${spec.name}" cannot be pinned: the machine has no BPF file system`);
    }
    return this.#machine.createMap(spec);
  }

  loadProgram(spec: ProgramSpec, maps: ReadonlyMap<string, RawMap>): Program {
    const { kind } = spec;
    if (kind === null) {
      throw new UsageError(
        `cannot load program "${spec.name}": its section "${spec.section}" does not say its kind`,
        { hint: "state the kind when loading it" },
      );
    }
    return this.#machine.loadProgram(spec, kind, maps);
  }

  /** Runs the program whenever `fire` names the target. @throws AttachError for a hook that the program's kind lacks */
  attach(program: Program, target: AttachTarget): Link {
    const own = machineProgram(program);
    own.assertOpen();
    if (target.hook === "iter" || target.hook === "kprobe_multi") {
      throw new UnsupportedError(
        `cannot attach "${own.spec.name}" to ${describeTarget(target)}: the machine has no such hook`,
      );
    }
    const { hook } = programKinds[own.kind];
    if (hook !== null && hook !== target.hook) {
      throw new AttachError(
        `cannot attach "${own.spec.name}" to ${describeTarget(target)}: it is a ${own.kind} program`,
      );
    }
    const key = describeTarget(target);
    const link = new MachineLink(own, target, () => this.#detach(key, link));
    this.#attached.set(key, [...(this.#attached.get(key) ?? []), link]);
    return link;
  }

  #detach(key: string, link: MachineLink): void {
    const left = (this.#attached.get(key) ?? []).filter((each) => each !== link);
    if (left.length === 0) this.#attached.delete(key);
    else this.#attached.set(key, left);
  }

  evictXdp(device: string, flags: number): boolean {
    const links = this.#attached.get(describeTarget({ hook: "xdp", device, flags })) ?? [];
    for (const link of links) link[Symbol.dispose]();
    return links.length > 0;
  }

  /** Whether anything is attached to a target. */
  isAttached(target: AttachTarget): boolean {
    return this.#attached.has(describeTarget(target));
  }

  /** Lets something happen: every program that is attached there runs, now. A fault stops one and no other. */
  fire(target: AttachTarget, context: EventContext = {}): readonly Outcome[] {
    const links = this.#attached.get(describeTarget(target)) ?? [];
    return links.map(({ program }) => this.#outcome(program, target, context));
  }

  #outcome(program: MachineProgram, target: AttachTarget, event: EventContext): Outcome {
    try {
      return { program, r0: this.#run(program, target, event), fault: null };
    } catch (fault) {
      if (fault instanceof MachineFault) return { program, r0: null, fault };
      throw fault;
    }
  }

  #run(program: MachineProgram, target: AttachTarget, event: EventContext): bigint {
    const happening = this.#happening(event);
    if (event.packet !== undefined) {
      const { packet, context } = packetContext(
        program.kind,
        withRoom(event.packet),
        HEADROOM,
        event.packet.length,
      );
      return this.#machine.run(program, { happening, context, packet });
    }
    const isCall = target.hook === "kprobe" && SYSCALL_FUNCTION.test(target.symbol) && !target.atReturn;
    if (isCall && event.bytes === undefined) {
      // The registers that the function's first parameter points to, which programs read as the kernel's memory.
      const inner = registerBytes(this.#arch, { args: event.args ?? [] }, true);
      const registers = new Region(PACKET, {
        name: "the registers of the system call",
        bytes: inner,
        writable: false,
      });
      const outer = { ...event.registers, [firstParameter(this.#arch)]: registers.address(0) };
      const bytes = registerBytes(this.#arch, { registers: outer });
      return this.#machine.run(program, { happening, context: contextRegion(bytes), packet: registers });
    }
    const context = contextRegion(event.bytes ?? this.#contextBytes(program, target, event));
    return this.#machine.run(program, { happening, context, packet: null });
  }

  #contextBytes(program: MachineProgram, target: AttachTarget, event: EventContext): Uint8Array {
    switch (target.hook) {
      case "tracepoint":
        return recordOf(program.spec, event.fields ?? {});
      case "kprobe":
      case "uprobe":
        return registerBytes(this.#arch, event);
      default:
        return words(event.result === undefined ? (event.args ?? []) : [...(event.args ?? []), event.result]);
    }
  }

  #happening(event: EventContext): Happening {
    const { time } = event;
    const clock = this.#clock;
    return {
      task: event.task === undefined ? this.#task : { ...this.#task, ...event.task },
      cpu: event.cpu ?? 0,
      clock: time === undefined ? clock : { ...bound(clock), monotonic: () => time },
      kernelStack: event.kernelStack ?? [],
      userStack: event.userStack ?? [],
      memory: event.memory ?? null,
    };
  }

  testRun(program: Program, input: Uint8Array): { readonly result: number; readonly output: Uint8Array } {
    const own = machineProgram(program);
    const { kind } = own;
    const happening = this.#happening({});
    if (programKinds[kind].hook === "raw_tracepoint") {
      const bytes = new Uint8Array(MOST_ARGUMENTS * 8);
      if (input.length % 8 !== 0 || input.length > bytes.length) throw wrongInput(own, input);
      bytes.set(input);
      const r0 = this.#machine.run(own, { happening, context: contextRegion(bytes), packet: null });
      return { result: Number(BigInt.asUintN(32, r0)), output: input.slice() };
    }
    if (!PACKET_KINDS.includes(kind)) {
      throw new UnsupportedError(`the machine cannot run a ${kind} program on given bytes`, {
        hint: "attach it, and make its event by hand",
      });
    }
    if (input.length < ETHERNET_BYTES) throw wrongInput(own, input);
    // Socket filters see what is behind the link's header, as in the kernel's own test runs.
    const skipped = kind === "socket_filter" ? ETHERNET_BYTES : 0;
    const bytes = withRoom(input);
    const { packet, context } = packetContext(kind, bytes, HEADROOM + skipped, input.length - skipped);
    const r0 = this.#machine.run(own, { happening, context, packet });
    const output = bytes.slice(packet.start - skipped, packet.length);
    output.fill(0, 0, skipped);
    return { result: Number(BigInt.asUintN(32, r0)), output };
  }

  openEvents(map: RawMap, options: EventOptions): EventSource {
    const { store, spec } = machineMap(map);
    if (store instanceof RingStore) return new RingSource(store);
    if (store instanceof PerfStore) return new PerfSource(store, options);
    throw new UsageError(
      `table "${spec.name}" is a ${spec.kind} map: only ring buffers and perf event arrays have records`,
    );
  }

  openTrace(): TraceSource {
    return this.#lines.open();
  }

  /** Storage of tasks goes by their numbers here. */
  openProcess(pid: number): OpenDescriptor | null {
    return { number: pid, [Symbol.dispose]() {} };
  }

  [Symbol.dispose](): void {
    this.#lines.close();
    this.#machine[Symbol.dispose]();
  }
}

const ETHERNET_BYTES = 14;
/** Arguments of a raw tracepoint at most (MAX_BPF_FUNC_ARGS). */
const MOST_ARGUMENTS = 12;
const LOOPBACK = 1;

const PACKET_KINDS: readonly ProgramKindName[] = [
  "socket_filter",
  "sched_cls",
  "sched_act",
  "xdp",
  "cgroup_skb",
];

function wrongInput(program: MachineProgram, input: Uint8Array): UsageError {
  return new UsageError(`running program "${program.spec.name}" on ${input.length} bytes failed: EINVAL`, {
    hint: "network programs take a packet of at least 14 bytes, raw tracepoints 8 bytes per argument, at most 12",
  });
}

function contextRegion(bytes: Uint8Array): Region {
  return new Region(CONTEXT, { name: "the context", bytes, writable: false });
}

function packetContext(
  kind: ProgramKindName,
  bytes: Uint8Array,
  start: number,
  length: number,
): { readonly packet: Region; readonly context: Region } {
  const packet = new Region(PACKET, { name: "the packet", bytes, writable: kind !== "socket_filter" });
  packet.replace(bytes, start, start + length);
  if (kind === "xdp") {
    const rules = new XdpContext(packet, LOOPBACK);
    const context = new Region(CONTEXT, {
      name: "the context",
      bytes: new Uint8Array(XDP_BYTES),
      writable: false,
      rules,
    });
    return { packet, context };
  }
  const rules = new SkbContext(packet, kind, LOOPBACK);
  if (start > HEADROOM) rules.setProtocol(packet.view.getUint16(start - 2, true));
  const context = new Region(CONTEXT, {
    name: "the context",
    bytes: new Uint8Array(SKB_BYTES),
    writable: true,
    rules,
  });
  return { packet, context };
}

function words(values: readonly (number | bigint)[]): Uint8Array {
  const whole = new BigInt64Array(Math.max(values.length, MOST_ARGUMENTS));
  for (const [index, value] of values.entries()) whole[index] = BigInt.asIntN(64, BigInt(value));
  return new Uint8Array(whole.buffer);
}

function bound(clock: Clock): Clock {
  return {
    monotonic: () => clock.monotonic(),
    realtime: () => clock.realtime(),
    after: (delay, action) => clock.after(delay, action),
  };
}

/** Timers run when nobody waits for their answer. */
function reportFault(fault: MachineFault): void {
  notify(`rxbpf: ${fault.message}`);
}

/** One attachment. */
class MachineLink implements Link {
  readonly program: MachineProgram;
  readonly target: AttachTarget;
  readonly #detach: () => void;
  #closed = false;

  constructor(program: MachineProgram, target: AttachTarget, detach: () => void) {
    this.program = program;
    this.target = target;
    this.#detach = detach;
  }

  get closed(): boolean {
    return this.#closed;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#detach();
  }
}
