import { readSync } from "node:fs";
import { Scope } from "../../core/scope.ts";
import type { LostCallback, RecordCallback } from "../../runtime/types.ts";
import { errnoOf } from "../../sys/bpf.ts";
import type { Fd } from "../../sys/fd.ts";
import { libc } from "../../sys/libc.ts";
import { Mapping } from "../../sys/mmap.ts";
import {
  PERF_COUNT_SW_BPF_OUTPUT,
  PERF_FORMAT_LOST,
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
  /** What the kernel's records told of losses, and what was reported in all. */
  #toldLost = 0;
  #reportedLost = 0;
  /** Whether the ring was so full that records may have been lost. */
  #wasCrowded = false;
  readonly #hasLostCount: boolean;
  #suspended = false;
  #closed = false;

  /** @throws SyscallError to be wrapped by the caller: ENODEV when the CPU went offline */
  constructor(label: string, options: PerfRingOptions) {
    const { cpu, pages, wakeupEvents } = options;
    const page = libc().getpagesize();
    this.cpu = cpu;
    this.#scope = new Scope(label);
    try {
      const { event, hasLostCount } = openOutput(label, cpu, wakeupEvents);
      this.#event = this.#scope.own(event);
      this.#hasLostCount = hasLostCount;
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
    this.#suspended = false;
    const start = this.#tail;
    try {
      let ready = (this.#head() - start) >>> 0;
      if (ready > this.#size / 2) this.#wasCrowded = true;
      while (ready > 0 && count < most && !this.#suspended) {
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
    // The kernel tells of a loss with the next record, which may never come.
    if (this.#wasCrowded && count < most && !this.#suspended) this.countLost(onLost);
    return count;
  }

  /** Ends a running drain; what it did not hand over stays. */
  suspend(): void {
    this.#suspended = true;
  }

  /** Reports what was lost since the last record that told (Linux 6.0; before, nothing). */
  countLost(onLost: LostCallback): void {
    if (!this.#hasLostCount || this.#closed) return;
    this.#wasCrowded = false;
    // Of a CPU that went offline there is nothing to read.
    const read = readSync(this.#event.number, lostBytes, 0, lostBytes.length, null);
    if (read < lostBytes.length) return;
    this.#reportLost(Number(lostView.getBigUint64(LOST_AT, true)), onLost);
  }

  #reportLost(total: number, onLost: LostCallback): void {
    const more = total - this.#reportedLost;
    if (more <= 0) return;
    this.#reportedLost = total;
    onLost(more, this.cpu);
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
    if (type === LOST) {
      this.#toldLost += Number(perfRecordLost.read(view, body).lost);
      this.#reportLost(this.#toldLost, onLost);
    }
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
    this.#suspended = true;
    this.#scope[Symbol.dispose]();
  }
}

/** What reading an event gives with PERF_FORMAT_LOST: its count, then its lost records. */
const LOST_AT = 8;
const lostBytes = new Uint8Array(LOST_AT + 8);
const lostView = new DataView(lostBytes.buffer);

/** Opens the event, with a count of its lost records where the kernel has one. */
function openOutput(
  label: string,
  cpu: number,
  wakeupEvents: number,
): { readonly event: Fd; readonly hasLostCount: boolean } {
  const attr = {
    type: PERF_TYPE_SOFTWARE,
    config: PERF_COUNT_SW_BPF_OUTPUT,
    sample_type: PERF_SAMPLE_RAW,
    sample_period: 1n,
    wakeup_events: wakeupEvents,
  };
  try {
    const counting = { ...attr, read_format: PERF_FORMAT_LOST };
    return { event: openPerfEvent(label, { attr: counting, cpu }), hasLostCount: true };
  } catch (error) {
    // An older kernel does not know the format.
    if (errnoOf(error) !== "EINVAL") throw error;
    return { event: openPerfEvent(label, { attr, cpu }), hasLostCount: false };
  }
}
