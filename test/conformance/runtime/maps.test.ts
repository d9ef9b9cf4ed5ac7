import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MapError, UnsupportedError, UsageError } from "../../../framework/core/errors.ts";
import { Scope } from "../../../framework/core/scope.ts";
import type { MapSpec } from "../../../framework/object/object-spec.ts";
import {
  isBatchMap,
  isFilterMap,
  isPopMap,
  isSharedMap,
  type RawMap,
  type Runtime,
} from "../../../framework/runtime/types.ts";
import { valueBytes } from "../../../maps/kinds.ts";
import { key, map } from "../../kernel/runtime/assembly.ts";
import { openLabels } from "../../kernel/runtime/kernel-objects.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";

describe.each(runtimes)("maps of the $name", ({ open, reason }) => {
  let scope: Scope;
  let runtime: Runtime;

  beforeEach((context) => {
    needsRuntime(context, reason);
    scope = new Scope("the test");
    runtime = scope.own(open());
  });

  afterEach(() => {
    if (scope === undefined) return;
    scope[Symbol.dispose]();
    expect(openLabels()).toEqual([]);
  });

  const create = (spec: MapSpec): RawMap => scope.own(runtime.createMap(spec));
  const filled = (target: RawMap, fill: number): Uint8Array =>
    new Uint8Array(valueBytes(target.spec.kind, target.spec.valueSize, runtime.cpuCount)).fill(fill);

  const keysOf = (target: RawMap): readonly number[] => {
    const keys: number[] = [];
    const next = new Uint8Array(4);
    for (let more = target.nextKey(null, next); more; more = target.nextKey(next.slice(), next)) {
      keys.push(new DataView(next.buffer).getUint32(0, true));
    }
    return keys.sort((a, b) => a - b);
  };

  const codeOf = (action: () => void): string => {
    try {
      action();
    } catch (error) {
      if (error instanceof MapError) return error.code;
      throw error;
    }
    return "no error";
  };

  const keyed = ["hash", "percpu_hash", "lru_hash", "lru_percpu_hash"] as const;

  test.each(keyed)("%s: what was written is read, listed and deleted", (kind) => {
    const counts = create(map(kind));
    const into = filled(counts, 0);
    expect(counts.lookup(key(7), into)).toBe(false);
    counts.update(key(7), filled(counts, 3), "any");
    counts.update(key(9), filled(counts, 4), "any");
    expect(counts.lookup(key(7), into)).toBe(true);
    expect(into).toEqual(filled(counts, 3));
    expect(keysOf(counts)).toEqual([7, 9]);
    expect(counts.delete(key(7))).toBe(true);
    expect(counts.delete(key(7))).toBe(false);
    expect(keysOf(counts)).toEqual([9]);
  });

  test.each(["array", "percpu_array"] as const)("%s: every index answers, none can be deleted", (kind) => {
    const counts = create(map(kind, { maxEntries: 3 }));
    const into = filled(counts, 1);
    expect(counts.lookup(key(2), into)).toBe(true);
    expect(into).toEqual(filled(counts, 0));
    counts.update(key(2), filled(counts, 5), "any");
    expect(counts.lookup(key(2), into)).toBe(true);
    expect(into).toEqual(filled(counts, 5));
    expect(keysOf(counts)).toEqual([0, 1, 2]);
    expect(counts.lookup(key(3), into)).toBe(false);
    expect(() => counts.delete(key(2))).toThrow(/cannot delete from table "counts"/);
  });

  test("a per-CPU value has one slot of 8 bytes for each possible CPU, however small the value", () => {
    const counts = create(map("percpu_array", { valueSize: 2 }));
    const value = filled(counts, 0);
    expect(value.length).toBe(8 * runtime.cpuCount);
    for (let cpu = 0; cpu < runtime.cpuCount; cpu++) value[cpu * 8] = cpu + 1;
    counts.update(key(0), value, "any");
    const into = filled(counts, 0xff);
    counts.lookup(key(0), into);
    for (let cpu = 0; cpu < runtime.cpuCount; cpu++) expect(into[cpu * 8]).toBe(cpu + 1);
  });

  test("a prefix tree finds the longest prefix", () => {
    const routes = create(map("lpm_trie", { keySize: 8, valueSize: 4 }));
    const prefix = (length: number, ...address: number[]): Uint8Array =>
      Uint8Array.of(length, 0, 0, 0, ...address);
    routes.update(prefix(8, 10, 0, 0, 0), key(1), "any");
    routes.update(prefix(16, 10, 1, 0, 0), key(2), "any");
    const into = new Uint8Array(4);
    expect(routes.lookup(prefix(32, 10, 1, 2, 3), into)).toBe(true);
    expect(into).toEqual(key(2));
    expect(routes.lookup(prefix(32, 11, 1, 2, 3), into)).toBe(false);
  });

  test("a prefix is listed with the bits behind it that it was written with last", () => {
    const routes = create(map("lpm_trie", { keySize: 8, valueSize: 4 }));
    const prefix = (...address: number[]): Uint8Array => Uint8Array.of(8, 0, 0, 0, ...address);
    routes.update(prefix(10, 1, 2, 3), key(1), "any");
    routes.update(prefix(10, 0, 0, 9), key(2), "any");
    const listed = new Uint8Array(8);
    expect(routes.nextKey(null, listed)).toBe(true);
    expect(listed).toEqual(prefix(10, 0, 0, 9));
    expect(routes.nextKey(listed, new Uint8Array(8))).toBe(false);
  });

  describe.each(["array_of_maps", "hash_of_maps"] as const)("%s", (kind) => {
    const outer = (inner: MapSpec | undefined): MapSpec =>
      map(kind, { name: "outer", valueSize: 4, ...(inner && { inner }) });
    const put = (target: RawMap, inner: RawMap): string =>
      codeOf(() => {
        if (!isSharedMap(inner)) throw new Error("not a SharedMap");
        target.update(key(1), key(inner.fd), "any");
      });

    test("takes tables like the declared one, and shows their number", () => {
      const inside = create(map("hash"));
      const target = create(outer(map("hash", { maxEntries: 99 })));
      expect(target.lookup(key(1), new Uint8Array(4))).toBe(false);
      expect(put(target, inside)).toBe("no error");
      const shown = new Uint8Array(4);
      expect(target.lookup(key(1), shown)).toBe(true);
      expect(isSharedMap(inside) && shown).toEqual(isSharedMap(inside) && key(inside.id));
      expect(target.delete(key(1))).toBe(true);
      expect(target.delete(key(1))).toBe(false);
    });

    test.each([
      ["another kind", map("lru_hash")],
      ["other keys", map("hash", { keySize: 8 })],
      ["other values", map("hash", { valueSize: 16 })],
      ["other flags", map("hash", { flags: 1 })],
    ])("refuses a table of %s", (_what, other) => {
      const target = create(outer(map("hash")));
      expect(put(target, create(other))).toBe("MAP_OPERATION");
      expect(target.lookup(key(1), new Uint8Array(4))).toBe(false);
    });

    test("refuses an array of another length, unless the declared one is for any", () => {
      const target = create(outer(map("array", { maxEntries: 4 })));
      expect(put(target, create(map("array", { maxEntries: 5 })))).toBe("MAP_OPERATION");
      expect(put(target, create(map("array", { maxEntries: 4 })))).toBe("no error");
    });

    test("cannot be without a declared table, nor with one that never nests", () => {
      expect(codeOf(() => create(outer(undefined)))).toBe("MAP_CREATE");
      expect(codeOf(() => create(outer(map("prog_array", { valueSize: 4 }))))).toBe("MAP_CREATE");
      const nested = map("array_of_maps", { valueSize: 4, inner: map("hash") });
      expect(codeOf(() => create(outer(nested)))).toBe("MAP_CREATE");
    });
  });

  test("create on a present key throws KEY_EXISTS and leaves the value alone", () => {
    const counts = create(map("hash"));
    counts.update(key(1), filled(counts, 1), "create");
    expect(codeOf(() => counts.update(key(1), filled(counts, 2), "create"))).toBe("KEY_EXISTS");
    const into = filled(counts, 0);
    counts.lookup(key(1), into);
    expect(into).toEqual(filled(counts, 1));
  });

  test("replace on an absent key throws KEY_MISSING and adds nothing", () => {
    const counts = create(map("hash"));
    expect(codeOf(() => counts.update(key(1), filled(counts, 2), "replace"))).toBe("KEY_MISSING");
    expect(keysOf(counts)).toEqual([]);
  });

  test("a hash takes as many entries as it has and says how many when it is full", () => {
    const counts = create(map("hash", { maxEntries: 4 }));
    for (let i = 0; i < 4; i++) counts.update(key(i), filled(counts, i), "any");
    expect(codeOf(() => counts.update(key(4), filled(counts, 4), "any"))).toBe("MAP_FULL");
    expect(() => counts.update(key(4), filled(counts, 4), "any")).toThrow(
      'table "counts" is full (4 entries)',
    );
  });

  test("an index past the end of an array is named in the error", () => {
    const counts = create(map("array", { maxEntries: 4 }));
    expect(() => counts.update(key(4), filled(counts, 4), "any")).toThrow('table "counts" has no index 4');
  });

  test("keys and values of another size are refused before the kernel reads past them", () => {
    const counts = create(map("hash"));
    expect(() => counts.lookup(new Uint8Array(3), filled(counts, 0))).toThrow(UsageError);
    expect(() => counts.lookup(key(0), new Uint8Array(7))).toThrow(UsageError);
    expect(() => counts.update(key(0), new Uint8Array(9), "any")).toThrow(/takes 8 bytes, not 9/);
    expect(() => counts.nextKey(null, new Uint8Array(8))).toThrow(UsageError);
  });

  test.each(["hash", "array", "percpu_hash", "lru_hash", "lpm_trie"] as const)(
    "%s: batches give every entry once and end with done",
    (kind) => {
      const keySize = kind === "lpm_trie" ? 8 : 4;
      const counts = create(map(kind, { keySize, maxEntries: 1000 }));
      const keyFor = (i: number): Uint8Array =>
        keySize === 8 ? Uint8Array.of(32, 0, 0, 0, ...key(i)) : key(i);
      for (let i = 0; i < 500; i++) counts.update(keyFor(i), filled(counts, i & 0x7f), "any");
      if (!isBatchMap(counts)) return expect(runtime.supports("batch").state).not.toBe("yes");
      const most = 64;
      const seen = new Map<number, number>();
      const keys = new Uint8Array(most * keySize);
      const valueLength = filled(counts, 0).length;
      const values = new Uint8Array(most * valueLength);
      for (const cursor = { position: null, done: false }; !cursor.done; ) {
        const count = counts.lookupBatch(cursor, keys, values, most);
        expect(count).toBeLessThanOrEqual(most);
        for (let i = 0; i < count; i++) {
          const number = new DataView(keys.buffer, i * keySize + keySize - 4, 4).getUint32(0, true);
          expect(seen.has(number)).toBe(false);
          seen.set(number, values[i * valueLength]!);
        }
      }
      for (let i = 0; i < 500; i++) expect(seen.get(i)).toBe(i & 0x7f);
      expect(seen.size).toBe(kind === "array" ? 1000 : 500);
    },
  );

  test("a batch larger than the arrays given is refused", () => {
    const counts = create(map("hash"));
    if (!isBatchMap(counts)) return expect(runtime.supports("batch").state).not.toBe("yes");
    const cursor = { position: null, done: false };
    expect(() => counts.lookupBatch(cursor, new Uint8Array(8), new Uint8Array(8), 2)).toThrow(UsageError);
  });

  test("a queue gives values back in order, a stack in reverse, each once", () => {
    const order = (kind: "queue" | "stack"): readonly number[] => {
      const queue = create(map(kind, { keySize: 0, valueSize: 4 }));
      if (!isPopMap(queue)) throw new Error("not a PopMap");
      const none = new Uint8Array(0);
      for (const value of [1, 2, 3]) queue.update(none, key(value), "any");
      const into = new Uint8Array(4);
      expect(queue.lookup(none, into)).toBe(true);
      const values = [];
      while (queue.pop(into)) values.push(into[0]!);
      expect(queue.lookup(none, into)).toBe(false);
      return values;
    };
    expect(order("queue")).toEqual([1, 2, 3]);
    expect(order("stack")).toEqual([3, 2, 1]);
  });

  test("a full queue refuses another value as full", () => {
    const queue = create(map("queue", { keySize: 0, maxEntries: 1 }));
    queue.update(new Uint8Array(0), filled(queue, 1), "any");
    expect(codeOf(() => queue.update(new Uint8Array(0), filled(queue, 1), "any"))).toBe("MAP_FULL");
  });

  test("a filter has what was added, and surely lacks most of the rest", () => {
    const filter = create(map("bloom_filter", { keySize: 0, valueSize: 4, maxEntries: 100 }));
    if (!isFilterMap(filter)) throw new Error("not a FilterMap");
    const none = new Uint8Array(0);
    for (let i = 0; i < 100; i++) filter.update(none, key(i), "any");
    for (let i = 0; i < 100; i++) expect(filter.mayHave(key(i))).toBe(true);
    const wrong = Array.from({ length: 1000 }, (_, i) => filter.mayHave(key(1000 + i))).filter(Boolean);
    expect(wrong.length).toBeLessThan(200);
    expect(codeOf(() => filter.update(none, key(1), "create"))).toBe("MAP_OPERATION");
    expect(codeOf(() => filter.delete(none))).toBe("MAP_OPERATION");
  });

  test("a map of read-only data has its bytes and takes no others", () => {
    const initial = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const data = create(map("array", { maxEntries: 1, initial, frozen: true, name: "hello.rodata" }));
    const into = new Uint8Array(8);
    data.lookup(key(0), into);
    expect(into).toEqual(initial);
    expect(() => data.update(key(0), into, "any")).toThrow(
      'cannot write to table "hello.rodata": it is read-only',
    );
  });

  test("a perf event array without a size has a slot for every CPU number", () => {
    const events = create(map("perf_event_array", { valueSize: 4, maxEntries: 0 }));
    expect(events.spec.maxEntries).toBeGreaterThanOrEqual(runtime.cpuCount);
  });

  test("names that the kernel does not take are made acceptable, not refused", () => {
    const counts = create(map("hash", { name: "a very long name, with punctuation" }));
    counts.update(key(1), filled(counts, 1), "any");
    expect(keysOf(counts)).toEqual([1]);
  });

  test("a ring buffer that is no power of two of pages is refused with the rule", () => {
    if (runtime.supports("ringbuf").state !== "yes") {
      return expect(() => create(map("ringbuf", { keySize: 0, valueSize: 0 }))).toThrow(UnsupportedError);
    }
    const failure = catchError(() => create(map("ringbuf", { keySize: 0, valueSize: 0, maxEntries: 5000 })));
    expect(failure).toBeInstanceOf(MapError);
    expect(failure).toMatchObject({ code: "MAP_CREATE", hint: expect.stringContaining("power of two") });
  });

  test("a table without entries is refused with what to do", () => {
    const failure = catchError(() => create(map("hash", { maxEntries: 0 })));
    expect(failure).toMatchObject({ code: "MAP_CREATE", hint: "give the table a size" });
  });

  test("a map that was closed throws ClosedError, and closing again is harmless", () => {
    const counts = create(map("hash"));
    counts[Symbol.dispose]();
    counts[Symbol.dispose]();
    expect(catchError(() => counts.lookup(key(1), new Uint8Array(8)))).toMatchObject({
      code: "CLOSED",
      message: 'table "counts" was closed',
    });
  });
});

function catchError(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
