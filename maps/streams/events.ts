import type { Observable, Subscriber } from "rxjs";
import { type EventView, Lease } from "../codecs/event-view.ts";
import { type RecordDecoder, type RecordViewer, skipped } from "../tables/event-decoder.ts";
import type { EventFeed, RecordListener } from "../tables/event-feed.ts";
import type { Loss, Losses } from "../tables/losses.ts";
import type { EventStreamOptions } from "../tables/stream-factory.ts";
import { withOrigin } from "./origin.ts";
import { rx } from "./rx.ts";
import { until } from "./signal.ts";

/**
 * Events as they come, decoded.
 *
 * Hot: all subscribers of a table share its one reader, which the first one starts and the last one stops. Every
 * subscriber decodes for itself, so that a record that does not fit ends only the streams that meet it, and nobody can
 * change another's event. Decoding comes before `next`, so no subscriber ever holds the buffer's memory.
 *
 * Completes when the table is closed or the signal aborted.
 */
export function eventStream<T>(
  feed: EventFeed,
  decode: RecordDecoder<T>,
  options: EventStreamOptions,
): Observable<T> {
  let sender: number | null = null;
  const stream = new (rx().Observable)<T>((subscriber) => {
    listen(feed, subscriber, options, {
      record(view, at, length, cpu) {
        sender = cpu;
        let event: T;
        try {
          event = decode(view, at, length);
        } catch (error) {
          subscriber.error(error);
          return;
        }
        if (event !== skipped) subscriber.next(event);
      },
    });
  });
  return withOrigin(until(stream, options.signal), {
    cpu: () => sender,
    records: () => 1,
    dropped: (records, cpu) => feed.dropped(records, cpu),
    isLent: false,
  });
}

/** The same events in arrays: what was waiting each time the buffer was read, at most one turn's worth. */
export function eventBatches<T>(
  feed: EventFeed,
  decode: RecordDecoder<T>,
  options: EventStreamOptions,
): Observable<readonly T[]> {
  const stream = new (rx().Observable)<readonly T[]>((subscriber) => {
    let batch: T[] = [];
    let count = 0;
    const hand = (): void => {
      if (count === 0) return;
      const full = batch;
      full.length = count;
      batch = new Array(count);
      count = 0;
      subscriber.next(full);
    };
    listen(feed, subscriber, options, {
      record(view, at, length) {
        if (subscriber.closed) return;
        try {
          const event = decode(view, at, length);
          if (event !== skipped) batch[count++] = event;
        } catch (error) {
          hand();
          subscriber.error(error);
        }
      },
      drained: hand,
    });
  });
  return withOrigin(until(stream, options.signal), {
    cpu: () => null,
    records: (batch) => batch.length,
    dropped: (records, cpu) => feed.dropped(records, cpu),
    isLent: false,
  });
}

/**
 * Views of the events, good during `next` only: nothing is decoded but the fields that are read. A view is an object of
 * its own, so that one which was kept refuses instead of showing another event.
 */
export function eventViews<E>(
  feed: EventFeed,
  make: RecordViewer,
  options: EventStreamOptions,
): Observable<EventView<E>> {
  const stream = new (rx().Observable)<EventView<E>>((subscriber) => {
    const lease = new Lease();
    // Also ends what is lent when the subscriber leaves, or the buffer closes, in the middle of its callback.
    subscriber.add(() => lease.end());
    listen(feed, subscriber, options, {
      record(view, at, length) {
        if (lease.view !== view) lease.view = view;
        try {
          const event = make(lease, at, length);
          // The caller says which type the events are of.
          if (event !== skipped) subscriber.next(event as EventView<E>);
        } catch (error) {
          subscriber.error(error);
        } finally {
          lease.end();
        }
      },
    });
  });
  return withOrigin(until(stream, options.signal), {
    cpu: () => null,
    records: () => 1,
    dropped: (records, cpu) => feed.dropped(records, cpu),
    isLent: true,
  });
}

/** How many events came, one number each time the buffer was read. Nothing is decoded. */
export function eventCounts(feed: EventFeed, options: EventStreamOptions): Observable<number> {
  const stream = new (rx().Observable)<number>((subscriber) => {
    let count = 0;
    listen(feed, subscriber, options, {
      record() {
        count++;
      },
      drained() {
        const counted = count;
        count = 0;
        if (counted > 0) subscriber.next(counted);
      },
    });
  });
  return withOrigin(until(stream, options.signal), {
    cpu: () => null,
    records: (records) => records,
    dropped: (records, cpu) => feed.dropped(records, cpu),
    isLent: false,
  });
}

/** Losses as they are noticed. */
export function lossStream(losses: Losses): Observable<Loss> {
  return new (rx().Observable)<Loss>((subscriber) => losses.listen((loss) => subscriber.next(loss)));
}

function listen(
  feed: EventFeed,
  subscriber: Subscriber<never>,
  options: EventStreamOptions,
  listener: Pick<RecordListener, "record" | "drained">,
): void {
  const { pages, wakeupEvents } = options;
  const stop = feed.listen(
    {
      ...listener,
      failed: (error) => subscriber.error(error),
      closed: () => subscriber.complete(),
    },
    { pages, wakeupEvents, mode: "push" },
  );
  subscriber.add(stop);
}
