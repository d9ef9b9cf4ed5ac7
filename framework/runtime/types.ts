import type { MapSpec, ProgramSpec } from "../object/object-spec.ts";
import type { AttachTarget } from "../programs/targets.ts";

/** Whether a capability is there. "unknown" means the probe itself could not run. */
export type Support =
  | { readonly state: "yes" }
  | { readonly state: "no"; readonly since: string }
  | { readonly state: "unknown"; readonly cause: Error };

/** What a runtime can be asked about. */
export type FeatureName =
  | "kprobe"
  | "kprobe_multi"
  | "uprobe"
  | "uprobe_multi"
  | "tracepoint"
  | "raw_tracepoint"
  | "fentry"
  | "fmod_ret"
  | "lsm"
  | "ringbuf"
  | "batch"
  | "link"
  | "netns_link"
  | "xdp_link"
  | "tcx_link";

/**
 * A map as bytes. Keys and values have exactly the sizes in `spec`; per-CPU values are one slot per possible CPU, each
 * padded to 8 bytes.
 */
export interface RawMap extends Disposable {
  readonly spec: MapSpec;
  /** Copies the value into `into`. Returns false when the key is absent. */
  lookup(key: Uint8Array, into: Uint8Array): boolean;
  /**
   * @throws MapError KEY_EXISTS in mode "create" on a present key, KEY_MISSING in mode "replace" on an absent one,
   * MAP_FULL when there is no room
   */
  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): void;
  /** Returns false when the key was absent. */
  delete(key: Uint8Array): boolean;
  /**
   * Copies the key after `after` (the first when null) into `into`. Returns false at the end. When `after` has gone
   * meanwhile, the kernel starts again at the first key.
   */
  nextKey(after: Uint8Array | null, into: Uint8Array): boolean;
}

export type UpdateMode = "any" | "create" | "replace";

/** A map that reads many entries in one call. */
export interface BatchMap extends RawMap {
  /**
   * Fills `keys` and `values` with up to `most` entries and returns how many; `cursor.done` when the map was read to
   * its end. Start with a new `BatchCursor`.
   * @throws MapError BATCH_SIZE when `most` entries are too few to go on; the cursor stays where it was
   */
  lookupBatch(cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number): number;
}

/** A map that writes and deletes many entries in one call. Keys and values stand one after another. */
export interface BatchWriteMap extends BatchMap {
  /** Writes `count` entries; returns how many it wrote before one was refused, for writing that one alone. */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): number;
  /** Deletes `count` keys; returns how many it deleted before one that was absent or refused. */
  deleteBatch(keys: Uint8Array, count: number): number;
}

/** Whether a map writes in batches. */
export function isBatchWriteMap(map: RawMap): map is BatchWriteMap {
  return "updateBatch" in map;
}

/** A map that reads and deletes many entries in one call: nothing that a program adds in between is lost. */
export interface BatchTakeMap extends BatchMap {
  /** As `lookupBatch`; the entries are gone from the map afterwards. */
  takeBatch(cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number): number;
}

/** Whether a map gives its entries away in batches. */
export function isBatchTakeMap(map: RawMap): map is BatchTakeMap {
  return "takeBatch" in map;
}

/** Where a batch read stands. */
export interface BatchCursor {
  /** The kernel's own position; null before the first call. */
  position: Uint8Array | null;
  done: boolean;
}

/** Whether a map reads in batches. */
export function isBatchMap(map: RawMap): map is BatchMap {
  return "lookupBatch" in map;
}

/** A map that others can refer to: it goes into maps of maps, into a file system, and to other owners. */
export interface SharedMap extends RawMap {
  /** The kernel's descriptor, borrowed, or a number of the machine's own: what a map of maps stores. */
  readonly fd: number;
  /** The id that a map of maps shows for it when read back. */
  readonly id: number;
  /** The same map for another owner, disposed on its own. `spec` says what its bytes mean there; sizes must be the same. */
  share(spec: MapSpec): RawMap;
  /**
   * Keeps the map under a path, beyond the end of this process.
   * @throws MapError MAP_PIN with the reason
   */
  pin(path: string): void;
}

/** Whether others can refer to a map. */
export function isSharedMap(map: RawMap): map is SharedMap {
  return "share" in map;
}

/** A queue or stack, whose values can be taken out. `lookup` with an empty key reads the next one and leaves it. */
export interface PopMap extends RawMap {
  /** Takes the next value out into `into`. Returns false when there is none. */
  pop(into: Uint8Array): boolean;
}

