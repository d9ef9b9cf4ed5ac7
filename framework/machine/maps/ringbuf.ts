import { roundUp } from "../../core/layout.ts";
import type { MapSpec } from "../../object/object-spec.ts";
import type { EventSource, LostCallback, RecordCallback } from "../../runtime/types.ts";
import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";
import { ByteRing, Watchers } from "./byte-ring.ts";
import { Store } from "./store.ts";

const HEADER_BYTES = 8;
/** Bits of a record's first word (BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT). */
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const LENGTH_MASK = DISCARD - 1;

/** ringbuf: records of programs for one reader, in the order in which they were reserved. */
export class RingStore extends Store {
  readonly ring: ByteRing;
  readonly watchers: Watchers;

  constructor(spec: MapSpec) {
    super(spec);
    this.ring = new ByteRing(spec.maxEntries);
    this.watchers = new Watchers(this);
  }

  /** Whether the next record is complete. */
  get hasData(): boolean {
    const { ring } = this;
    return ring.tail !== ring.head && ring.view.getUint32(ring.place(ring.tail), true) < BUSY;
  }

  /** Takes room for a record: its place in the ring's bytes, or -1. */
  #take(size: number): number {
    const { ring } = this;
    const step = roundUp(size + HEADER_BYTES, 8);
    if (size > LENGTH_MASK || step > ring.size || ring.head + step - ring.tail > ring.size - 1) return -1;
    const at = ring.place(ring.head);
    ring.view.setUint32(at, size | BUSY, true);
    ring.head += step;
    return at + HEADER_BYTES;
  }

  #commit(at: number, size: number, discard: boolean): void {
    this.ring.view.setUint32(at - HEADER_BYTES, discard ? size | DISCARD : size, true);
    this.watchers.wake();
  }

  /** bpf_ringbuf_reserve: r0 points to the record, or is 0 when there is no room. */
  reserve(run: Execution, size: number): void {
    const at = this.#take(size);
    if (at >= 0) {
      this.ring.bytes.fill(0, at, at + size);
      if (run.reserve(this.ring.bytes, at, size, (discard) => this.#commit(at, size, discard))) return;
      this.#commit(at, size, true);
    }
    run.result(0);
  }

  /** bpf_ringbuf_output: 0 or an error. */
  output(data: Uint8Array): number {
    const at = this.#take(data.length);
    if (at < 0) return errno.EAGAIN;
    this.ring.bytes.set(data, at);
    this.#commit(at, data.length, false);
    return 0;
  }

  /** bpf_ringbuf_query (BPF_RB_AVAIL_DATA and its relatives). */
  query(what: number): number {
    const { head, tail, size } = this.ring;
    return [head - tail, size, tail, head][what] ?? 0;
  }

  override dispose(): void {
    this.watchers.close();
  }
}

/** Reads a ring buffer of the machine. */
export class RingSource implements EventSource {
  readonly #store: RingStore;
  readonly #stops = new Set<() => void>();
  #closed = false;

  constructor(store: RingStore) {
    this.#store = store;
  }

  drain(onRecord: RecordCallback, _onLost: LostCallback, most = Number.POSITIVE_INFINITY): number {
    const { ring } = this.#store;
    let count = 0;
    while (count < most && !this.#closed && this.#store.hasData) {
      const at = ring.place(ring.tail);
      const header = ring.view.getUint32(at, true);
      const length = header & LENGTH_MASK;
      // Moved on before the callback: a record whose callback throws counts as read. Its bytes are safe meanwhile, as
      // programs run only when the callback lets them; what they write goes behind.
      ring.tail += roundUp(length + HEADER_BYTES, 8);
      if ((header & DISCARD) !== 0) continue;
      count++;
      onRecord(ring.view, at + HEADER_BYTES, length, null);
    }
    return count;
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
    this.#closed = true;
    for (const stop of [...this.#stops]) stop();
  }
}
