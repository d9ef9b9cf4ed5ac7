import { beforeEach, describe, expect, test } from "vitest";
import { BPF, EventTable } from "../../../framework/index.ts";
import { collect, eventually, run, runOnPacket } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

interface Data {
  readonly number: number;
  readonly name: string;
}

const DATA = "struct data_t { u32 number; char name[12]; };";

describe("BPF_PERF_OUTPUT", () => {
  beforeEach((context) => needsKernel(context));

  test("perf_submit sends a struct, which events() decodes", async () => {
    using b = open(`${DATA} BPF_PERF_OUTPUT(out);
      int f(${CTX}) {
        struct data_t data = { .number = ctx->args[0], .name = "hello" };
        return out.perf_submit(ctx, &data, sizeof(data));
      }`);
    const out = b.get_table<never, Data>("out");
    expect(out).toBeInstanceOf(EventTable);
    using events = collect(out.events());
    expect([run(b, "f", 1), run(b, "f", 2)]).toEqual([0, 0]);
    await eventually("two events", () => events.items.length >= 2);
    expect(events.items).toEqual([
      { number: 1, name: "hello" },
      { number: 2, name: "hello" },
    ]);
  });

  test("open_perf_buffer's callback gets the CPU, a copy of the bytes, and their length; event() decodes them", async () => {
    using b = open(`${DATA} BPF_PERF_OUTPUT(out);
      int f(${CTX}) {
        struct data_t data = { .number = bpf_get_smp_processor_id(), .name = "here" };
        out.perf_submit(ctx, &data, sizeof(data));
        return 0;
      }`);
    const out = b.get_table<never, Data>("out");
    const calls: { cpu: number; size: number; event: Data }[] = [];
    out.open_perf_buffer((cpu, data, size) => calls.push({ cpu, size, event: out.event(data) }), {
      page_cnt: 2,
    });
    run(b, "f");
    expect(await b.perf_buffer_poll()).toBe(1);
    const [{ cpu, size, event }] = calls as [(typeof calls)[0]];
    expect(event).toEqual({ number: cpu, name: "here" });
    // The kernel pads a record with its 4-byte length to a multiple of 8.
    expect(size).toBe(20);
  });

  test("perf_submit_skb sends a struct and the first bytes of the packet", async () => {
    using b = open(`${DATA} BPF_PERF_OUTPUT(out);
      int f(struct __sk_buff *skb) {
        struct data_t data = { .number = skb->len };
        out.perf_submit_skb(skb, 4, &data, sizeof(data));
        return 0;
      }`);
    const records: Uint8Array[] = [];
    b.get_table("out").open_perf_buffer((_, data) => records.push(data));
    const packet = Uint8Array.from({ length: 60 }, (_, i) => i);
    runOnPacket(b, "f", BPF.SCHED_CLS, packet);
    expect(await b.perf_buffer_poll()).toBe(1);
    expect([...records[0]!.subarray(16, 20)]).toEqual([0, 1, 2, 3]);
  });

  test("two structs through one table are told apart by their length", async () => {
    using b = open(`struct small { u32 a; }; struct large { u64 b, c, d; };
      BPF_PERF_OUTPUT(out);
      int f(${CTX}) { struct small s = { 1 }; out.perf_submit(ctx, &s, sizeof(s)); return 0; }
      int g(${CTX}) { struct large l = { 1, 2, 3 }; out.perf_submit(ctx, &l, sizeof(l)); return 0; }`);
    using events = collect(b.get_table("out").events());
    run(b, "f");
    run(b, "g");
    await eventually("both events", () => events.items.length === 2);
    expect(events.items).toEqual([{ a: 1 }, { b: 1n, c: 2n, d: 3n }]);
  });
});

describe("BPF_RINGBUF_OUTPUT", () => {
  beforeEach((context) => needsKernel(context, "ringbuf"));

  test("ringbuf_output copies a struct out, which events() decodes", async () => {
    using b = open(`${DATA} BPF_RINGBUF_OUTPUT(out, 1);
      int f(${CTX}) {
        struct data_t data = { .number = ctx->args[0], .name = "ring" };
        return out.ringbuf_output(&data, sizeof(data), 0);
      }`);
    using events = collect(b.get_table<never, Data>("out").events());
    expect([run(b, "f", 7), run(b, "f", 8)]).toEqual([0, 0]);
    await eventually("two events", () => events.items.length >= 2);
    expect(events.items).toEqual([
      { number: 7, name: "ring" },
      { number: 8, name: "ring" },
    ]);
  });

  test("ringbuf_reserve and submit send a record; discard sends none", async () => {
    using b = open(`${DATA} BPF_RINGBUF_OUTPUT(out, 1);
      int f(${CTX}) {
        struct data_t *data = out.ringbuf_reserve(sizeof(*data));
        if (!data) return 1;
        data->number = ctx->args[0];
        __builtin_memcpy(data->name, "reserved", 9);
        if (ctx->args[1]) out.ringbuf_discard(data, 0);
        else out.ringbuf_submit(data, 0);
        return 0;
      }`);
    const seen: unknown[] = [];
    const out = b.get_table<never, Data>("out");
    out.open_ring_buffer((_, data) => seen.push(out.event(data)));
    run(b, "f", 1, 0);
    run(b, "f", 2, 1);
    run(b, "f", 3, 0);
    b.ring_buffer_consume();
    expect(seen).toEqual([
      { number: 1, name: "reserved" },
      { number: 3, name: "reserved" },
    ]);
  });

  test("open_ring_buffer's callback gets the given context, and the size is the record's own", async () => {
    using b = open(`BPF_RINGBUF_OUTPUT(out, 1);
      int f(${CTX}) { u32 number = 5; out.ringbuf_output(&number, sizeof(number), 0); return 0; }`);
    const out = b.get_table<never, number>("out");
    const calls: unknown[] = [];
    out.open_ring_buffer((ctx, data, size) => calls.push([ctx, out.event(data), size]), "mine");
    run(b, "f");
    expect(await b.ring_buffer_poll()).toBe(1);
    expect(calls).toEqual([["mine", 5, 4]]);
  });

  test("the size is in pages: BPF_RINGBUF_OUTPUT(out, 2) has 8192 bytes", () => {
    using b = open(`BPF_RINGBUF_OUTPUT(out, 2); int f(${CTX}) { return out.ringbuf_query(1); }`);
    expect(b.get_table("out").max_entries).toBe(8192);
    expect(run(b, "f")).toBe(8192); // BPF_RB_RING_SIZE
  });
});
