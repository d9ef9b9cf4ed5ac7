import { MapError, UsageError } from "../../core/errors.ts";
import { u32, viewOf } from "../../core/layout.ts";
import { Scope } from "../../core/scope.ts";
import type { EventOptions, EventSource, LostCallback, RecordCallback } from "../../runtime/types.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { watchCpus } from "../../sys/cpu-watch.ts";
import { watchReadable } from "../../sys/poller.ts";
import { onlineCpus } from "../../sys/proc.ts";
import type { KernelMap } from "../kernel-map.ts";
import { isPermission, missingPrivilege } from "../permission.ts";
import { PerfRing } from "./perf-ring.ts";

/** Records of one CPU before the next one's turn, so that a busy CPU does not keep others waiting. */
const RECORDS_PER_TURN = 128;

/**
 * One perf ring for each CPU that runs; the map gives programs the ring of the CPU they run on. The kernel ends a ring
 * with its CPU, so a CPU that comes back gets another, and the records of the one before are still handed over.
 */
export class PerfBuffer implements EventSource {
  readonly #map: KernelMap;
  readonly #options: EventOptions;
  readonly #scope: Scope;
  /** Those of CPUs that run, and those of CPUs that went and left records. */
  readonly #rings: PerfRing[] = [];
  readonly #ended = new Set<PerfRing>();
  readonly #watches = new Set<RingWatch>();
  #turn = 0;
  #suspended = false;
  #closed = false;

  /**
   * @throws UsageError for a number of pages that is not a power of two
   * @throws PermissionError without CAP_PERFMON; MapError when pages cannot be had
   */
  constructor(map: KernelMap, options: EventOptions) {
    const { pages } = options;
    if (!Number.isInteger(pages) || pages < 1 || (pages & (pages - 1)) !== 0) {
      throw new UsageError(`the perf buffer "${map.spec.name}" takes a power of two of pages, not ${pages}`);
    }
    this.#map = map;
    this.#options = options;
    this.#scope = new Scope(`the perf buffer "${map.spec.name}"`);
    this.#scope.defer(() => this.#takeOutAll());
    try {
      // Watched first: a CPU that comes online in between is then seen twice, and not missed.
      const watch = watchCpus(({ cpu, isOnline }) => {
        this.#end(cpu);
        if (isOnline) this.#openOn(cpu);
      });
      this.#scope.own(watch);
      for (const cpu of onlineCpus()) this.#openOn(cpu);
    } catch (error) {
      this.#scope[Symbol.dispose]();
      throw this.#explain(error);
    }
  }

