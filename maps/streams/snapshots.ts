import type { Observable } from "rxjs";
import { UsageError } from "../../framework/core/errors.ts";
import type {
  Change,
  EntrySource,
  PeriodOptions,
  Pressure,
  PressureSource,
} from "../tables/stream-factory.ts";
import { rx } from "./rx.ts";
import { until } from "./signal.ts";

/**
 * A table's whole contents, at once and then every `periodMs`. Each subscriber has its own clock. In the maps it gives,
 * keys that are objects are found by their contents: `snapshot.get({ pid: 1 })` works. Completes when the table is
 * closed or the signal aborted.
 */
export function snapshots<K, V>(
  table: EntrySource<K, V>,
  periodMs: number,
  options: PeriodOptions = {},
): Observable<ReadonlyMap<K, V>> {
  return everyPeriod(table, periodMs, options, () => {
    const size = table.keySize;
    const look = (): ReadonlyMap<K, V> => {
      // Keys that are no objects are compared by a Map as the table compares them.
      const plain = new Map<K, V>();
      let snapshot: Snapshot<K, V> | undefined;
      table.readDecoded((key, value, keys, at) => {
        if (typeof key !== "object") {
          plain.set(key, value);
          return;
        }
        snapshot ??= new Snapshot<K, V>(table);
        snapshot.addEncoded(textAt(keys, at, size), key, value);
      });
      return snapshot ?? plain;
    };
    return (emit) => emit(look());
  });
}

/**
 * What changed in a table since the last look, every `periodMs`; the first look, at once, reports all entries as set.
 * Entries are compared as bytes. Changes between two looks that cancel out are not seen.
 */
export function changes<K, V>(
  table: EntrySource<K, V>,
  periodMs: number,
  options: PeriodOptions = {},
): Observable<Change<K, V>> {
  return everyPeriod(table, periodMs, options, () => {
    let before = new Map<string, Seen<K, V>>();
    return (emit) => {
      const now = new Map<string, Seen<K, V>>();
      const found: Change<K, V>[] = [];
      table.readEntries((keyBytes, valueBytes) => {
        const id = textOf(keyBytes);
        const bytes = textOf(valueBytes);
        const old = before.get(id);
        if (old?.bytes === bytes) {
          now.set(id, old);
          return;
        }
        const key = old?.key ?? table.decodeKey(keyBytes);
        const value = table.decodeValue(valueBytes);
        now.set(id, { key, value, bytes });
        found.push({ type: "set", key, value, previous: old?.value });
      });
      for (const [id, { key, value }] of before) {
        if (!now.has(id)) found.push({ type: "delete", key, value: undefined, previous: value });
      }
      before = now;
      for (const change of found) emit(change);
    };
  });
}

/** How full a table is, at once and then every `periodMs`. */
export function pressure(
  table: PressureSource,
  periodMs: number,
  options: PeriodOptions = {},
): Observable<Pressure> {
  return everyPeriod(table, periodMs, options, () => (emit) => emit(table.pressureNow()));
}

interface Seen<K, V> {
  readonly key: K;
  readonly value: V;
  readonly bytes: string;
}

/** A Map whose object keys are compared as the table compares them: by their bytes. */
class Snapshot<K, V> extends Map<K, V> {
  readonly #table: EntrySource<K, V>;
  readonly #keys = new Map<string, K>();

  constructor(table: EntrySource<K, V>) {
    super();
    this.#table = table;
  }

  /** Adds an entry; one that a walk met twice keeps its place and takes the later value. */
  addEncoded(id: string, key: K, value: V): void {
    const known = this.#keys.get(id);
    if (known === undefined) this.#keys.set(id, key);
    super.set(known ?? key, value);
  }

  override get(key: K): V | undefined {
    return super.get(this.#own(key));
  }

  override has(key: K): boolean {
    return super.has(this.#own(key));
  }

  #own(key: K): K {
    if (typeof key !== "object") return key;
    return this.#keys.get(textOf(this.#table.encodeKey(key))) ?? key;
  }
}

/** Something to look at until it is closed. */
export type Watched = Pick<EntrySource<unknown, unknown>, "name" | "onClose">;

/** Looks at something at once and then every `periodMs`; each subscriber has a clock and a `start` of its own. */
export function everyPeriod<T>(
  watched: Watched,
  periodMs: number,
  options: PeriodOptions,
  start: () => (emit: (item: T) => void) => void,
): Observable<T> {
  if (!Number.isFinite(periodMs) || periodMs <= 0) {
    throw new UsageError(
      `watching "${watched.name}": the period must be a number of milliseconds over 0, not ${periodMs}`,
    );
  }
  const stream = new (rx().Observable)<T>((subscriber) => {
    const look = start();
    subscriber.add(watched.onClose(() => subscriber.complete()));
    subscriber.add(
      rx()
        .timer(0, periodMs, options.scheduler)
        .subscribe(() => {
          try {
            look((item) => subscriber.next(item));
          } catch (error) {
            subscriber.error(error);
          }
        }),
    );
  });
  return until(stream, options.signal);
}

/** Bytes as a string that can be a Map's key. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function textAt({ buffer, byteOffset }: DataView, at: number, size: number): string {
  return Buffer.from(buffer, byteOffset + at, size).toString("latin1");
}
