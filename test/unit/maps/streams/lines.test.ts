import { setTimeout as sleep } from "node:timers/promises";
import { take } from "rxjs";
import { expect, test } from "vitest";
import { PermissionError } from "../../../../framework/core/errors.ts";
import type { TraceSource } from "../../../../framework/runtime/types.ts";
import { traceLines } from "../../../../maps/index.ts";

/** A trace pipe that a test writes to. */
class MemoryTrace implements TraceSource {
  readonly #texts: string[] = [];
  #watcher: (() => void) | undefined;
  disposed = false;

  write(...texts: readonly string[]): void {
    this.#texts.push(...texts);
    this.#watcher?.();
  }

  read(): string {
    return this.#texts.shift() ?? "";
  }

  watch(onReady: () => void): () => void {
    this.#watcher = onReady;
    return () => {
      this.#watcher = undefined;
    };
  }

  [Symbol.dispose](): void {
    this.disposed = true;
    this.#watcher = undefined;
  }
}

test("text becomes lines, wherever it was cut", () => {
  const trace = new MemoryTrace();
  const lines: string[] = [];
  traceLines(() => trace).subscribe((line) => lines.push(line));
  trace.write("one\ntw", "o\n", "thr");
  expect(lines).toEqual(["one", "two"]);
  trace.write("ee\n\n");
  expect(lines).toEqual(["one", "two", "three", ""]);
});

test("subscribers share one pipe, which closes with the last of them", () => {
  const traces: MemoryTrace[] = [];
  const stream = traceLines(() => {
    const trace = new MemoryTrace();
    traces.push(trace);
    return trace;
  });
  const seen: string[] = [];
  const first = stream.subscribe((line) => seen.push(`first ${line}`));
  const second = stream.subscribe((line) => seen.push(`second ${line}`));
  traces[0]!.write("x\n");
  first.unsubscribe();
  expect(traces[0]!.disposed).toBe(false);
  second.unsubscribe();
  expect([traces.length, traces[0]!.disposed, seen]).toEqual([1, true, ["first x", "second x"]]);
  stream.subscribe();
  expect(traces).toHaveLength(2);
});

test("unsubscribing inside a callback stops at that line", () => {
  const trace = new MemoryTrace();
  const lines: string[] = [];
  traceLines(() => trace)
    .pipe(take(1))
    .subscribe((line) => lines.push(line));
  trace.write("one\ntwo\n");
  expect([lines, trace.disposed]).toEqual([["one"], true]);
});

test("much text is read over several turns of the event loop", async () => {
  const trace = new MemoryTrace();
  let count = 0;
  traceLines(() => trace).subscribe(() => count++);
  trace.write(...Array.from({ length: 100 }, () => "x\n"));
  expect(count).toBeLessThan(100);
  while (count < 100) await sleep(1);
});

test("a pipe that cannot be opened is an error of the stream", () => {
  const errors: unknown[] = [];
  traceLines(() => {
    throw new PermissionError("reading the trace pipe needs root");
  }).subscribe({ error: (error) => errors.push(error) });
  expect(errors).toEqual([expect.any(PermissionError)]);
});

test("aborting completes the stream and closes the pipe", () => {
  const trace = new MemoryTrace();
  const controller = new AbortController();
  let isComplete = false;
  traceLines(() => trace, { signal: controller.signal }).subscribe({
    complete: () => {
      isComplete = true;
    },
  });
  controller.abort();
  expect([isComplete, trace.disposed]).toEqual([true, true]);
});
