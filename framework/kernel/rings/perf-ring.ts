import { Scope } from "../../core/scope.ts";
import type { LostCallback, RecordCallback } from "../../runtime/types.ts";
import type { Fd } from "../../sys/fd.ts";
import { libc } from "../../sys/libc.ts";
import { Mapping } from "../../sys/mmap.ts";
import {
  PERF_COUNT_SW_BPF_OUTPUT,
  PERF_RECORD_LOST,
  PERF_RECORD_SAMPLE,
  PERF_SAMPLE_RAW,
  PERF_TYPE_SOFTWARE,
  perfEventHeader,
  perfMmapPage,
  perfRecordLost,
} from "../../uapi/perf-event.ts";
import { enable, openPerfEvent } from "../perf-events.ts";

// Numbers of this file's own: loaders that compile imports to getters would make each use per record a call.
const SAMPLE = PERF_RECORD_SAMPLE;
const LOST = PERF_RECORD_LOST;
const HEADER_BYTES = perfEventHeader.size;
const SIZE_AT = perfEventHeader.offsets.size;

/** The longest record: its size is 16 bits. */
const LONGEST_RECORD = 65536;

/** How one CPU's ring is opened. */
export interface PerfRingOptions {
  readonly cpu: number;
  readonly pages: number;
  readonly wakeupEvents: number;
}

/**
 * The ring that bpf_perf_event_output fills on one CPU (kernel/events/ring_buffer.c): a page of positions, then the
 * data. A record may wrap around the end; then it is put together in a buffer beside.
 */
export class PerfRing implements Disposable {
  readonly cpu: number;
  readonly #scope: Scope;
  readonly #event: Fd;
  readonly #view: DataView;
  readonly #positions: BigInt64Array;
  readonly #dataAt: number;
  readonly #size: number;
  readonly #beside: Uint8Array;
  readonly #besideView: DataView;
  /** Where reading stands, modulo 2^32: no ring is larger. */
  #tail = 0;
  #closed = false;

  /** @throws SyscallError to be wrapped by the caller: ENODEV when the CPU went offline */
  constructor(label: string, options: PerfRingOptions) {
    const { cpu, pages, wakeupEvents } = options;
    const page = libc().getpagesize();
    this.cpu = cpu;
    this.#scope = new Scope(label);
    try {
      this.#event = this.#scope.own(openPerfEvent(label, { attr: outputEvent(wakeupEvents), cpu }));
      const wanted = { length: (pages + 1) * page, offset: 0, writable: true };
      const { buffer } = this.#scope.own(new Mapping(this.#event.number, label, wanted));
      enable(this.#event);
      this.#view = new DataView(buffer);
      this.#positions = new BigInt64Array(buffer, 0, page / 8);
    } catch (error) {
      this.#scope[Symbol.dispose]();
      throw error;
    }
    this.#dataAt = page;
    this.#size = pages * page;
    this.#beside = new Uint8Array(LONGEST_RECORD);
    this.#besideView = new DataView(this.#beside.buffer);
  }

  /** The event's descriptor: what the map holds for this CPU, and what becomes readable. */
  get fd(): number {
    return this.#event.number;
  }

  /** Whether drain would find something. */
  get hasData(): boolean {
    return !this.#closed && this.#head() !== this.#tail;
  }

  /** As EventSource.drain, for this CPU's records. Losses do not count as records. */
  drain(onRecord: RecordCallback, onLost: LostCallback, most: number): number {
    if (this.#closed) return 0;
    let count = 0;
    const start = this.#tail;
    try {
      let ready = (this.#head() - start) >>> 0;
      while (ready > 0 && count < most && !this.#closed) {
        const at = this.#dataAt + (this.#tail & (this.#size - 1));
        // Records are multiples of 8 bytes, so a header is always in one piece.
        const type = this.#view.getUint32(at, true);
        const size = this.#view.getUint16(at + SIZE_AT, true);
        const isWhole = at + size <= this.#dataAt + this.#size;
        const view = isWhole ? this.#view : this.#putTogether(at, size);
        this.#tail = (this.#tail + size) >>> 0;
        ready -= size;
        if (this.#handOver(view, isWhole ? at : 0, type, onRecord, onLost)) count++;
      }
    } finally {
      if (this.#tail !== start && !this.#closed) this.#publish();
    }
    return count;
  }

  /** Gives one record to its callback; true for a sample. Kinds that BPF does not write are passed over. */
  #handOver(
    view: DataView,
    at: number,
    type: number,
    onRecord: RecordCallback,
    onLost: LostCallback,
  ): boolean {
    const body = at + HEADER_BYTES;
    if (type === SAMPLE) {
      // PERF_SAMPLE_RAW: the size, then the bytes, whose size includes padding up to a multiple of 8 with the size.
      onRecord(view, body + 4, view.getUint32(body, true), this.cpu);
      return true;
    }
    if (type === LOST) onLost(Number(perfRecordLost.read(view, body).lost), this.cpu);
    return false;
  }

  #putTogether(at: number, size: number): DataView {
    const { buffer } = this.#view;
    const first = this.#dataAt + this.#size - at;
    this.#beside.set(new Uint8Array(buffer, at, first), 0);
    this.#beside.set(new Uint8Array(buffer, this.#dataAt, size - first), first);
    return this.#besideView;
  }

  /** The low half of how far the kernel wrote. */
  #head(): number {
    return Number(BigInt.asUintN(32, Atomics.load(this.#positions, perfMmapPage.data_head / 8)));
  }

  #publish(): void {
    const at = perfMmapPage.data_tail / 8;
    const before = Atomics.load(this.#positions, at);
    const step = BigInt.asUintN(32, BigInt(this.#tail) - before);
    Atomics.store(this.#positions, at, before + step);
  }

  /** Closes the event and its pages. Harmless while `drain` runs. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#scope[Symbol.dispose]();
  }
}

function outputEvent(wakeupEvents: number): Parameters<typeof openPerfEvent>[1]["attr"] {
  return {
    type: PERF_TYPE_SOFTWARE,
    config: PERF_COUNT_SW_BPF_OUTPUT,
    sample_type: PERF_SAMPLE_RAW,
    sample_period: 1n,
    wakeup_events: wakeupEvents,
  };
}
