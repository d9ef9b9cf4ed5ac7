import { ClosedError, MachineFault, UsageError } from "../core/errors.ts";
import { helperByNumber, helpers } from "../isa/helpers.ts";
import type { Btf } from "../object/btf.ts";
import type { MapSpec, ProgramSpec } from "../object/object-spec.ts";
import { type ProgramKindName, programKinds } from "../programs/kinds.ts";
import type { Program, RawMap } from "../runtime/types.ts";
import type { Code, Engine, HelperFunction } from "./engine.ts";
import {
  CONTEXT,
  Execution,
  RESERVED_REGIONS,
  type RunInput,
  type RunLimits,
  type Runnable,
} from "./execution.ts";
import type { Happening } from "./happening.ts";
import { implementations } from "./helpers/index.ts";
import { interpreter } from "./interpreter.ts";
import { loadProgram } from "./load.ts";
import { openStore } from "./maps/index.ts";
import { classOf, MachineMap } from "./maps/machine-map.ts";
import { ProgramStore, type Referable } from "./maps/references.ts";
import type { Store } from "./maps/store.ts";
import { AddressSpace, MAP_HIGH, NO_REGION, Region } from "./memory.ts";
import type { Printed, Services } from "./services.ts";
import { TaskMemory } from "./tasks.ts";
import { type TimerCall, Timers } from "./timers.ts";

/** Where timers' functions run: in no task. */
const IDLE: Omit<Happening, "clock"> = {
  task: { pid: 0, tgid: 0, comm: "swapper/0", uid: 0, gid: 0, parent: 0 },
  cpu: 0,
  kernelStack: [],
  userStack: [],
  memory: null,
};

/** The helper whose result leads into the kernel's structures, for programs of any kind. */
const TASK_WITH_TYPES = helpers.get_current_task_btf.id;

/** Instructions that one run may take when nobody says otherwise: about a second. */
export const DEFAULT_BUDGET = 2 ** 26;

/** How a machine is made. */
export interface MachineOptions {
  readonly cpuCount: number;
  /** Gives 32 random bits; of its own without it. */
  readonly random?: () => number;
  /** Takes what programs print. */
  readonly print?: (line: Printed) => void;
  /** The kernel's types, for structures that the machine makes up. */
  readonly types?: () => Btf | null;
  /** Takes faults of functions that timers call. */
  readonly onFault?: (fault: MachineFault) => void;
  /** Instructions after which a run is stopped. */
  readonly budget?: number;
  readonly engine?: Engine;
  /** Implementations by number, before the machine's own. */
  readonly helpers?: ReadonlyMap<number, HelperFunction>;
}

/** A program of the machine. */
export class MachineProgram implements Program, Runnable, Referable {
  readonly spec: ProgramSpec;
  readonly kind: ProgramKindName;
  readonly fd: number;
  readonly code: Code;
  readonly readsKernel: boolean;
  readonly regions: Region[];
  occupant: Execution | null = null;
  readonly maps: Map<number, MachineMap>;
  readonly #release: (program: MachineProgram) => void;
  #closed = false;

  constructor(parts: {
    readonly spec: ProgramSpec;
    readonly kind: ProgramKindName;
    readonly fd: number;
    readonly code: Code;
    readonly readsKernel: boolean;
    readonly maps: Map<number, MachineMap>;
    readonly release: (program: MachineProgram) => void;
  }) {
    this.spec = parts.spec;
    this.kind = parts.kind;
    this.fd = parts.fd;
    this.code = parts.code;
    this.readsKernel = parts.readsKernel;
    this.maps = parts.maps;
    this.#release = parts.release;
    this.regions = new Array<Region>(RESERVED_REGIONS).fill(NO_REGION);
  }

