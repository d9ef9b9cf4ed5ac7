import { beforeEach, describe, expect, test } from "vitest";
import { IndexedTable, KeyedTable, LayoutError } from "../../../framework/index.ts";
import { possibleCpus } from "../../../framework/sys/proc.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const PUT = `int put(${CTX}) { t.increment(ctx->args[0], ctx->args[1]); return 0; }`;
const sum = (values: readonly bigint[] | undefined): bigint => (values ?? []).reduce((a, b) => a + b, 0n);

describe("BPF_HASH and its relatives", () => {
  beforeEach((context) => needsKernel(context));

  test("BPF_HASH(name) has u64 keys and values, and 10240 entries", () => {
    using b = open(`BPF_HASH(t); ${PUT}`);
    run(b, "put", 2n ** 63n, 7);
    const t = b.get_table<bigint, bigint>("t");
    expect(t).toBeInstanceOf(KeyedTable);
    expect([t.kind, t.max_entries, t.items()]).toEqual(["hash", 10240, [[2n ** 63n, 7n]]]);
  });

  test("BPF_HASH(name, key) has u64 values", () => {
    using b = open(`BPF_HASH(t, u32); ${PUT}`);
    run(b, "put", 4_294_967_295, 2n ** 40n);
    expect(b.get_table<number, bigint>("t").items()).toEqual([[4_294_967_295, 2n ** 40n]]);
  });

  test("BPF_HASH(name, key, value) takes structs for both", () => {
    using b = open(`
      struct who { u32 pid; char name[8]; };
      struct what { s64 change; u8 flags; };
      BPF_HASH(t, struct who, struct what);
      int put(${CTX}) {
        struct who key = { .pid = 17, .name = "seven" };
        struct what value = { .change = -5, .flags = 3 };
        t.update(&key, &value);
        return 0;
      }`);
    run(b, "put");
    const t = b.get_table<{ pid: number; name: string }, { change: bigint; flags: number }>("t");
    expect(t.items()).toEqual([
      [
        { pid: 17, name: "seven" },
        { change: -5n, flags: 3 },
      ],
    ]);
    expect(t.get({ pid: 17, name: "seven" })).toEqual({ change: -5n, flags: 3 });
    expect(t.has({ pid: 17, name: "eight" })).toBe(false);
  });

  test("BPF_HASH(name, key, value, size) has that size, which may be an expression", () => {
    using b = open(`#define MOST 3\nBPF_HASH(t, u32, u16, MOST * 2); ${PUT}`);
    expect(b.get_table("t").max_entries).toBe(6);
  });

  test("a program reads what the host wrote", () => {
    using b = open(`BPF_HASH(t, u32, u32);
      int get(${CTX}) { u32 key = 5; u32 *value = t.lookup(&key); return value ? *value : -1; }`);
    expect(run(b, "get")).toBe(-1);
    b.get_table<number, number>("t").set(5, 1234);
    expect(run(b, "get")).toBe(1234);
  });

  test("BPF_PERCPU_HASH holds one value for each CPU", () => {
    using b = open(`BPF_PERCPU_HASH(t, u32, u64, 8); ${PUT}`);
    for (let i = 0; i < 10; i++) run(b, "put", 3, 2);
    const t = b.get_table<number, bigint[]>("t");
    expect(t.get(3)).toHaveLength(possibleCpus().length);
    expect(sum(t.get(3))).toBe(20n);
    expect(t.sum(3)).toBe(20n);
    expect(t.get(4)).toBeUndefined();
  });

  test('BPF_TABLE("lru_hash", ...) drops old entries and never is full', () => {
    using b = open(`BPF_TABLE("lru_hash", u32, u64, t, 16); ${PUT}`);
    for (let key = 0; key < 100; key++) run(b, "put", key, 1);
    const t = b.get_table<number, bigint>("t");
    expect(t.kind).toBe("lru_hash");
    expect(t.size).toBeGreaterThan(0);
    expect(t.size).toBeLessThanOrEqual(16);
  });

  test("BPF_F_TABLE passes flags to the kernel: a hash without preallocation", () => {
    using b = open(`BPF_F_TABLE("hash", u32, u64, t, 4, BPF_F_NO_PREALLOC); ${PUT}`);
    run(b, "put", 1, 9);
    const t = b.get_table<number, bigint>("t");
    expect(t.raw.spec.flags).toBe(1);
    expect(t.get(1)).toBe(9n);
  });
});

