import { MapError, SyscallError } from "../../core/errors.ts";
import { Scope } from "../../core/scope.ts";
import type { EventSource, LostCallback, RecordCallback } from "../../runtime/types.ts";
import { duplicate, type Fd } from "../../sys/fd.ts";
import { libc } from "../../sys/libc.ts";
import { Mapping } from "../../sys/mmap.ts";
import { watchWithin } from "../../sys/poller.ts";
import { BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ } from "../../uapi/constants.ts";
import type { KernelMap } from "../kernel-map.ts";

// Names of this file's own: loaders that compile imports to getters would make each use in the loop below a call.
const DISCARD = BPF_RINGBUF_DISCARD_BIT;
const HEADER_BYTES = BPF_RINGBUF_HDR_SZ;
/** Length in a record's first word, below its two bits. */
const LENGTH_MASK = DISCARD - 1;

/**
 * Whether a record's bytes must be kept from being read before its header. x86 never reorders loads, and there an
 * atomic load costs as much as the rest of a record.
 */
const NEEDS_ORDER = process.arch !== "x64";

/** Records after which the kernel is told how far reading came, so that it has room to write meanwhile. */
const RECORDS_PER_UPDATE = 512;

/**
 * A ring buffer, read where the kernel writes it (kernel/bpf/ringbuf.c).
 *
 * The map's pages are: the consumer position, which this reader writes; the producer position; then the data, mapped
 * twice in a row so that a record never wraps around. Positions count bytes since the beginning; only their low 32 bits
 * are needed to find a record, since no ring is larger.
 */
export class RingBuffer implements EventSource {
  readonly #fd: Fd;
  readonly #scope: Scope;
  readonly #mask: number;
  readonly #dataAt: number;
  readonly #view: DataView;
  /** The producer's page and the data, as words: the first is the low half of its position. */
  readonly #words: Int32Array;
  readonly #consumer: BigInt64Array;
  /** Where reading stands: the low half of the position, as a signed word, which engines keep unboxed. */
  #low = 0;
  /** The whole position, as last told to the kernel. */
  #position = 0n;
  /** Nobody reads: the map keeps the position, and another reader may move it. */
  #suspended = true;
  #closed = false;

  /** @throws MapError when the pages cannot be mapped */
  constructor(map: KernelMap) {
    const { maxEntries: size, name } = map.spec;
    const page = libc().getpagesize();
    const label = `ring buffer "${name}"`;
    this.#scope = new Scope(`the ${label}`);
    try {
      // Its own descriptor: the event loop must not be left with one that closed together with the table.
      this.#fd = this.#scope.own(duplicate(map.fd, label));
      const own = { length: page, offset: 0, writable: true };
      const rest = { length: page + 2 * size, offset: page, writable: false };
      this.#consumer = new BigInt64Array(
        this.#scope.own(new Mapping(this.#fd.number, label, own)).buffer,
        0,
        1,
      );
      const shared = this.#scope.own(new Mapping(this.#fd.number, label, rest)).buffer;
      this.#words = new Int32Array(shared);
      this.#view = new DataView(shared);
    } catch (cause) {
      this.#scope[Symbol.dispose]();
      if (!(cause instanceof SyscallError)) throw cause;
      throw new MapError("MAP_OPERATION", `cannot open ring buffer "${name}": ${cause.errno}`, { cause });
    }
    this.#mask = size - 1;
    this.#dataAt = page;
  }

  drain(onRecord: RecordCallback, _onLost: LostCallback, most = Number.POSITIVE_INFINITY): number {
    if (this.#closed) return 0;
    if (this.#suspended) this.#resume();
    let total = 0;
    // Ends only when nothing was found after the position had been written back: the kernel wakes no reader whose
    // position, as it sees it, is behind the record being committed.
    for (let before = -1; before !== this.#low && total < most && !this.#suspended; ) {
      before = this.#low;
      total += this.#drainSome(onRecord, Math.min(most - total, RECORDS_PER_UPDATE));
    }
    return total;
  }

  /** Hands over at most so many records, writes the position back and returns how many there were. */
  #drainSome(onRecord: RecordCallback, most: number): number {
    const view = this.#view;
    const words = this.#words;
    const mask = this.#mask;
    const dataAt = this.#dataAt;
    let low = this.#low;
    let count = 0;
    try {
      let ready = (Atomics.load(words, 0) - low) >>> 0;
      while (ready > 0 && count < most) {
        const at = dataAt + (low & mask);
        const header = NEEDS_ORDER ? Atomics.load(words, at >>> 2) : words[at >>> 2]!;
        // Bit 31: the program is still writing this record, and those behind it have to wait.
        if (header < 0) break;
        const length = header & LENGTH_MASK;
        const step = (length + HEADER_BYTES + 7) & ~7;
        ready -= step;
        low = (low + step) | 0;
        // Moved on before the callback: a record whose callback throws counts as read.
        this.#low = low;
        if ((header & DISCARD) !== 0) continue;
        count++;
        onRecord(view, at + HEADER_BYTES, length, null);
        if (this.#suspended) return count;
      }
    } finally {
      this.#publish();
    }
    return count;
  }

  #resume(): void {
    this.#position = Atomics.load(this.#consumer, 0);
    this.#low = Number(BigInt.asIntN(32, this.#position));
    this.#suspended = false;
  }

  /** Tells the kernel how far reading came: the bytes before may be written again. */
  #publish(): void {
    if (this.#suspended) return;
    const step = BigInt.asUintN(32, BigInt(this.#low) - this.#position);
    if (step === 0n) return;
    this.#position += step;
    Atomics.store(this.#consumer, 0, this.#position);
  }

  watch(onReady: () => void): () => void {
    return watchWithin(this.#scope, this.#fd.number, onReady);
  }

  suspend(): void {
    // Also from inside of a callback: what was handed over must not come again to the next reader.
    this.#publish();
    this.#suspended = true;
  }

  [Symbol.dispose](): void {
    this.suspend();
    this.#closed = true;
    this.#scope[Symbol.dispose]();
  }
}