/** Whether values can be taken out of a map. */
export function isPopMap(map: RawMap): map is PopMap {
  return "pop" in map;
}

/** A map that only tells whether a value may be in it. */
export interface FilterMap extends RawMap {
  /** Whether the value may have been added: never false for one that was. */
  mayHave(value: Uint8Array): boolean;
}

/** Whether a map is a filter. */
export function isFilterMap(map: RawMap): map is FilterMap {
  return "mayHave" in map;
}

/** A loaded program. */
export interface Program extends Disposable {
  readonly spec: ProgramSpec;
  /** The kernel's descriptor, or a number of the machine's own: what a prog array stores. */
  readonly fd: number;
  /** The id that a prog array shows for it when read back. */
  readonly id: number;
}

/** One attachment. Disposing it detaches. */
export interface Link extends Disposable {
  readonly program: Program;
  readonly target: AttachTarget;
  /** Whether it was disposed. */
  readonly closed: boolean;
}

/** A raw socket that a program filters for. */
export interface SocketLink extends Link {
  /** The socket, non-blocking, for reading packets; closed by the link. */
  readonly fd: number;
}

/** Whether a link is a socket to read packets from. */
export function isSocketLink(link: Link): link is SocketLink {
  return link.target.hook === "socket_filter" && "fd" in link;
}

/** A program that runs on each object of a kind, whenever somebody reads. */
export interface IteratorLink extends Link {
  /** Begins one walk. */
  open(): IteratorReader;
}

/** One walk of an iterator. */
export interface IteratorReader extends Disposable {
  /**
   * Goes on with the walk and puts what the program wrote into `into`; returns how many bytes, 0 at the end.
   *
   * @throws SyscallError E2BIG when the program wrote more for one object than the kernel keeps
   */
  read(into: Uint8Array): number;
}

/** Whether a link is an iterator. */
export function isIteratorLink(link: Link): link is IteratorLink {
  return link.target.hook === "iter" && "open" in link;
}

/** A ring buffer or a set of perf buffers, read in place. */
export interface EventSource extends Disposable {
  /**
   * Hands over records now waiting, at most `most`; returns how many. `bytes` is valid only during the call and may be
   * the same object each time; `cpu` is null for a ring buffer. Stops at once if a callback disposes the source.
   */
  drain(onRecord: RecordCallback, onLost: LostCallback, most?: number): number;
  /**
   * Ends a drain from inside of its callback; the rest stays, and more may come. Sources have it that lose records when
   * they are disposed, or are expensive to open: they stay open while nobody reads.
   */
  suspend?(): void;
  /** Reports losses that `drain` has not, because no record came after them. */
  countLost?(onLost: LostCallback): void;
  /** Calls `onReady` when drain would find a record, until the returned function is called or the source is disposed. */
  watch(onReady: () => void): () => void;
}

/** `view` covers the mapped pages; the record is `length` bytes at `at`. */
export type RecordCallback = (view: DataView, at: number, length: number, cpu: number | null) => void;
export type LostCallback = (count: number, cpu: number) => void;

/** How to open a source. */
export interface EventOptions {
  /** Pages per CPU of a perf buffer, a power of two; ignored for a ring buffer. */
  readonly pages: number;
  /** Perf buffer: wake the reader after this many records. */
  readonly wakeupEvents: number;
}

/** Where BPF objects live: the running kernel, or the in-process machine. */
export interface Runtime extends Disposable {
  readonly name: "kernel" | "machine";
  /** Possible CPUs: how many slots a per-CPU value has. */
  readonly cpuCount: number;
  supports(feature: FeatureName): Support;
  /** Makes the map that the spec says, or takes it from the path where it is pinned. */
  createMap(spec: MapSpec): RawMap;
  /** @param maps every map the program refers to, by name */
  loadProgram(spec: ProgramSpec, maps: ReadonlyMap<string, RawMap>): Program;
  /** @param map the map that an iterator walks over */
  attach(program: Program, target: AttachTarget, map?: RawMap): Link;
  /**
   * Takes whatever XDP program a device has off, whoever attached it; `flags` is a mode, or 0 for all.
   *
   * @returns false when the device has none
   */
  evictXdp(device: string, flags: number): boolean;
  /**
   * Runs a program once on the given bytes (BPF_PROG_TEST_RUN): packet bytes for network kinds, the context for raw
   * tracepoints. Returns the low 32 bits of r0 and the bytes afterwards.
   */
  testRun(program: Program, input: Uint8Array): { readonly result: number; readonly output: Uint8Array };
  openEvents(map: RawMap, options: EventOptions): EventSource;
  /** Lines of the trace pipe, as bytes, until disposed. */
  openTrace(): TraceSource;
}

