import type { Observable } from "rxjs";

/** What a queue behind a stream of events needs to know, to count what it drops. */
export interface Origin<T> {
  /** The CPU that sent the item which is being handed out; null where that is not known. */
  readonly cpu: () => number | null;
  /** How many records an item is. */
  readonly records: (item: T) => number;
  /** Takes what was dropped. */
  readonly dropped: (records: number, cpu: number | null) => void;
  /** Whether items are good during the callback only, so that they cannot be queued. */
  readonly isLent: boolean;
}

const origins = new WeakMap<Observable<unknown>, Origin<never>>();

/** The same stream, of which is known now where it comes from. */
export function withOrigin<T>(stream: Observable<T>, origin: Origin<T>): Observable<T> {
  origins.set(stream, origin);
  return stream;
}

/** Where a stream comes from; undefined for streams that are not a table's own, also for what operators made of one. */
export function originOf<T>(stream: Observable<T>): Origin<T> | undefined {
  // Was put there with a stream of these items.
  return origins.get(stream) as Origin<T> | undefined;
}
