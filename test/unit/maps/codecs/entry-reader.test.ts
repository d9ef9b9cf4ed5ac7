import { expect, test } from "vitest";
import { u32, u64 } from "../../../../framework/core/layout.ts";
import { type EncodedEntries, entryReader } from "../../../../maps/codecs/entry-reader.ts";

const reader = entryReader<number, bigint>(u32, u64);

/** Entries from the first key up to the one behind the last, each with ten times its key as its value. */
function entries(from: number, to: number): EncodedEntries {
  const count = to - from;
  const keys = new DataView(new ArrayBuffer(count * 4));
  const values = new DataView(new ArrayBuffer(count * 8));
  for (let i = 0; i < count; i++) {
    keys.setUint32(i * 4, from + i, true);
    values.setBigUint64(i * 8, BigInt((from + i) * 10), true);
  }
  return { keys, values, count };
}

/** Gives batches, and tells how many were asked for and whether the end was heard of. */
function source(...batches: readonly EncodedEntries[]) {
  const seen = { asked: 0, ended: false };
  const open = function* (): Generator<EncodedEntries> {
    try {
      for (const batch of batches) {
        seen.asked++;
        yield batch;
      }
    } finally {
      seen.ended = true;
    }
  };
  return { open, seen };
}

test("a walk gives the entries of all batches, also behind an empty one", () => {
  const { open, seen } = source(entries(0, 2), entries(2, 2), entries(2, 5));
  expect([...reader.walk(open)]).toEqual([0, 1, 2, 3, 4].map((key) => [key, BigInt(key * 10)]));
  expect(seen).toEqual({ asked: 3, ended: true });
});

test("a walk reads nothing before its first entry is asked for, and no batch before its turn", () => {
  const { open, seen } = source(entries(0, 2), entries(2, 4));
  const walk = reader.walk(open);
  expect(seen.asked).toBe(0);
  walk.next();
  walk.next();
  expect(seen.asked).toBe(1);
  walk.next();
  expect(seen.asked).toBe(2);
});

test("a loop that is left ends the walk and what it reads from", () => {
  const { open, seen } = source(entries(0, 2), entries(2, 4));
  const walk = reader.walk(open);
  for (const [key] of walk) if (key === 1) break;
  expect(seen).toEqual({ asked: 1, ended: true });
  expect([...walk]).toEqual([]);
});

test("a walk that has ended stays so", () => {
  const walk = reader.walk(source(entries(0, 1)).open);
  expect([...walk]).toEqual([[0, 0n]]);
  expect(walk.next()).toEqual({ value: undefined, done: true });
  expect(walk.next()).toEqual({ value: undefined, done: true });
});

test("append and each give the same entries", () => {
  const appended: [number, bigint][] = [];
  reader.append(entries(3, 6), appended);
  const visited: [number, bigint][] = [];
  reader.each(entries(3, 6), (key, value, keys, at) => {
    expect(keys.getUint32(at, true)).toBe(key);
    visited.push([key, value]);
  });
  expect(appended).toEqual([3, 4, 5].map((key) => [key, BigInt(key * 10)]));
  expect(visited).toEqual(appended);
});
