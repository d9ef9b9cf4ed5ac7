import type { Observable } from "rxjs";
import { rx } from "./rx.ts";

/** The same stream, completed when the signal is aborted; at once when it already was. */
export function until<T>(source: Observable<T>, signal: AbortSignal | undefined): Observable<T> {
  if (signal === undefined) return source;
  return new (rx().Observable)<T>((subscriber) => {
    const complete = (): void => subscriber.complete();
    if (signal.aborted) return complete();
    signal.addEventListener("abort", complete, { once: true });
    subscriber.add(() => signal.removeEventListener("abort", complete));
    source.subscribe(subscriber);
  });
}
