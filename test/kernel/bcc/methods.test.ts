import { beforeEach, describe, expect, test } from "vitest";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
describe("table methods in C", () => {
  beforeEach((context) => needsKernel(context));

  test("lookup gives a pointer of the value's type that writes through, and NULL for an absent key", () => {
    using b = open(`struct pair { u32 a, b; };
      BPF_HASH(t, u32, struct pair);
      int f(${CTX}) {
        u32 key = ctx->args[0];
        struct pair *found = t.lookup(&key);
        if (!found) return -1;
        found->b = found->a + 1;
        return found->b;
      }`);
    const t = b.get_table<number, { a: number; b: number }>("t");
    t.set(1, { a: 10, b: 0 });
    expect([run(b, "f", 2), run(b, "f", 1)]).toEqual([-1, 11]);
    expect(t.get(1)).toEqual({ a: 10, b: 11 });
  });

  test("lookup_or_try_init writes the initial value only for an absent key", () => {
    using b = open(`BPF_HASH(t, u32, u64);
      int f(${CTX}) {
        u32 key = 1; u64 zero = 100;
        u64 *found = t.lookup_or_try_init(&key, &zero);
        if (found) (*found)++;
        return found ? *found : -1;
      }`);
    expect([run(b, "f"), run(b, "f")]).toEqual([101, 102]);
  });

  test("lookup_or_try_init gives NULL when the table is full", () => {
    using b = open(`BPF_HASH(t, u32, u64, 1);
      int f(${CTX}) {
        u32 key = ctx->args[0]; u64 zero = 0;
        return t.lookup_or_try_init(&key, &zero) ? 1 : 0;
      }`);
    expect([run(b, "f", 1), run(b, "f", 2), run(b, "f", 1)]).toEqual([1, 0, 1]);
  });

  test("lookup_or_init gives a value of its own when the table is full, and the program goes on", () => {
    using b = open(`BPF_HASH(t, u32, u64, 1);
      int f(${CTX}) {
        u32 key = ctx->args[0]; u64 initial = 5;
        u64 *value = t.lookup_or_init(&key, &initial);
        *value += 1;
        return *value * 10 + initial;
      }`);
    expect([run(b, "f", 1), run(b, "f", 1), run(b, "f", 2), run(b, "f", 2)]).toEqual([65, 75, 65, 65]);
    expect(b.get_table("t").items()).toEqual([[1, 7n]]);
  });

  test("lookup_or_init works in functions that return nothing, pointers and structs, and for large values", () => {
    using b = open(`struct large { u64 a; char rest[400]; }; struct pair { u64 a, b; };
      BPF_HASH(t, u32, u64); BPF_HASH(large, u32, struct large, 1); BPF_ARRAY(zeros, struct large, 1);
      static void in_void(u32 k) { (*t.lookup_or_init(&k, &(u64){0}))++; }
      static u64 *in_pointer(u32 k) { return t.lookup_or_init(&k, &(u64){0}); }
      static struct pair in_struct(u32 k) { return (struct pair){ 1, *t.lookup_or_init(&k, &(u64){0}) }; }
      int f(${CTX}) {
        int slot = 0; u32 key = ctx->args[0];
        struct large *zero = zeros.lookup(&slot);
        if (!zero) return -1;
        in_void(1); in_void(1);
        return *in_pointer(1) * 100 + in_struct(1).a * 10 + ++large.lookup_or_init(&key, zero)->a;
      }`);
    expect([run(b, "f", 1), run(b, "f", 1), run(b, "f", 2)]).toEqual([211, 412, 611]);
  });

  test("update replaces, insert keeps what is there, and both tell", () => {
    using b = open(`BPF_HASH(t, u32, u32);
      int insert(${CTX}) { u32 key = 1, value = ctx->args[0]; return t.insert(&key, &value); }
      int update(${CTX}) { u32 key = 1, value = ctx->args[0]; return t.update(&key, &value); }`);
    const t = b.get_table<number, number>("t");
    expect([run(b, "insert", 5), t.get(1)]).toEqual([0, 5]);
    expect([run(b, "insert", 6), t.get(1)]).toEqual([-17, 5]); // -EEXIST
    expect([run(b, "update", 7), t.get(1)]).toEqual([0, 7]);
  });

  test("delete takes a key away and tells whether it was there", () => {
    using b = open(`BPF_HASH(t, u32, u32);
      int f(${CTX}) { u32 key = 1; return t.delete(&key); }`);
    b.get_table<number, number>("t").set(1, 1);
    expect([run(b, "f"), run(b, "f")]).toEqual([0, -2]); // -ENOENT
  });

  test.each([
    ["a hash", "BPF_HASH(t, u32, u64)"],
    ["a per-CPU hash", "BPF_PERCPU_HASH(t, u32, u64)"],
    ["an LRU hash", 'BPF_TABLE("lru_hash", u32, u64, t, 64)'],
    ["a per-CPU LRU hash", 'BPF_TABLE("lru_percpu_hash", u32, u64, t, 64)'],
    ["an array", "BPF_ARRAY(t, u64, 64)"],
    ["a per-CPU array", "BPF_PERCPU_ARRAY(t, u64, 64)"],
  ])("increment and atomic_increment add to %s, making the key when it is missing", (_, declaration) => {
    using b = open(`${declaration};
      int one(${CTX}) { t.increment(ctx->args[0]); return 0; }
      int many(${CTX}) { t.increment(ctx->args[0], ctx->args[1]); return 0; }
      int atomic(${CTX}) { t.atomic_increment(ctx->args[0]); return 0; }
      int atomicMany(${CTX}) { t.atomic_increment(ctx->args[0], ctx->args[1]); return 0; }`);
    run(b, "one", 1);
    run(b, "one", 1);
    run(b, "many", 2, 30);
    run(b, "atomic", 3);
    run(b, "atomicMany", 4, 50);
    run(b, "atomicMany", 4, 50);
    const t = b.get_table<number, bigint | readonly bigint[]>("t");
    const total = (key: number): bigint => [t.get(key) ?? []].flat().reduce((sum, value) => sum + value, 0n);
    expect([1, 2, 3, 4].map(total)).toEqual([2n, 30n, 1n, 100n]);
  });

  test("increment takes any expression as key, and evaluates it once", () => {
    using b = open(`BPF_HASH(t, u32, u64); BPF_HASH(calls, u32, u64);
      static u32 next() { calls.increment(0); return 9; }
      int f(${CTX}) { t.increment(next() + (u32)ctx->args[0], 2); return 0; }`);
    run(b, "f", 1);
    expect(b.get_table("t").items()).toEqual([[10, 2n]]);
    expect(b.get_table("calls").items()).toEqual([[0, 1n]]);
  });

  test("methods of one table nest in arguments of another's", () => {
    using b = open(`BPF_HASH(names, u32, u32); BPF_HASH(counts, u32, u64);
      int f(${CTX}) {
        u32 key = 1, other = 77;
        counts.increment(*({ u32 *n = names.lookup(&key); n ? n : &other; }));
        return 0;
      }`);
    run(b, "f");
    b.get_table<number, number>("names").set(1, 5);
    run(b, "f");
    expect(b.get_table<number, bigint>("counts").items().sort()).toEqual([
      [5, 1n],
      [77, 1n],
    ]);
  });

  test("methods work inside the source's own macros", () => {
    using b = open(`BPF_HASH(t, u32, u64);
      #define COUNT(table, what) do { table.increment(what); } while (0)
      int f(${CTX}) { COUNT(t, 4); COUNT(t, 4); return 0; }`);
    run(b, "f");
    expect(b.get_table("t").items()).toEqual([[4, 2n]]);
  });

  test("a method's call may span lines and comments", () => {
    using b = open(`BPF_HASH(t, u32, u64);
      int f(${CTX}) {
        t /* the table */
          .increment( // adds
            1,
            /* so much */ 6
          );
        return 0;
      }`);
    run(b, "f");
    expect(b.get_table("t").items()).toEqual([[1, 6n]]);
  });

  test("a local variable named as a table is not a table", () => {
    using b = open(`BPF_HASH(t, u32, u64);
      struct other { u32 (*unused)(u32); u32 lookup; };
      int f(${CTX}) { struct other t = { .lookup = 3 }; return t.lookup; }`);
    expect(run(b, "f")).toBe(3);
  });
});