describe("BPF_ARRAY and its relatives", () => {
  beforeEach((context) => needsKernel(context));

  test("BPF_ARRAY(name) has 10240 slots of u64, all zero", () => {
    using b = open(`BPF_ARRAY(t); ${PUT}`);
    run(b, "put", 10_239, 5);
    const t = b.get_table<number, bigint>("t");
    expect(t).toBeInstanceOf(IndexedTable);
    expect([t.size, t.get(0), t.get(10_239)]).toEqual([10_240, 0n, 5n]);
  });

  test("BPF_ARRAY(name, value, size): negative indexes count from the end", () => {
    using b = open(`BPF_ARRAY(t, u32, 4); ${PUT}`);
    run(b, "put", 3, 42);
    const t = b.get_table<number, number>("t");
    expect(t.items()).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 42],
    ]);
    expect([t.get(-1), t.get(-4)]).toEqual([42, 0]);
  });

  test.each([4, -5, 1.5])("index %d of an array of 4 is a LAYOUT error that names the table", (index) => {
    using b = open(`BPF_ARRAY(t, u32, 4); ${PUT}`);
    const error = failure(LayoutError, () => b.get_table<number, number>("t").get(index));
    expect(error.code).toBe("LAYOUT");
    expect(error.message).toBe(`key of "t": must be a whole number from -4 to 3, not ${index}`);
  });

  test("deleting from an array makes the slot zero, and clearing all of them", () => {
    using b = open(`BPF_ARRAY(t, u32, 2); ${PUT}`);
    const t = b.get_table<number, number>("t");
    t.set(0, 7).set(1, 8);
    t.delete(0);
    expect(t.values()).toEqual([0, 8]);
    t.clear();
    expect(t.values()).toEqual([0, 0]);
  });

  test("BPF_PERCPU_ARRAY holds one value for each CPU in each slot", () => {
    using b = open(`BPF_PERCPU_ARRAY(t, u64, 2); ${PUT}`);
    for (let i = 0; i < 10; i++) run(b, "put", 1, 3);
    const t = b.get_table<number, bigint[]>("t");
    expect(t.items().map(([index, values]) => [index, values.length, sum(values)])).toEqual([
      [0, possibleCpus().length, 0n],
      [1, possibleCpus().length, 30n],
    ]);
    expect(t.max(1)).toBe([...t.get(1)!].sort((x, y) => Number(y - x))[0]);
  });
});

describe("BPF_HISTOGRAM", () => {
  beforeEach((context) => needsKernel(context));

  test("BPF_HISTOGRAM(name) is an array of 64 counts", () => {
    using b = open(`BPF_HISTOGRAM(t);
      int put(${CTX}) { t.increment(bpf_log2l(ctx->args[0])); return 0; }`);
    for (const value of [1, 2, 3, 1024]) run(b, "put", value);
    const t = b.get_table<number, bigint>("t");
    expect([t.kind, t.max_entries]).toEqual(["array", 64]);
    expect(t.items().filter(([, count]) => count > 0n)).toEqual([
      [1, 1n],
      [2, 2n],
      [11, 1n],
    ]);
  });

  test("BPF_HISTOGRAM(name, struct) is a hash, for several histograms in one table", () => {
    using b = open(`struct slot { u32 disk; u32 slot; };
      BPF_HISTOGRAM(t, struct slot, 100);
      int put(${CTX}) { struct slot key = { 7, 3 }; t.increment(key); return 0; }`);
    run(b, "put");
    const t = b.get_table<{ disk: number; slot: number }, bigint>("t");
    expect([t.kind, t.max_entries]).toEqual(["hash", 100]);
    expect(t.items()).toEqual([[{ disk: 7, slot: 3 }, 1n]]);
  });

  test("print_log2_hist prints BCC's lines", () => {
    using b = open(`BPF_HISTOGRAM(t);
      int put(${CTX}) { t.increment(bpf_log2l(ctx->args[0])); return 0; }`);
    for (const value of [0, 1, 5, 6, 7, 8, 8, 8]) run(b, "put", value);
    let text = "";
    b.get_table("t").print_log2_hist({ val_type: "usecs", write: (written) => (text += written) });
    expect(text).toBe(
      [
        "     usecs               : count     distribution",
        "         0 -> 1          : 2        |**************************              |",
        "         2 -> 3          : 0        |                                        |",
        "         4 -> 7          : 3        |****************************************|",
        "         8 -> 15         : 3        |****************************************|",
      ].join("\n"),
    );
  });
});

describe("BPF_PROG_ARRAY", () => {
  beforeEach((context) => needsKernel(context));

  test("shows the ids of the programs in its slots, and leaves empty slots out", () => {
    using b = open(`BPF_PROG_ARRAY(t, 8); int f(void *ctx) { return 1; } int g(void *ctx) { return 2; }`);
    const [f, g] = [b.load_func("f", 17), b.load_func("g", 17)];
    const t = b.get_table<number, number>("t");
    expect(t.items()).toEqual([]);
    t.set(2, f).set(7, g.fd);
    expect(t.items()).toEqual([
      [2, f.program.id],
      [7, g.program.id],
    ]);
    expect([t.get(2), t.get(3), t.size, t.max_entries]).toEqual([f.program.id, undefined, 2, 8]);
    expect([...t.keys()]).toEqual([2, 7]);
  });

  test("a slot is cleared by delete", () => {
    using b = open("BPF_PROG_ARRAY(t, 4); int f(void *ctx) { return 1; }");
    const t = b.get_table<number, number>("t");
    t.set(-1, b.load_func("f", 17));
    expect(t.has(3)).toBe(true);
    expect(t.delete(3)).toBe(true);
    expect(t.delete(3)).toBe(false);
    expect(t.size).toBe(0);
  });
});
