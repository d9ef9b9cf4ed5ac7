import type { Observable } from "rxjs";
import { rx } from "./rx.ts";

/** What a function makes of each item; items it makes nothing of are left out. */
export function select<T, R>(source: Observable<T>, make: (item: T) => R | undefined): Observable<R> {
  return new (rx().Observable)<R>((subscriber) =>
    source.subscribe({
      next: (item) => {
        const made = make(item);
        if (made !== undefined) subscriber.next(made);
      },
      error: (error) => subscriber.error(error),
      complete: () => subscriber.complete(),
    }),
  );
}
