import { describe, expect, test } from "vitest";
import { BPF, LayoutError, MapError, UsageError } from "../../../framework/index.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";

const SOURCE = `
struct key_t { u32 pid; char comm[8]; };
struct odd_t { u8 bytes[3]; };
BPF_HASH(counts, u32, u64, 64);
BPF_HASH(named, struct key_t, u16, 8);
BPF_ARRAY(slots, u32, 4);
BPF_PERCPU_HASH(each, u32, u64, 8);
BPF_PERCPU_ARRAY(small, u8, 2);
BPF_PERCPU_ARRAY(odd, struct odd_t, 2);
BPF_QUEUE(waiting, u32, 3);
BPF_STACK(piled, u32, 3);
BPF_F_TABLE("hash", u32, u32, lazy, 16, 1);
`;

describe.each(runtimes)("BCC's methods of tables on the $name", ({ name, reason }) => {
  const open = (): BPF => new BPF({ text: SOURCE, runtime: name });
  const filled = (b: BPF) =>
    b.get_table<number, bigint>("counts").update([1, 2, 3].map((n) => [n, BigInt(n * 10)]));
  const sorted = <V>(items: Iterable<readonly [number, V]>): (readonly [number, V])[] =>
    [...items].sort(([left], [right]) => left - right);

  test("T02: a table says what it is", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const lazy = b.get_table("lazy");
    expect([lazy._name, lazy.ttype, lazy.flags, lazy.max_entries]).toEqual(["lazy", 1, 1, 16]);
    expect(lazy.map_id).toBe(lazy.id);
    expect(lazy.map_id).toBeGreaterThan(0);
    expect(b.get_table("counts").map_id).not.toBe(lazy.map_id);
    if (name === "kernel") expect(lazy.get_fd()).toBe(lazy.map_fd);
    const named = b.get_table<{ pid: number; comm: string }, number>("named");
    expect([named.Key({ pid: 7 }), named.Leaf()]).toEqual([{ pid: 7, comm: "" }, 0]);
  });

  test("T03, T04: entries are read, written, deleted, looked for, taken and put together", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const counts = filled(b);
    expect([counts.get(2), counts.get(9), counts.has(3), counts.has(9)]).toEqual([
      20n,
      undefined,
      true,
      false,
    ]);
    expect([counts.delete(1), counts.delete(1)]).toEqual([true, false]);
    expect([counts.pop(2), counts.pop(2), counts.size]).toEqual([20n, undefined, 1]);
    const named = b.get_table<unknown, number>("named");
    expect(() => named.set({ pid: 1, com: "x" }, 1)).toThrow(
      'key of "named": field "com" is not a field of struct key_t',
    );
    expect(() => named.set({ pid: 2 ** 32, comm: "x" }, 1)).toThrow('"pid"');
    expect(() => named.set({ pid: 1, comm: "x" }, 65536)).toThrow(LayoutError);
    expect(named.size).toBe(0);
  });

  test("T06, T07: keys, values and items come in any of BCC's ways", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const counts = filled(b);
    const pairs = [1, 2, 3].map((n) => [n, BigInt(n * 10)]);
    for (const items of [counts, counts.items(), counts.iteritems(), counts.entries()])
      expect(sorted<bigint>(items)).toEqual(pairs);
    expect([...counts.keys()].sort()).toEqual([1, 2, 3]);
    for (const values of [counts.values(), counts.itervalues()])
      expect([...values].sort()).toEqual([10n, 20n, 30n]);
    const walked: number[] = [];
    for (let key: number | undefined = counts.next(1000); key !== undefined; key = counts.next(key))
      walked.push(key);
    expect(walked).toEqual([...counts.keys()]);
    const seen: [number, bigint][] = [];
    counts.forEach((value, key) => {
      seen.push([key, value]);
    });
    expect(sorted(seen)).toEqual(pairs);
  });

  test("T08, T09: zero keeps the keys, clear does not", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const counts = filled(b);
    counts.zero();
    expect(sorted(counts.items())).toEqual([1, 2, 3].map((n) => [n, 0n]));
    counts.clear();
    expect(counts.items()).toEqual([]);
  });

  test("T10 to T13: batches read, take, delete and write", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const counts = b.get_table<number, bigint>("counts");
    const keys = Array.from({ length: 64 }, (_, n) => n);
    counts.items_update_batch(keys, keys.map(BigInt));
    expect(sorted(counts.items_lookup_batch())).toEqual(keys.map((n) => [n, BigInt(n)]));
    counts.items_delete_batch(keys.filter((n) => n % 2 === 1));
    expect(counts.size).toBe(32);
    expect(sorted(counts.items_lookup_and_delete_batch()).map(([key]) => key)).toEqual(
      keys.filter((n) => n % 2 === 0),
    );
    expect(counts.size).toBe(0);
    expect(() => counts.items_update_batch([1, 2], [1n])).toThrow(UsageError);
    const tooMany = [...keys, 64];
    expect(() => counts.items_update_batch(tooMany, tooMany.map(BigInt))).toThrow(MapError);
    expect(counts.size).toBe(64);
    counts.items_delete_batch();
    expect(counts.size).toBe(0);
  });

  test("T21, T22: slots are counted from either end, and made zero instead of deleted", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const slots = b.get_table<number, number>("slots");
    slots.set(-1, 9).set(0, 5).set(1, 6);
    expect([slots.get(3), slots.size]).toEqual([9, 4]);
    slots.clearitem(-1);
    expect([slots.delete(0), slots.values()]).toEqual([true, [0, 6, 0, 0]]);
    expect(() => slots.get(4)).toThrow(LayoutError);
    expect(() => slots.set(-5, 1)).toThrow(LayoutError);
    slots.clear();
    expect(slots.values()).toEqual([0, 0, 0, 0]);
  });

  test("T28, T29: values of all CPUs are read, folded and written", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const each = b.get_table<number, bigint[]>("each");
    const cpus = b.get_table<number, number[]>("small").get(0)!.length;
    const values = Array.from({ length: cpus }, (_, cpu) => BigInt(cpu + 1) << 62n);
    each.set(1, values);
    expect(each.getvalue(1)).toEqual(values);
    const sum = values.reduce((left, right) => left + right);
    // Beyond what the C type holds, where BCC's sum wraps around.
    expect([each.sum(1), each.average(1), each.max(1)]).toEqual([sum, sum / BigInt(cpus), values.at(-1)]);
    expect([each.sum(2), each.max(2), each.getvalue(2)]).toEqual([undefined, undefined, undefined]);
    expect(() => each.set(1, values.slice(1))).toThrow(LayoutError);
    expect(() => b.get_table<number, bigint[]>("counts").sum(1)).toThrow(UsageError);
  });

  test("T30: values per CPU may have any size", (context) => {
    needsRuntime(context, reason);
    using b = open();
    const small = b.get_table<number, number[]>("small");
    small.set(
      1,
      small.get(1)!.map((_, cpu) => 200 + cpu),
    );
    expect(small.get(1)).toEqual(small.get(0)!.map((_, cpu) => 200 + cpu));
    const odd = b.get_table<number, { bytes: Uint8Array }[]>("odd");
    odd.set(
      0,
      odd.get(0)!.map((_, cpu) => ({ bytes: Uint8Array.of(1, 2, cpu) })),
    );
    expect(odd.get(0)!.map(({ bytes }) => [...bytes])).toEqual(odd.get(0)!.map((_, cpu) => [1, 2, cpu]));
  });

  test("T32: queues and stacks give each value once, and make room only when told to", (context) => {
    needsRuntime(context, reason);
    using b = open();
    for (const [table, order] of [
      ["waiting", [2, 3, 4]],
      ["piled", [4, 3, 2]],
    ] as const) {
      const values = b.get_table<never, number>(table);
      for (const value of [1, 2, 3]) values.push(value);
      expect(() => values.push(4)).toThrow(MapError);
      values.push(4, 2);
      expect(values.peek()).toBe(order[0]);
      expect([...values.itervalues()]).toEqual(order);
      expect([values.pop(), values.peek(), values.values()]).toEqual([undefined, undefined, []]);
    }
  });
});

describe("on the machine", () => {
  test("user ring buffers and counters are refused by name, with what to do", () => {
    const text = 'BPF_TABLE("user_ringbuf", int, u64, orders, 4096);';
    expect(() => new BPF({ text, runtime: "machine" })).toThrow(
      'table "orders": the machine has no user_ringbuf maps',
    );
    using b = new BPF({ text: "BPF_PERF_ARRAY(clock, 4);", runtime: "machine" });
    expect(() => b.get_table("clock").open_perf_event(1, 0)).toThrow(
      expect.objectContaining({
        code: "UNSUPPORTED",
        message: 'open_perf_event on "clock": the machine has no perf counters',
        hint: expect.stringContaining('runtime: "kernel"'),
      }),
    );
    const reading = `BPF_PERF_ARRAY(clock, 4); RAW_TRACEPOINT_PROBE(sys_enter) { return clock.perf_read(0); }`;
    expect(() => new BPF({ text: reading, runtime: "machine" })).toThrow("no helper bpf_perf_event_read()");
  });
});
