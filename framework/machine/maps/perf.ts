import { UsageError } from "../../core/errors.ts";
import { roundUp } from "../../core/layout.ts";
import type { MapSpec } from "../../object/object-spec.ts";
import type { EventOptions, EventSource, LostCallback, RecordCallback } from "../../runtime/types.ts";
import { errno } from "../errno.ts";
import { nextIndex } from "./array.ts";
import { ByteRing, Watchers } from "./byte-ring.ts";
import { Store } from "./store.ts";

const PAGE_BYTES = 4096;
/** The header of a record, and the size word before its bytes. */
const HEADER_BYTES = 8;
const SIZE_BYTES = 4;
/** A record's size is 16 bits. */
const LONGEST_RECORD = 65528;

/** One CPU's records. */
class PerfRing {
  readonly ring: ByteRing;
  lost = 0;

  constructor(bytes: number) {
    this.ring = new ByteRing(bytes);
  }
}

/** perf_event_array: records of programs, by CPU. They go nowhere until somebody opens it. */
export class PerfStore extends Store {
  readonly #cpuCount: number;
  readonly watchers: Watchers;
  rings: PerfRing[] = [];

  constructor(spec: MapSpec, cpuCount: number) {
    super(spec);
    this.#cpuCount = cpuCount;
    this.watchers = new Watchers(this);
  }

  get hasData(): boolean {
    return this.rings.some(({ ring, lost }) => ring.head !== ring.tail || lost > 0);
  }

  /** Makes a ring for each CPU; those of another reader are replaced. */
  open(pages: number): void {
    this.rings = Array.from({ length: this.#cpuCount }, () => new PerfRing(pages * PAGE_BYTES));
  }

  /** bpf_perf_event_output: 0 or an error. */
  output(cpu: number, data: Uint8Array): number {
    if (cpu >= this.spec.maxEntries) return errno.E2BIG;
    const target = this.rings[cpu];
    if (target === undefined) return errno.ENOENT;
    const { ring } = target;
    const step = roundUp(data.length + SIZE_BYTES, 8) + HEADER_BYTES;
    if (step > LONGEST_RECORD) return errno.E2BIG;
    if (ring.head + step - ring.tail > ring.size) {
      target.lost++;
      this.watchers.wake();
      return errno.ENOSPC;
    }
    const at = ring.place(ring.head);
    const length = step - HEADER_BYTES - SIZE_BYTES;
    ring.view.setUint32(at + HEADER_BYTES, length, true);
    const body = at + HEADER_BYTES + SIZE_BYTES;
    ring.bytes.set(data, body);
    ring.bytes.fill(0, body + data.length, body + length);
    ring.head += step;
    this.watchers.wake();
    return 0;
  }

  override next(after: Uint8Array | null, into: Uint8Array): number {
    return nextIndex(this.spec.maxEntries, after, into);
  }

  override dispose(): void {
    this.rings = [];
    this.watchers.close();
  }
}

/** Reads the records of all CPUs. */
export class PerfSource implements EventSource {
  readonly #store: PerfStore;
  readonly #stops = new Set<() => void>();
  #turn = 0;
  #suspended = false;
  #closed = false;

  /** @throws UsageError for a number of pages that is not a power of two */
  constructor(store: PerfStore, { pages }: EventOptions) {
    if (!Number.isInteger(pages) || pages < 1 || (pages & (pages - 1)) !== 0) {
      throw new UsageError(
        `the perf buffer "${store.spec.name}" takes a power of two of pages, not ${pages}`,
      );
    }
    this.#store = store;
    store.open(pages);
  }

  drain(onRecord: RecordCallback, onLost: LostCallback, most = Number.POSITIVE_INFINITY): number {
    const { rings } = this.#store;
    let total = 0;
    this.#suspended = false;
    for (let idle = 0; idle < rings.length && total < most && !this.#isEnded; this.#turn++) {
      const cpu = this.#turn % rings.length;
      const count = this.#drainOne(cpu, onRecord, onLost, most - total);
      total += count;
      idle = count === 0 ? idle + 1 : 0;
    }
    return total;
  }

  #drainOne(cpu: number, onRecord: RecordCallback, onLost: LostCallback, most: number): number {
    const target = this.#store.rings[cpu]!;
    const { ring } = target;
    let count = 0;
    while (count < most && !this.#isEnded && ring.tail !== ring.head) {
      const at = ring.place(ring.tail);
      const length = ring.view.getUint32(at + HEADER_BYTES, true);
      ring.tail += length + HEADER_BYTES + SIZE_BYTES;
      count++;
      onRecord(ring.view, at + HEADER_BYTES + SIZE_BYTES, length, cpu);
    }
    if (target.lost > 0 && !this.#isEnded && ring.tail === ring.head) {
      const { lost } = target;
      target.lost = 0;
      onLost(lost, cpu);
    }
    return count;
  }

  get #isEnded(): boolean {
    return this.#suspended || this.#closed;
  }

  suspend(): void {
    this.#suspended = true;
  }

  watch(onReady: () => void): () => void {
    if (this.#closed) return () => {};
    const remove = this.#store.watchers.add(onReady);
    const stop = (): void => {
      this.#stops.delete(stop);
      remove();
    };
    this.#stops.add(stop);
    return stop;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of [...this.#stops]) stop();
    this.#store.rings = [];
  }
}
