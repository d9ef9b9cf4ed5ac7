import { from, NEVER, Observable, Subject, throwError } from "rxjs";
import { expect, test } from "vitest";
import { UsageError } from "../../../../framework/core/errors.ts";
import { iterate } from "../../../../maps/index.ts";

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

test("a loop gets the items of a stream in order and ends with it", async () => {
  expect(await collect(iterate(from([1, 2, 3])))).toEqual([1, 2, 3]);
});

test("a loop waits for items that come later", async () => {
  const subject = new Subject<number>();
  const items = collect(iterate(subject));
  for (const item of [1, 2]) {
    await null;
    subject.next(item);
  }
  subject.complete();
  expect(await items).toEqual([1, 2]);
});

test("break unsubscribes", async () => {
  let isSubscribed = false;
  const source = new Observable<number>((subscriber) => {
    isSubscribed = true;
    subscriber.next(1);
    return () => {
      isSubscribed = false;
    };
  });
  for await (const item of iterate(source)) {
    expect([item, isSubscribed]).toEqual([1, true]);
    break;
  }
  expect(isSubscribed).toBe(false);
});

test("an error of the stream is thrown after the items that came before it", async () => {
  const source = new Observable<number>((subscriber) => {
    subscriber.next(1);
    subscriber.error(new RangeError("late"));
  });
  const seen: number[] = [];
  const loop = async (): Promise<void> => {
    for await (const item of iterate(source)) seen.push(item);
  };
  await expect(loop()).rejects.toThrow("late");
  expect(seen).toEqual([1]);
});

test("an error rejects a loop that waits", async () => {
  const iterator = iterate(throwError(() => new RangeError("now")))[Symbol.asyncIterator]();
  await expect(iterator.next()).rejects.toThrow("now");
  expect(await iterator.next()).toEqual({ value: undefined, done: true });
});

test.each([
  ["drop-oldest", [3, 4, 5]],
  ["drop-newest", [1, 2, 3]],
] as const)("with %s a queue that is full keeps %j of five and counts the others", async (overflow, kept) => {
  const stream = iterate(from([1, 2, 3, 4, 5]), { limit: 3, overflow });
  expect(await collect(stream)).toEqual(kept);
  expect(stream.dropped).toBe(2);
});

test("a queue that is just full drops nothing", async () => {
  const stream = iterate(from([1, 2, 3]), { limit: 3, overflow: "error" });
  expect(await collect(stream)).toEqual([1, 2, 3]);
  expect(stream.dropped).toBe(0);
});

test("with error a full queue ends the loop after what it holds", async () => {
  const seen: number[] = [];
  const loop = async (): Promise<void> => {
    for await (const item of iterate(from([1, 2, 3, 4]), { limit: 3, overflow: "error" })) seen.push(item);
  };
  await expect(loop()).rejects.toThrow(UsageError);
  expect(seen).toEqual([1, 2, 3]);
});

test("a queue stays in order over many more items than its limit", async () => {
  const subject = new Subject<number>();
  const iterator = iterate(subject, { limit: 10 })[Symbol.asyncIterator]();
  const taken: unknown[] = [];
  for (let i = 0; i < 100; i++) {
    subject.next(2 * i);
    subject.next(2 * i + 1);
    taken.push((await iterator.next()).value);
  }
  const expected = Array.from({ length: 100 }, (_, i) => (i < 9 ? i : 2 * i - 8));
  expect(taken).toEqual(expected);
});

test("aborting throws the signal's reason, also for a signal that was aborted before", async () => {
  const controller = new AbortController();
  const items = collect(iterate(NEVER, { signal: controller.signal }));
  controller.abort(new RangeError("enough"));
  await expect(items).rejects.toThrow("enough");
  await expect(collect(iterate(NEVER, { signal: controller.signal }))).rejects.toThrow("enough");
});

test.each([0, -1, 1.5, Number.NaN])("a limit of %d is refused", (limit) => {
  expect(() => iterate(NEVER, { limit })).toThrow(UsageError);
});
