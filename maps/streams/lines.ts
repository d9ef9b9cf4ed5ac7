import type { Observable } from "rxjs";
import type { TraceSource } from "../../framework/runtime/types.ts";
import { rx } from "./rx.ts";
import { until } from "./signal.ts";

/** Texts read in one turn of the event loop; then timers get theirs. */
const turnReads = 16;

/**
 * The lines of a trace pipe, without their ends. Hot and shared: the pipe gives each line to one reader only, so all
 * subscribers share one, opened for the first and closed with the last. What stands after the last line end waits for
 * the rest of its line.
 */
export function traceLines(
  open: () => TraceSource,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Observable<string> {
  const lines = new (rx().Observable)<string>((subscriber) => {
    const source = open();
    let rest = "";
    let turn: NodeJS.Immediate | undefined;
    const read = (): void => {
      turn = undefined;
      try {
        for (let i = 0; i < turnReads; i++) {
          const text = source.read();
          if (text === "") return;
          const parts = (rest + text).split("\n");
          rest = parts.pop() ?? "";
          for (const line of parts) {
            subscriber.next(line);
            if (subscriber.closed) return;
          }
        }
        turn = setImmediate(read);
      } catch (error) {
        subscriber.error(error);
      }
    };
    subscriber.add(() => {
      if (turn !== undefined) clearImmediate(turn);
      source[Symbol.dispose]();
    });
    source.watch(() => {
      if (turn === undefined) read();
    });
  }).pipe(rx().share());
  return until(lines, options.signal);
}
