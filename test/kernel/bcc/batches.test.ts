import { beforeEach, describe, expect, test } from "vitest";
import { LayoutError, MapError, UsageError } from "../../../framework/index.ts";
import { possibleCpus } from "../../../framework/sys/proc.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const ENTRIES = 20_000;
const KINDS = ["hash", "lru_hash", "percpu_hash"] as const;

describe("BCC's batch calls", () => {
  beforeEach((context) => needsKernel(context));

  const keys = Array.from({ length: ENTRIES }, (_, i) => i * 7);
  const valueFor = (kind: string, key: number): unknown =>
    kind === "percpu_hash" ? possibleCpus().map((_, cpu) => BigInt(key + cpu)) : BigInt(key * 3);

  const filled = (kind: (typeof KINDS)[number]) => {
    const b = open(`BPF_TABLE("${kind}", u32, u64, t, ${ENTRIES * 2});`);
    const t = b.get_table<number, unknown>("t");
    t.items_update_batch(
      keys,
      keys.map((key) => valueFor(kind, key)),
    );
    return { b, t };
  };
  const sorted = (items: Iterable<[number, unknown]>) => [...items].sort(([a], [b]) => a - b);
  const expected = (kind: string) => keys.map((key) => [key, valueFor(kind, key)]);

  test.each(KINDS)("%s: what a batch wrote, a batch reads: every entry once", (kind) => {
    const { b, t } = filled(kind);
    using _ = b;
    expect(sorted(t.items_lookup_batch())).toEqual(expected(kind));
  });

  test.each(KINDS)(
    "%s: items_lookup_and_delete_batch gives every entry once and empties the table",
    (kind) => {
      const { b, t } = filled(kind);
      using _ = b;
      expect(sorted(t.items_lookup_and_delete_batch())).toEqual(expected(kind));
      expect(t.items()).toEqual([]);
    },
  );

  test.each(KINDS)("%s: items_delete_batch deletes the given keys, whether or not all are there", (kind) => {
    const { b, t } = filled(kind);
    using _ = b;
    // Absent keys among present ones: the kernel stops a batch at the first of them.
    const gone = keys.flatMap((key, i) => (i % 2 === 0 ? [key, key + 1] : []));
    t.items_delete_batch(gone);
    expect(sorted(t.items())).toEqual(expected(kind).filter((_, i) => i % 2 === 1));
    t.items_delete_batch();
    expect(t.items()).toEqual([]);
  });

  test("items_lookup_batch reads a batch when the loop comes to it", () => {
    using b = open("BPF_ARRAY(t, u32, 200000);");
    const t = b.get_table<number, number>("t");
    const late: number[] = [];
    for (const [index, value] of t.items_lookup_batch()) {
      if (index === 0) t.set(199_999, 5);
      if (index === 199_999) late.push(value);
    }
    expect(late).toEqual([5]);
  });

  test("an array is written in batches and made zero where it cannot be emptied", () => {
    using b = open(`BPF_ARRAY(t, u32, ${ENTRIES});`);
    const t = b.get_table<number, number>("t");
    const indexes = Array.from({ length: ENTRIES }, (_, i) => i);
    t.items_update_batch(
      indexes,
      indexes.map((i) => i + 1),
    );
    expect(t.values()).toEqual(indexes.map((i) => i + 1));
    t.items_delete_batch([0, -1]);
    expect([t.get(0), t.get(1), t.get(-1)]).toEqual([0, 2, 0]);
    expect([...t.items_lookup_and_delete_batch()]).toHaveLength(ENTRIES);
    expect(t.values()).toEqual(indexes.map(() => 0));
  });

  test("a prefix tree, whose batches are the kernel's generic ones, takes part", () => {
    using b = open(`
      struct prefix { u32 length; u32 address; };
      BPF_LPM_TRIE(t, struct prefix, u64, 1000);`);
    const t = b.get_table<{ length: number; address: number }, bigint>("t");
    const prefixes = Array.from({ length: 600 }, (_, i) => ({ length: 32, address: i }));
    t.items_update_batch(
      prefixes,
      prefixes.map(({ address }) => BigInt(address)),
    );
    const read = [...t.items_lookup_batch()].map(([{ address }, value]) => [address, value]);
    expect(read.sort(([a], [b]) => Number(a) - Number(b))).toEqual(prefixes.map((_, i) => [i, BigInt(i)]));
    t.items_delete_batch(prefixes.slice(0, 599));
    expect(t.items()).toEqual([[{ length: 32, address: 599 }, 599n]]);
  });

  test("a batch that does not fit writes what does, and says which table is full", () => {
    using b = open("BPF_HASH(t, u32, u64, 100);");
    const t = b.get_table<number, bigint>("t");
    const many = Array.from({ length: 101 }, (_, i) => i);
    const error = failure(MapError, () => t.items_update_batch(many, many.map(BigInt)));
    expect([error.code, error.message]).toEqual(["MAP_FULL", 'table "t" is full (100 entries)']);
    expect(t.size).toBe(100);
  });

  test("a value that does not fit its type writes nothing", () => {
    using b = open("BPF_HASH(t, u32, u8, 100);");
    const t = b.get_table<number, number>("t");
    expect(() => t.items_update_batch([1, 2], [1, 256])).toThrow(LayoutError);
    expect(() => t.items_update_batch([1, 2], [1])).toThrow(UsageError);
    expect(t.size).toBe(0);
  });
});
