import { beforeEach, describe, expect, test } from "vitest";
import {
  type AnyTable,
  BpfError,
  ClosedError,
  LayoutError,
  MapError,
  UsageError,
} from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

/** A table of every class, and everything that can be done with it. */
const uses: Readonly<Record<string, readonly ((table: AnyTable<never, never>) => unknown)[]>> = {
  'BPF_TABLE("hash", u32, u32, t, 4);': [
    (t) => t.get(1 as never),
    (t) => t.set(1 as never, 1 as never),
    (t) => t.has(1 as never),
    (t) => t.delete(1 as never),
    (t) => t.size,
    (t) => [...t],
    (t) => [...t.keys()],
    (t) => t.items(),
    (t) => t.values(),
    (t) => t.clear(),
    (t) => t.zero(),
    (t) => [...t.items_lookup_batch()],
    (t) => [...t.items_lookup_and_delete_batch()],
    (t) => t.items_delete_batch([1 as never]),
    (t) => t.items_update_batch([1 as never], [1 as never]),
    (t) => t.print_log2_hist(),
    (t) => t.pop(1 as never),
    (t) => t.next(1 as never),
    (t) => [...t.iteritems()],
    (t) => t.forEach(() => {}),
    (t) => t.pressureNow(),
    (t) => t.failedUpdates,
    (t) => t.readEntries(() => {}),
    (t) => t.map_fd,
    (t) => t.map_id,
    (t) => t.id,
    (t) => t.pin("/sys/fs/bpf/rxbpf-never"),
  ],
  "BPF_PERCPU_ARRAY(t, u32, 4);": [(t) => t.sum(1 as never), (t) => t.get(1 as never), (t) => t.items()],
  "BPF_QUEUE(t, u32, 4);": [(t) => t.push(1 as never), (t) => t.pop(), (t) => t.peek(), (t) => t.values()],
  "BPF_STACK_TRACE(t, 4);": [(t) => [...t.walk(1)]],
  'BPF_TABLE("bloom_filter", int, u32, t, 4);': [(t) => t.add(1 as never), (t) => t.has(1 as never)],
  "BPF_PROG_ARRAY(t, 4);": [(t) => t.set(1 as never, 1 as never), (t) => t.items()],
  "BPF_DEVMAP(t, 4);": [(t) => t.set(1 as never, "lo" as never), (t) => t.items()],
  "BPF_TASK_STORAGE(t, u32);": [(t) => t.get(1 as never), (t) => t.set(1 as never, 1 as never)],
  "BPF_RINGBUF_OUTPUT(t, 1);": [(t) => t.open_ring_buffer(() => {}), (t) => t.onClose(() => {})],
  "BPF_PERF_OUTPUT(t);": [(t) => t.open_perf_buffer(() => {}), (t) => t.open_perf_event(1, 0)],
  "BPF_LPM_TRIE(t, u64, u32, 4);": [(t) => t.get(1n as never), (t) => t.items()],
  "BPF_ARRAY(t, u32, 4);": [
    (t) => t.clearitem(1),
    (t) => t.items_delete_batch([0 as never]),
    (t) => t.clear(),
  ],
  'BPF_ARRAY(inner, u32, 4); BPF_HASH_OF_MAPS(t, u32, "inner", 4);': [
    (t) => t.get(1 as never),
    (t) => t.set(1 as never, 3 as never),
    (t) => t.delete(1 as never),
  ],
  "BPF_SOCKHASH(t, u32, 4);": [(t) => t.get(1 as never), (t) => t.set(1 as never, { fd: 0 } as never)],
};

