import type { Observable } from "rxjs";
import { UnsupportedError, UsageError } from "../../framework/core/errors.ts";
import { viewOf } from "../../framework/core/layout.ts";
import type { CounterOptions, Counters, EventOptions, EventSource } from "../../framework/runtime/types.ts";
import type { EventView } from "../codecs/event-view.ts";
import type { BufferGroup } from "./buffers.ts";
import type { EventDecoding, RecordDecoder } from "./event-decoder.ts";
import { EventFeed } from "./event-feed.ts";
import { type Loss, type LossCount, Losses } from "./losses.ts";
import { Slab } from "./slab.ts";
import type { EventStreamOptions } from "./stream-factory.ts";
import { Table, type TableParts } from "./table.ts";

/** What a table of events is made of. */
export interface EventParts extends TableParts {
  readonly decoding: EventDecoding;
  readonly openEvents: (options: EventOptions) => EventSource;
  /** The groups that BCC's poll methods work on. */
  readonly buffers: EventBuffers;
  /** Ring buffers: records dropped so far, one total per CPU; the kernel does not count them. */
  readonly drops?: (() => readonly bigint[]) | undefined;
  /** Puts perf counters into the map, where the runtime has any. */
  readonly openCounters?: ((options: CounterOptions) => Counters) | undefined;
}

/** A BPF object's buffers that were opened with callbacks. */
export interface EventBuffers {
  readonly perf: BufferGroup;
  readonly ring: BufferGroup;
}

/** `data` is a copy that `event` decodes; `size` its length. */
export type PerfCallback = (cpu: number, data: Uint8Array, size: number) => void;
export type RingCallback<C> = (ctx: C, data: Uint8Array, size: number) => void;

/** Named as in BCC. */
export interface PerfBufferOptions {
  /** Pages per CPU, a power of two; 8 by default. */
  readonly page_cnt?: number | undefined;
  /** Called with the number of records lost. Without it losses are printed to stderr. */
  readonly lost_cb?: ((count: number) => void) | undefined;
  /** Wake this process after so many records; 1 by default. */
  readonly wakeup_events?: number | undefined;
}

/**
 * A table that programs send records through: a perf event array (Linux 4.4) or a ring buffer (5.8).
 *
 * All its readers share one buffer, which is opened for the first. What the last one leaves unread waits for the next. A
 * stream's reader comes and goes with its subscribers, a callback's stays until the BPF object is closed.
 */
export class EventTable<T> extends Table {
  readonly #decoding: EventDecoding;
  readonly #decode: RecordDecoder<T>;
  /** How to decode bytes that were handed to a callback, where they do not show it: the hidden bytes are gone. */
  readonly #variants = new WeakMap<Uint8Array, RecordDecoder<unknown>>();
  readonly #losses = new Losses();
  readonly #feed: EventFeed;
  readonly #buffers: EventBuffers;

  readonly #openCounters: ((options: CounterOptions) => Counters) | undefined;

