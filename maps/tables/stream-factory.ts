import type { Observable, SchedulerLike } from "rxjs";
import type { DecodedVisitor } from "../codecs/entry-reader.ts";
import type { EventView } from "../codecs/event-view.ts";
import type { RecordDecoder, RecordViewer } from "./event-decoder.ts";
import type { EventFeed } from "./event-feed.ts";
import type { Loss, Losses } from "./losses.ts";

/**
 * Makes the Observables that tables hand out.
 *
 * Users write `table.events()`, so the method is the table's; but tables are a layer below streams, and only streams
 * touch rxjs. So a table is given this factory when it is opened, and knows no more of streams than these signatures;
 * maps/index.ts passes in the one from maps/streams.
 */
export interface StreamFactory {
  events<T>(feed: EventFeed, decode: RecordDecoder<T>, options: EventStreamOptions): Observable<T>;
  batches<T>(
    feed: EventFeed,
    decode: RecordDecoder<T>,
    options: EventStreamOptions,
  ): Observable<readonly T[]>;
  views<E>(feed: EventFeed, make: RecordViewer, options: EventStreamOptions): Observable<EventView<E>>;
  counts(feed: EventFeed, options: EventStreamOptions): Observable<number>;
  losses(losses: Losses): Observable<Loss>;
  snapshots<K, V>(
    table: EntrySource<K, V>,
    periodMs: number,
    options: PeriodOptions,
  ): Observable<ReadonlyMap<K, V>>;
  pressure(table: PressureSource, periodMs: number, options: PeriodOptions): Observable<Pressure>;
  changes<K, V>(table: EntrySource<K, V>, periodMs: number, options: PeriodOptions): Observable<Change<K, V>>;
}

/** How a stream of events reads its buffer. The sizes count when the stream is the one that opens it. */
export interface EventStreamOptions {
  /** Only events of this C type, as in "struct exec_t", where programs submit several. */
  readonly type?: string | undefined;
  /** Perf buffer: pages per CPU, a power of two; 8 by default. */
  readonly pages?: number | undefined;
  /** Perf buffer: wake this process after so many records; 1 by default. */
  readonly wakeupEvents?: number | undefined;
  /** Completes the stream when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** How a periodic stream runs. */
export interface PeriodOptions {
  /** Completes the stream when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Where time comes from; rxjs' asyncScheduler by default. */
  readonly scheduler?: SchedulerLike | undefined;
}

/** How full a table is. */
export interface Pressure {
  /**
   * Entries there are. Arrays are always full. LRU tables refuse nothing: they drop old entries to make room, and begin with
   * that before they are full.
   */
  readonly entries: number;
  /** Entries that fit; 0 where the map states no size. */
  readonly maxEntries: number;
  /** From 0, empty, to 1, full. */
  readonly share: number;
  /** The table's `failedUpdates`: undefined unless programs count them. */
  readonly failedUpdates: number | undefined;
}

/** A table that can tell how full it is. */
export interface PressureSource {
  readonly name: string;
  pressureNow(): Pressure;
  /** Calls the listener when the table is closed, unless the returned function is called first. */
  onClose(listener: () => void): () => void;
}

/** What happened to one key between two looks at a table. */
export type Change<K, V> =
  | {
      readonly type: "set";
      readonly key: K;
      readonly value: V /** undefined for a new key */;
      readonly previous: V | undefined;
    }
  | { readonly type: "delete"; readonly key: K; readonly value: undefined; readonly previous: V };

/** A table whose entries can be read as bytes and decoded one by one. */
export interface EntrySource<K, V> {
  readonly name: string;
  /** Bytes of a key. */
  readonly keySize: number;
  /** Calls `visit` for each entry. The bytes are valid only during the call. */
  readEntries(visit: (key: Uint8Array, value: Uint8Array) => void): void;
  /** The same, decoded. */
  readDecoded(visit: DecodedVisitor<K, V>): void;
  decodeKey(bytes: Uint8Array): K;
  decodeValue(bytes: Uint8Array): V;
  /** @throws LayoutError when the key does not fit its type */
  encodeKey(key: K): Uint8Array;
  /** Calls the listener when the table is closed, unless the returned function is called first. */
  onClose(listener: () => void): () => void;
}