describe("bad input", () => {
  beforeEach((context) => needsKernel(context));

  test.each(Object.keys(uses))("every use of %s after close is a ClosedError", (declaration) => {
    const b = open(declaration);
    const table = b.get_table<never, never>("t");
    b.close();
    for (const use of uses[declaration]!) failure(ClosedError, () => use(table));
    expect(failure(ClosedError, () => b.get_table("t"))).toBeInstanceOf(BpfError);
  });

  test("keys and values that are not what C declares are LayoutErrors that name the table and the field", () => {
    using b = open(`struct key { u32 a; u8 raw[4]; char name[4]; }; BPF_HASH(t, struct key, u8, 4);`);
    const t = b.get_table<unknown, unknown>("t");
    const wrong: readonly (readonly [key: unknown, value: unknown, words: string])[] = [
      [{ a: 2 ** 32 }, 1, 'key of "t": field "a" must be a whole number from 0 to 4294967295'],
      [{ a: -1 }, 1, 'field "a"'],
      [{ a: 1.5 }, 1, 'field "a"'],
      [{ a: "1" }, 1, 'field "a"'],
      [{ b: 1 }, 1, 'field "b" is not a field of struct key'],
      [{ raw: new Uint8Array(5) }, 1, 'field "raw" must be a Uint8Array of at most 4 bytes'],
      [{ name: "12345" }, 1, 'field "name" must be a string'],
      [1, 1, "must be an object with the fields of struct key"],
      [new Uint8Array(12), 1, "must be an object with the fields of struct key"],
      [{ a: 1 }, 256, 'value of "t": must be a whole number from 0 to 255'],
      [{ a: 1 }, undefined, 'value of "t"'],
      [{ a: 1 }, null, 'value of "t"'],
    ];
    for (const [key, value, words] of wrong) {
      expect(failure(LayoutError, () => t.set(key, value)).message).toContain(words);
    }
    expect(t.size).toBe(0);
  });

  test("bytes of another size are refused before the kernel sees them", () => {
    using b = open("BPF_HASH(t, u32, u64, 4);");
    const { raw } = b.get_table("t");
    for (const size of [0, 3, 5, 1 << 20]) {
      failure(UsageError, () => raw.lookup(new Uint8Array(size), new Uint8Array(8)));
      failure(UsageError, () => raw.lookup(new Uint8Array(4), new Uint8Array(size)));
      failure(UsageError, () => raw.update(new Uint8Array(4), new Uint8Array(size), "any"));
      failure(UsageError, () => raw.delete(new Uint8Array(size)));
    }
  });

  test("a full table takes no more, says so, and still takes the keys it has", () => {
    using b = open("BPF_HASH(t, u32, u32, 2); BPF_QUEUE(q, u32, 1);");
    const t = b.get_table<number, number>("t");
    t.set(1, 1).set(2, 2);
    const full = failure(MapError, () => t.set(3, 3));
    expect([full.code, full.message]).toEqual(["MAP_FULL", 'table "t" is full (2 entries)']);
    t.set(2, 5);
    expect(t.get(2)).toBe(5);
    const q = b.get_table<never, number>("q");
    q.push(1);
    expect(failure(MapError, () => q.push(2)).code).toBe("MAP_FULL");
  });

  test("keys deleted during a loop do not end it, and do not come", () => {
    using b = open("BPF_HASH(t, u32, u32, 64);");
    const t = b.get_table<number, number>("t");
    for (let key = 0; key < 64; key++) t.set(key, key);
    const seen = new Set<number>();
    for (const [key] of t) {
      seen.add(key);
      t.delete(key);
      t.delete((key + 1) % 64);
    }
    expect(seen.size).toBeGreaterThanOrEqual(32);
    expect(t.size).toBe(0);
    t.set(1, 1).set(2, 2);
    const walk = t.keys();
    const first = walk.next().value!;
    t.clear();
    expect([first, walk.next().done]).toEqual([first, true]);
  });

  test("a program's own bad index is its own affair: it gets nothing, and the host reads on", () => {
    using b = open(
      `BPF_ARRAY(t, u64, 2); int f(${CTX}) { int i = ctx->args[0]; t.increment(i); return t.lookup(&i) ? 1 : 0; }`,
    );
    expect([run(b, "f", 1), run(b, "f", 2), run(b, "f", -1)]).toEqual([1, 0, 0]);
    expect(b.get_table("t").values()).toEqual([0n, 1n]);
    expect(failure(LayoutError, () => b.get_table("t").get(2)).message).toContain(
      'key of "t": must be a whole number from -2 to 1',
    );
  });
});
