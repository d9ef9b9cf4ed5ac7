import { beforeEach, describe, expect, test } from "vitest";
import { BPF } from "../../../framework/index.ts";
import { collect, eventually, run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

describe("methods that BCC does not have", () => {
  beforeEach((context) => needsKernel(context, "ringbuf"));

  test("for_each_map_elem calls a function for every entry", () => {
    using b = open(`BPF_HASH(t, u32, u64);
      static long add(struct bpf_map *map, u32 *key, u64 *value, u64 *sum) { *sum += *key * *value; return 0; }
      int f(${CTX}) { u64 sum = 0; t.for_each_map_elem(add, &sum, 0); return sum; }`);
    b.get_table<number, bigint>("t").set(2, 10n).set(3, 100n);
    expect(run(b, "f")).toBe(320);
  });

  test("map_lookup_percpu_elem reads another CPU's value", () => {
    using b = open(`BPF_PERCPU_ARRAY(t, u64, 1);
      int f(${CTX}) { int slot = 0; u64 *v = t.map_lookup_percpu_elem(&slot, ctx->args[0]); return v ? *v : -1; }`);
    const t = b.get_table<number, readonly bigint[]>("t");
    t.set(
      0,
      t.get(0)!.map((_, cpu) => BigInt(cpu + 5)),
    );
    expect(run(b, "f", 0)).toBe(5);
    expect(run(b, "f", 100_000)).toBe(-1);
  });

  test("ring buffer records of any size go through dynptrs", async () => {
    using b = open(`BPF_RINGBUF_OUTPUT(out, 1);
      int f(${CTX}) {
        struct bpf_dynptr p; u32 size = ctx->args[0] & 63; u64 word = 7;
        if (out.ringbuf_reserve_dynptr(size, 0, &p) == 0) bpf_dynptr_write(&p, 0, &word, sizeof(word), 0);
        out.ringbuf_submit_dynptr(&p, 0);
        return 0;
      }`);
    using events = collect(b.get_table<never, Uint8Array>("out").events());
    run(b, "f", 8);
    run(b, "f", 24);
    await eventually("both records", () => events.items.length === 2);
    expect(events.items.map((bytes) => [bytes.length, bytes[0]])).toEqual([
      [8, 7],
      [24, 7],
    ]);
  });
});

describe("increment", () => {
  beforeEach((context) => needsKernel(context));

  test("makes missing prefixes in a prefix tree", () => {
    using b = open(`struct prefix { u32 length; u32 address; }; BPF_LPM_TRIE(t, struct prefix, u64, 8);
      int f(${CTX}) { t.increment((struct prefix){ 32, ctx->args[0] }); return 0; }`);
    run(b, "f", 5);
    run(b, "f", 5);
    expect(b.get_table("t").items()).toEqual([[{ length: 32, address: 5 }, 2n]]);
  });
});

describe("the drop counter", () => {
  beforeEach((context) => needsKernel(context, "ringbuf"));
  const flood = `struct data_t { u64 number; u64 filler[31]; }; BPF_RINGBUF_OUTPUT(out, 1);
    int f(${CTX}) {
      for (int i = 0; i < 600; i++) { struct data_t data = { .number = i }; out.ringbuf_output(&data, sizeof(data), 0); }
      return 0;
    }`;

  test("lets a loop of 600 outputs pass the verifier, and counts what does not fit", async () => {
    using b = open(flood);
    const out = b.get_table("out");
    using losses = collect(out.lost);
    using events = collect(out.events());
    run(b, "f");
    await eventually("every record", () => events.items.length + out.lostTotal === 600);
    expect(losses.items.at(-1)?.total).toBe(out.lostTotal);
  });

  test("is left out on request", async () => {
    using b = open(flood, { countDrops: false });
    const out = b.get_table("out");
    using events = collect(out.events());
    b.load_func("f", BPF.RAW_TRACEPOINT);
    run(b, "f");
    await eventually("the records that fit", () => events.items.length > 0);
    expect(out.lostTotal).toBe(0);
  });
});