  #openOn(cpu: number): void {
    try {
      this.#open(cpu);
    } catch (error) {
      // The CPU went offline meanwhile, and so nothing runs on it.
      if (errnoOf(error) !== "ENODEV") throw this.#explain(error);
    }
  }

  #open(cpu: number): void {
    const { pages, wakeupEvents } = this.#options;
    const label = `perf buffer "${this.#map.spec.name}" on CPU ${cpu}`;
    const ring = this.#scope.own(new PerfRing(label, { cpu, pages, wakeupEvents }));
    this.#map.update(numberBytes(cpu), numberBytes(ring.fd), "any");
    this.#rings.push(ring);
    for (const watch of this.#watches) watch.add(ring);
  }

  /** Ends a CPU's ring, which stays until its records are read. */
  #end(cpu: number): void {
    const ring = this.#rings.find((candidate) => candidate.cpu === cpu && !this.#ended.has(candidate));
    if (ring === undefined) return;
    this.#takeOut(ring);
    this.#ended.add(ring);
    if (!ring.hasData) this.#free(ring);
    for (const watch of this.#watches) watch.remove(ring);
  }

  /** The map holds the event, so taking the ring out of it is what lets the kernel free it. */
  #takeOut({ cpu }: PerfRing): void {
    if (!this.#map.closed) this.#map.delete(numberBytes(cpu));
  }

  #takeOutAll(): void {
    for (const ring of this.#rings) if (!this.#ended.has(ring)) this.#takeOut(ring);
  }

  #free(ring: PerfRing): void {
    this.#ended.delete(ring);
    this.#rings.splice(this.#rings.indexOf(ring), 1);
    this.#scope.disown(ring);
    ring[Symbol.dispose]();
  }

  #explain(error: unknown): unknown {
    const errno = errnoOf(error);
    if (errno === undefined) return error;
    const { name } = this.#map.spec;
    // Mapping answers EPERM when the pages go beyond kernel.perf_event_mlock_kb.
    if (isPermission(errno)) return missingPrivilege(`opening perf buffer "${name}"`, "CAP_PERFMON", error);
    const why = errno === "ENOMEM" ? `no memory for ${this.#options.pages} pages per CPU` : errno;
    return new MapError("MAP_OPERATION", `cannot open perf buffer "${name}": ${why}`, { cause: error });
  }

  drain(onRecord: RecordCallback, onLost: LostCallback, most = Number.POSITIVE_INFINITY): number {
    let total = 0;
    this.#suspended = false;
    // Ends when every ring in a row had nothing.
    for (let idle = 0; idle < this.#rings.length && total < most && !this.#suspended && !this.#closed; ) {
      const ring = this.#rings[this.#turn % this.#rings.length]!;
      const count = ring.drain(onRecord, onLost, Math.min(most - total, RECORDS_PER_TURN));
      total += count;
      idle = count === 0 ? idle + 1 : 0;
      this.#turn++;
    }
    for (const ring of this.#ended) if (!ring.hasData) this.#free(ring);
    return total;
  }

  suspend(): void {
    this.#suspended = true;
    for (const ring of this.#rings) ring.suspend();
  }

  countLost(onLost: LostCallback): void {
    for (const ring of this.#rings) ring.countLost(onLost);
  }

  watch(onReady: () => void): () => void {
    const watch = new RingWatch(this.#rings, onReady);
    this.#watches.add(watch);
    this.#scope.own(watch);
    return () => {
      this.#watches.delete(watch);
      this.#scope.disown(watch);
      watch[Symbol.dispose]();
    };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#scope[Symbol.dispose]();
  }
}

/** Calls back while rings have records. */
class RingWatch implements Disposable {
  readonly #rings: readonly PerfRing[];
  readonly #onReady: () => void;
  readonly #stops = new Map<PerfRing, () => void>();
  readonly #stopLooking: () => void;
  #scheduled: NodeJS.Immediate | undefined;
  #closed = false;

  /** @param rings as they come and go; those that come are to be added */
  constructor(rings: readonly PerfRing[], onReady: () => void) {
    this.#rings = rings;
    this.#onReady = onReady;
    for (const ring of rings) this.add(ring);
    // The event loop starts waiting for a new descriptor in its next turn, and that takes away a wake-up that came
    // before: so look once more after that turn.
    this.#stopLooking = afterTwoTurns(() => this.#again());
  }

  add(ring: PerfRing): void {
    this.#stops.set(
      ring,
      watchReadable(ring.fd, () => this.#ready()),
    );
  }

  /** Waits no more for a ring that has ended; what it has is still told of. */
  remove(ring: PerfRing): void {
    this.#stops.get(ring)?.();
    this.#stops.delete(ring);
    this.#again();
  }

  #ready(): void {
    this.#onReady();
    this.#again();
  }

  /** A perf event is readable once per wake-up, whatever the reader leaves behind. */
  #again(): void {
    if (this.#closed || this.#scheduled !== undefined || !this.#rings.some((ring) => ring.hasData)) return;
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      this.#ready();
    });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#stopLooking();
    clearImmediate(this.#scheduled);
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
  }
}

/** Runs an action once the event loop has waited for events at least once. Returns how to cancel it. */
function afterTwoTurns(action: () => void): () => void {
  let pending = setImmediate(() => {
    pending = setImmediate(action);
  });
  return () => clearImmediate(pending);
}

function numberBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  u32.write(viewOf(bytes), 0, value);
  return bytes;
}
