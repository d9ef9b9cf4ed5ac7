import type { Observable } from "rxjs";
import type { PeriodOptions } from "../tables/stream-factory.ts";
import { rx } from "./rx.ts";
import { until } from "./signal.ts";
import { everyPeriod, type Watched } from "./snapshots.ts";

/** Items given in one turn of the event loop; then timers get theirs. */
const turnItems = 1024;

/** A generator that holds what it reads from until it ends: unsubscribing ends it. */
type Walk<T> = () => Generator<T, void>;

/**
 * The items of a walk. Cold: each subscriber has a walk of its own. Completes at the walk's end, and when what is walked
 * over is closed or the signal aborted.
 */
export function walkStream<T>(
  watched: Watched,
  walk: Walk<T>,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Observable<T> {
  const stream = new (rx().Observable)<T>((subscriber) => {
    const items = walk();
    let turn: NodeJS.Immediate | undefined;
    const go = (): void => {
      turn = undefined;
      try {
        for (let i = 0; i < turnItems; i++) {
          const item = items.next();
          if (item.done === true) return subscriber.complete();
          subscriber.next(item.value);
          if (subscriber.closed) return;
        }
        turn = setImmediate(go);
      } catch (error) {
        subscriber.error(error);
      }
    };
    subscriber.add(() => {
      if (turn !== undefined) clearImmediate(turn);
      items.return();
    });
    subscriber.add(watched.onClose(() => subscriber.complete()));
    go();
  });
  return until(stream, options.signal);
}

/** All items of a walk, at once and then every `periodMs`. Completes as `walkStream` does. */
export function walkSnapshots<T>(
  watched: Watched,
  walk: Walk<T>,
  periodMs: number,
  options: PeriodOptions = {},
): Observable<readonly T[]> {
  return everyPeriod<readonly T[]>(watched, periodMs, options, () => (emit) => emit([...walk()]));
}