  get id(): number {
    return this.fd;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Lets the program name a map and touch its values. */
  grantMap(map: MachineMap): void {
    if (this.maps.get(map.fd) !== map) {
      this.maps.set(map.fd, map);
      map.retain();
    }
    for (const region of map.store.regions) {
      while (this.regions.length <= region.id) this.regions.push(NO_REGION);
      this.regions[region.id] = region;
    }
  }

  revokeMap(map: MachineMap): void {
    this.maps.delete(map.fd);
    for (const region of map.store.regions) this.regions[region.id] = NO_REGION;
    map.drop();
  }

  /** @throws ClosedError after disposal */
  assertOpen(): void {
    if (this.#closed) throw new ClosedError(`program "${this.spec.name}" was closed`);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release(this);
  }
}

/**
 * An eBPF machine: maps and programs, and runs of them, one at a time. It knows nothing about hooks, files or
 * processes, and needs nothing but JavaScript.
 */
export class Machine implements Disposable {
  readonly cpuCount: number;
  readonly space = new AddressSpace(RESERVED_REGIONS);
  readonly #limits: RunLimits;
  readonly #timers: Timers;
  readonly #engine: Engine;
  readonly #helpers: ReadonlyMap<number, HelperFunction>;
  readonly #maps = new Map<number, MachineMap>();
  readonly #programs = new Map<number, MachineProgram>();
  /** Executions that are not running; as many are made as run inside one another. */
  readonly #idle: Execution[] = [];
  #lastFd = 2;
  #closed = false;

  constructor(options: MachineOptions) {
    this.cpuCount = options.cpuCount;
    this.#timers = new Timers((call) => this.#ring(call, options.onFault));
    const services: Services = {
      cpuCount: options.cpuCount,
      space: this.space,
      random: options.random ?? (() => (Math.random() * 2 ** 32) >>> 0),
      print: options.print ?? (() => {}),
      timers: this.#timers,
      tasks: new TaskMemory(this.space, options.types ?? (() => null)),
    };
    this.#limits = { services, budget: options.budget ?? DEFAULT_BUDGET };
    this.#engine = options.engine ?? interpreter;
    this.#helpers = options.helpers ?? new Map();
  }

  /** @throws MapError MAP_CREATE, UnsupportedError for kinds that the machine lacks */
  createMap(given: MapSpec): MachineMap {
    this.#assertOpen();
    const spec =
      given.kind === "perf_event_array" && given.maxEntries === 0
        ? { ...given, maxEntries: this.cpuCount }
        : given;
    const store = openStore(spec, {
      space: this.space,
      cpuCount: this.cpuCount,
      programOf: (fd) => this.#programs.get(fd),
      mapOf: (fd) => this.#maps.get(fd),
    });
    const Kind = classOf(spec.kind);
    const fd = ++this.#lastFd;
    const options = { fd, cpuCount: this.cpuCount, release: () => this.#forgetMap(fd, store) };
    const map = new Kind(spec, store, options);
    this.#maps.set(fd, map);
    if (spec.initial !== null) map.update(new Uint8Array(spec.keySize), spec.initial, "any");
    if (spec.frozen) map.freeze();
    return map;
  }

  #forgetMap(fd: number, store: Store): void {
    this.#maps.delete(fd);
    store.dispose();
  }

  /**
   * @param maps every map the program refers to, by name
   * @throws VerifierError, UsageError when a map is missing
   */
  loadProgram(spec: ProgramSpec, kind: ProgramKindName, maps: ReadonlyMap<string, RawMap>): MachineProgram {
    this.#assertOpen();
    const own = new Map([...maps].map(([name, map]) => [name, machineMap(map)]));
    for (const { map } of spec.mapReferences) {
      if (own.has(map)) continue;
      throw new UsageError(`cannot load program "${spec.name}": it uses table "${map}", which was not given`);
    }
    const { checked, maps: used } = loadProgram(spec, own, {
      helper: (number) => this.#helperOf(number),
      mapOf: (fd) => this.#maps.get(fd),
    });
    for (const { store } of used) if (store instanceof ProgramStore) store.binds(kind);
    const program = new MachineProgram({
      spec,
      kind,
      fd: ++this.#lastFd,
      code: this.#engine.prepare(checked),
      readsKernel: programKinds[kind].btfTarget !== null || checked.helpers.has(TASK_WITH_TYPES),
      maps: new Map(),
      release: (closed) => this.#forgetProgram(closed),
    });
    for (const map of used) program.grantMap(map);
    this.#programs.set(program.fd, program);
    return program;
  }

  #helperOf(number: number): HelperFunction | undefined {
    const given = this.#helpers.get(number);
    if (given !== undefined) return given;
    const name = helperByNumber(number);
    return name === undefined ? undefined : implementations[name];
  }

  #forgetProgram(program: MachineProgram): void {
    this.#programs.delete(program.fd);
    for (const map of program.maps.values()) map.drop();
  }

  /**
   * Runs a program once, now, and returns r0, signed.
   * @throws MachineFault
   */
  run(program: MachineProgram, input: RunInput): bigint {
    this.#assertOpen();
    program.assertOpen();
    const run = this.#idle.pop() ?? new Execution();
    try {
      return run.start(program, input, this.#limits);
    } finally {
      this.#idle.push(run);
    }
  }

  /** Runs a timer's function: (map, key, value). */
  #ring(call: TimerCall, onFault: ((fault: MachineFault) => void) | undefined): void {
    const { program, slot, map, key, valueAt, clock } = call;
    if (!(program instanceof MachineProgram) || program.closed || this.#closed) return;
    const { region } = map.store;
    if (region === null) return;
    const keyRegion = new Region(CONTEXT, { name: "a timer's key", bytes: key, writable: false });
    try {
      this.run(program, {
        happening: { ...IDLE, clock },
        context: keyRegion,
        packet: null,
        slot,
        prepare(r) {
          r.set([map.fd, MAP_HIGH, keyRegion.low(0), keyRegion.high, region.low(valueAt), region.high], 2);
        },
      });
    } catch (error) {
      if (!(error instanceof MachineFault)) throw error;
      onFault?.(error);
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError("the machine was closed");
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#timers[Symbol.dispose]();
  }
}

/** A map of the machine, as its parts need it. */
export function machineMap(map: RawMap): MachineMap {
  if (map instanceof MachineMap) return map;
  throw new UsageError(`table "${map.spec.name}" belongs to another runtime`);
}

/** A program of the machine, as its parts need it. */
export function machineProgram(program: Program): MachineProgram {
  if (program instanceof MachineProgram) return program;
  throw new UsageError(`program "${program.spec.name}" belongs to another runtime`);
}
