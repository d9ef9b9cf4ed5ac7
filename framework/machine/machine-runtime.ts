import { AttachError, MachineFault, UnsupportedError, UsageError } from "../core/errors.ts";
import { notify } from "../core/notify.ts";
import type { Btf } from "../object/btf.ts";
import type { MapSpec, ProgramSpec } from "../object/object-spec.ts";
import { type ProgramKindName, programKinds } from "../programs/kinds.ts";
import { type AttachTarget, describeTarget } from "../programs/targets.ts";
import type { EventContext, FiringRuntime, Outcome } from "../runtime/events.ts";
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
import { contextOf, MOST_ARGUMENTS } from "./contexts/index.ts";
import { PacketPool } from "./contexts/packets.ts";
import type { Architecture } from "./contexts/registers.ts";
import { CONTEXT } from "./execution.ts";
import { GivenMemory } from "./given-memory.ts";
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

const NO_TASK: Task = { pid: 0, tgid: 0, comm: "", uid: 0, gid: 0, parent: 0 };

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
export class MachineRuntime implements ProcessRuntime, FiringRuntime {
  readonly name = "machine";
  readonly cpuCount: number;
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #task: Task;
  readonly #arch: Architecture;
  readonly #lines = new TraceLines();
  readonly #packets = new PacketPool();
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
    this.targetsChanged();
    return link;
  }

  /** Targets that have something attached. */
  protected get targets(): readonly AttachTarget[] {
    return [...this.#attached.values()].flatMap((links) => links[0]?.target ?? []);
  }

  /** Called after every change of `targets`, for sources of events that happen by themselves. */
  protected targetsChanged(): void {}

  #detach(key: string, link: MachineLink): void {
    const left = (this.#attached.get(key) ?? []).filter((each) => each !== link);
    if (left.length === 0) this.#attached.delete(key);
    else this.#attached.set(key, left);
    this.targetsChanged();
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

  fire(target: AttachTarget, context: EventContext = {}): readonly Outcome[] {
    const links = this.#attached.get(describeTarget(target)) ?? [];
    return links.map(({ program }) => this.runOnce(program, target, context));
  }

  runOnce(program: Program, target: AttachTarget | null, context: EventContext = {}): Outcome {
    const own = machineProgram(program);
    try {
      return { program, r0: this.#run(own, target, context), fault: null };
    } catch (fault) {
      if (fault instanceof MachineFault) return { program, r0: null, fault };
      throw fault;
    }
  }

  #run(program: MachineProgram, target: AttachTarget | null, event: EventContext): bigint {
    const memory = new GivenMemory(event.memory ?? null);
    const { spec, kind } = program;
    const packets = this.#packets;
    const { context, packet, pooled, after } = contextOf(
      { spec, kind, target, arch: this.#arch, memory, packets },
      event,
    );
    try {
      const r0 = this.#machine.run(program, { happening: this.#happening(event, memory), context, packet });
      if (after !== undefined) event.after?.(after());
      return r0;
    } finally {
      if (pooled !== undefined) packets.giveBack(pooled);
    }
  }

  #happening(event: EventContext, memory: UserMemory | null): Happening {
    const { time } = event;
    const clock = this.#clock;
    return {
      task: event.task === undefined ? this.#task : { ...this.#task, ...event.task },
      cpu: event.cpu ?? 0,
      clock: time === undefined ? clock : { ...bound(clock), monotonic: () => time },
      kernelStack: event.kernelStack ?? [],
      userStack: event.userStack ?? [],
      memory,
    };
  }

  testRun(program: Program, input: Uint8Array): { readonly result: number; readonly output: Uint8Array } {
    const own = machineProgram(program);
    const { kind } = own;
    const happening = this.#happening({}, null);
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
    const hidden = kind === "socket_filter" ? ETHERNET_BYTES : 0;
    const given = this.#packets.take(kind, input, hidden === 0 ? undefined : { hidden });
    try {
      const { packet, context } = given;
      const r0 = this.#machine.run(own, { happening, context, packet });
      return { result: Number(BigInt.asUintN(32, r0)), output: given.after() };
    } finally {
      this.#packets.giveBack(given);
    }
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