/** A runtime that gives descriptors of processes, for the keys of task storage. */
export interface ProcessRuntime extends Runtime {
  /**
   * A descriptor of a thread group, or null when there is no process of that number.
   * @throws UnsupportedError before Linux 5.3
   */
  openProcess(pid: number): OpenDescriptor | null;
}

/** A descriptor to close after use. */
export interface OpenDescriptor extends Disposable {
  readonly number: number;
}

/** Whether a runtime gives descriptors of processes. */
export function opensProcesses(runtime: Runtime): runtime is ProcessRuntime {
  return "openProcess" in runtime;
}

/** What counts, and where. */
export interface CounterOptions {
  /** `type` and `config` of `struct perf_event_attr`. */
  readonly type: number;
  readonly config: number | bigint;
  /** Of this thread; -1 for everybody. */
  readonly pid: number;
  /** On this CPU; -1 for each. */
  readonly cpu: number;
}

/** Counters that programs read through a perf event array. Disposing takes them out. */
export interface Counters extends Disposable {
  /** What they count to now, by CPU. */
  values(): ReadonlyMap<number, bigint>;
}

/** A runtime that has the machine's perf counters. */
export interface CounterRuntime extends Runtime {
  openCounters(map: RawMap, options: CounterOptions): Counters;
}

/** Whether a runtime has perf counters. */
export function hasCounters(runtime: Runtime): runtime is CounterRuntime {
  return "openCounters" in runtime;
}

/** Room for one record in a ring, until it is submitted or discarded: do one of them, once. */
export interface RingRoom {
  readonly view: DataView;
  readonly at: number;
  submit(): void;
  discard(): void;
}

/** A ring that this process writes. */
export interface UserRing extends Disposable {
  /** Bytes that no program has drained yet. */
  readonly waiting: number;
  /**
   * Room for a record; null while there is none.
   * @throws LayoutError for a record longer than the ring
   */
  reserve(length: number): RingRoom | null;
}

/** A runtime with rings that programs drain. */
export interface UserRingRuntime extends Runtime {
  openUserRing(map: RawMap): UserRing;
}

/** Whether a runtime has rings that programs drain. */
export function hasUserRings(runtime: Runtime): runtime is UserRingRuntime {
  return "openUserRing" in runtime;
}

/** Where a map is that exists already. */
export type MapOrigin =
  /** Under a path of a BPF file system (4.4). */
  | { readonly path: string }
  /** Behind a descriptor of this process, which stays the caller's. */
  | { readonly fd: number }
  /** By the number the kernel gave it (4.13, CAP_SYS_ADMIN). */
  | { readonly id: number };

/** A runtime that opens maps which others made. */
export interface OpeningRuntime extends Runtime {
  /**
   * A map for this process's own use, with the types it was made with.
   * @throws MapError MAP_PIN, MAP_OPEN; PermissionError; UnsupportedError for a kind newer than this library
   */
  openMap(origin: MapOrigin): SharedMap;
}

/** Whether a runtime opens maps that others made. */
export function opensMaps(runtime: Runtime): runtime is OpeningRuntime {
  return "openMap" in runtime;
}

/** The system-wide trace pipe. */
export interface TraceSource extends Disposable {
  /** Text waiting now, "" when there is none. */
  read(): string;
  /** Calls `onReady` when text is waiting. */
  watch(onReady: () => void): () => void;
}

/** How a command is started; what is left out is as this process has it. */
export interface CommandOptions {
  readonly cwd?: string;
  /** The whole environment; PATH is where the command is looked for. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard input, output and errors: this process's own, none, or each by itself, where numbers are descriptors. */
  readonly stdio?: "inherit" | "ignore" | readonly ("inherit" | "ignore" | number)[];
}

/** How a command ended: with a status, or by a signal. */
export interface CommandEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A command that was started. Disposing sends it SIGTERM if it still runs. */
export interface Command extends Disposable {
  readonly pid: number;
  /** Resolves when it has ended, and what it did was seen. Rejects with UsageError when it could not begin. */
  readonly exited: Promise<CommandEnd>;
  /** Sends a signal; SIGTERM when left out. Returns false when the command has ended. */
  kill(signal?: NodeJS.Signals | number): boolean;
}