  constructor(parts: EventParts) {
    super(parts);
    this.#openCounters = parts.openCounters && ((options) => parts.scope.own(parts.openCounters!(options)));
    this.#decoding = parts.decoding;
    // The caller says which type the events are of.
    this.#decode = parts.decoding.decode as RecordDecoder<T>;
    this.#buffers = parts.buffers;
    this.#feed = new EventFeed(this.name, {
      open: (options) => {
        this.assertOpen();
        return parts.openEvents(options);
      },
      losses: this.#losses,
      drops: parts.drops,
    });
    parts.scope.own(this.#losses);
    parts.scope.own(this.#feed);
  }

  /**
   * Decodes a record's bytes: those that a callback was given, not a copy of them, where several types share the buffer.
   * @throws LayoutError when they are too few for the type
   */
  event(data: Uint8Array): T {
    const { hidden, variant } = this.#decoding;
    if (hidden === 0 || variant === undefined) return this.#decode(viewOf(data), 0, data.length);
    const decode = this.#variants.get(data);
    if (decode !== undefined) return decode(viewOf(data), 0, data.length) as T;
    throw new UsageError(
      `event on "${this.name}": only the bytes that a callback was given tell their type`,
      {
        hint: "several types share the buffer: pass on the same Uint8Array, or decode in the callback",
      },
    );
  }

  /**
   * Events as they come, decoded; with `type`, only those of one C type. Reading starts with the first subscriber and stops with the last; a record that does
   * not fit its type ends the stream with a LayoutError. Each subscriber gets objects of its own.
   */
  events<E = T>(options: EventStreamOptions = {}): Observable<E> {
    return this.streams.events(this.#feed, this.#decoderFor<E>(options), checked(options));
  }

  /** The same events, one array for each time the buffer was read: for work that is cheaper in bulk. */
  eventBatches<E = T>(options: EventStreamOptions = {}): Observable<readonly E[]> {
    return this.streams.batches(this.#feed, this.#decoderFor<E>(options), checked(options));
  }

  /**
   * Views of the events: read in place, without copying, each field when it is asked for. A view is good during the
   * callback that gets it; afterwards its fields throw a ClosedError. `copyOfView` makes an event to keep of it.
   *
   * @throws UsageError when the events are no structs
   */
  eventViews<E = T>(options: EventStreamOptions = {}): Observable<EventView<E>> {
    return this.streams.views(this.#feed, this.#decoding.views(options.type), checked(options));
  }

  /** How many events came, one number each time the buffer was read: for rates, at a fraction of decoding's cost. */
  eventCounts(options: EventStreamOptions = {}): Observable<number> {
    return this.streams.counts(this.#feed, checked(options));
  }

  #decoderFor<E>({ type }: EventStreamOptions): RecordDecoder<E> {
    const decode = type === undefined ? this.#decoding.decode : this.#decoding.only(type);
    return decode as RecordDecoder<E>;
  }

  /**
   * Losses from now on: records that found the buffer full, and those that the queue of a loop dropped. Listening does
   * not open the buffer, but somebody who listens stops the printing to stderr.
   */
  get lost(): Observable<Loss> {
    return this.streams.losses(this.#losses);
  }

  /**
   * Records that found the buffer full, since the table was made. Of a perf buffer those that came while it was open;
   * the kernel tells of the last ones with the next record, or here and when the buffer is closed (Linux 6.0).
   */
  get lostTotal(): number {
    this.#feed.countLosses();
    return this.#losses.total("buffer");
  }

  /** All losses since the table was made, for each reason and CPU. */
  get lostCounts(): readonly LossCount[] {
    this.#feed.countLosses();
    return this.#losses.counts;
  }

  /**
   * Opens a perf buffer on each CPU. The callback is called from `perf_buffer_poll` and `perf_buffer_consume`, and may
   * pass `data` on: it is a copy.
   */
  open_perf_buffer(callback: PerfCallback, options: PerfBufferOptions = {}): void {
    this.#assertKind("perf_event_array", "open_perf_buffer", "open_ring_buffer(callback)");
    const { page_cnt, lost_cb, wakeup_events } = options;
    const sizes = checked({ pages: page_cnt, wakeupEvents: wakeup_events });
    this.#openPulled(this.#buffers.perf, sizes, (data, cpu) => callback(cpu ?? 0, data, data.length));
    if (lost_cb !== undefined)
      this.#losses.listen(({ count, reason }) => reason === "buffer" && lost_cb(count));
  }

  /**
   * Opens the ring buffer. The callback is called from `ring_buffer_poll` and `ring_buffer_consume`, with `ctx` as its
   * first argument, and may pass `data` on: it is a copy.
   */
  open_ring_buffer(callback: RingCallback<undefined>): void;
  open_ring_buffer<C>(callback: RingCallback<C>, ctx: C): void;
  open_ring_buffer<C>(callback: RingCallback<C | undefined>, ctx?: C): void {
    this.#assertKind("ringbuf", "open_ring_buffer", "open_perf_buffer(callback)");
    this.#openPulled(this.#buffers.ring, {}, (data) => callback(ctx, data, data.length));
  }

  /**
   * Puts a counter for each CPU into the table (4.3), which programs read with `perf_read` and `perf_counter_value`.
   * `typ` and `config` are as for `attach_perf_event`. Counts everybody, or one thread; on all CPUs, or one. The counters
   * stay until what is returned is disposed, or the BPF object is closed; `values()` reads them from here.
   *
   * @throws UnsupportedError for a counter that this machine lacks
   */
  open_perf_event(typ: number, config: number | bigint, pid = -1, cpu = -1): Counters {
    this.assertOpen();
    this.#assertKind("perf_event_array", "open_perf_event", "BPF_PERF_ARRAY");
    if (this.#openCounters === undefined) {
      throw new UnsupportedError(`open_perf_event on "${this.name}": the machine has no perf counters`, {
        hint: 'use { runtime: "kernel" } with the privileges it needs',
      });
    }
    return this.#openCounters({ type: typ, config, pid, cpu });
  }

  #openPulled(
    group: BufferGroup,
    sizes: EventStreamOptions,
    deliver: (data: Uint8Array, cpu: number | null) => void,
  ): void {
    this.assertOpen();
    const buffer = new PulledReader(this.#feed, deliver, this.#decoding, this.#variants);
    buffer.start(sizes);
    group.add(buffer);
  }

  #assertKind(kind: "perf_event_array" | "ringbuf", method: string, instead: string): void {
    if (this.kind === kind) return;
    throw new UsageError(`${method} on "${this.name}": it is a ${this.kind}`, { hint: `use ${instead}` });
  }
}

/** What `BPF_PERF_ARRAY` declares: a table that holds counters, and that no records come through. */
export type CounterTable = Table & Pick<EventTable<never>, "open_perf_event">;

/** A callback reader of a feed. Only those who consume may get its exceptions; others' are kept for the next consume. */
class PulledReader {
  readonly #feed: EventFeed;
  readonly #deliver: (data: Uint8Array, cpu: number | null) => void;
  readonly #decoding: EventDecoding;
  readonly #variants: WeakMap<Uint8Array, RecordDecoder<unknown>>;
  readonly #copies = new Slab();
  #isConsuming = false;
  #failures: unknown[] = [];

  constructor(
    feed: EventFeed,
    deliver: (data: Uint8Array, cpu: number | null) => void,
    decoding: EventDecoding,
    variants: WeakMap<Uint8Array, RecordDecoder<unknown>>,
  ) {
    this.#feed = feed;
    this.#deliver = deliver;
    this.#decoding = decoding;
    this.#variants = variants;
  }

  start(sizes: EventStreamOptions): void {
    const keep = (error: unknown): void => {
      this.#failures.push(error);
    };
    const { hidden, variant } = this.#decoding;
    this.#feed.listen(
      {
        record: (view, at, length, cpu) => {
          const data = this.#copies.copy(view, at + hidden, length - hidden);
          if (variant !== undefined) this.#variants.set(data, variant(view, at, length));
          if (this.#isConsuming) return this.#deliver(data, cpu);
          try {
            this.#deliver(data, cpu);
          } catch (error) {
            keep(error);
          }
        },
        failed: keep,
        closed: () => {},
      },
      { ...sizes, mode: "pull" },
    );
  }

  consume(most?: number): number {
    if (this.#failures.length > 0) throw this.#failures.shift();
    this.#isConsuming = true;
    try {
      return this.#feed.consume(most);
    } finally {
      this.#isConsuming = false;
    }
  }

  watch(onReady: () => void): () => void {
    return this.#feed.watch(onReady);
  }
}

function checked(options: EventStreamOptions): EventStreamOptions {
  const { pages, wakeupEvents } = options;
  if (pages !== undefined && !(Number.isInteger(pages) && pages > 0 && Number.isInteger(Math.log2(pages)))) {
    throw new UsageError(`a perf buffer's pages must be a power of two, not ${pages}`);
  }
  if (wakeupEvents !== undefined && !(Number.isInteger(wakeupEvents) && wakeupEvents > 0)) {
    throw new UsageError(
      `a perf buffer wakes up after a whole number of records from 1, not ${wakeupEvents}`,
    );
  }
  return options;
}
