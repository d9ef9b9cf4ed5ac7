import { beforeEach, describe, expect, test } from "vitest";
import { UsageError } from "../../../framework/index.ts";
import { collect, eventually, run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
/** Two types of one size, and one of another. */
const TYPES = `struct exec_t { u64 a; u32 pid; }; struct exit_t { u32 code; u64 b; }; struct note_t { char text[40]; };`;

const ways = {
  perf_submit: (data: string) => `out.perf_submit(ctx, &${data}, sizeof(${data}));`,
  ringbuf_output: (data: string) => `out.ringbuf_output(&${data}, sizeof(${data}), 0);`,
} as const;

function source(way: keyof typeof ways, more = ""): string {
  const send = ways[way];
  return `${TYPES} ${way === "perf_submit" ? "BPF_PERF_OUTPUT(out)" : "BPF_RINGBUF_OUTPUT(out, 4)"};
    static void leave(${CTX}) { struct exit_t e = { .code = 3, .b = 4 }; ${send("e")} }
    int entered(${CTX}) { struct exec_t e = { .a = 1, .pid = 2 }; ${send("e")} return 0; }
    int left(${CTX}) { leave(ctx); return 0; }
    int note(${CTX}) { struct note_t n = { "hi" }; ${send("n")} return 0; }
    ${more}`;
}

const enter = { a: 1n, pid: 2 };
const exit = { code: 3, b: 4n };

describe.each(["perf_submit", "ringbuf_output"] as const)("several types of one size through %s", (way) => {
  beforeEach((context) => needsKernel(context, ...(way === "perf_submit" ? [] : (["ringbuf"] as const))));

  test("come out as what they are, in the order they were sent", async () => {
    using b = open(source(way));
    using events = collect(b.get_table("out").events());
    for (const name of ["entered", "left", "note", "left", "entered"]) run(b, name);
    await eventually("five events", () => events.items.length === 5);
    // Each CPU has a perf buffer of its own, and a run may move between CPUs.
    const sent = [enter, exit, { text: "hi" }, exit, enter];
    if (way === "ringbuf_output") expect(events.items).toEqual(sent);
    else expect(new Set(events.items.map(String))).toEqual(new Set(sent.map(String)));
    for (const one of sent) expect(events.items).toContainEqual(one);
  });

  test("can be read one type at a time", async () => {
    using b = open(source(way));
    const out = b.get_table("out");
    using exits = collect(out.events({ type: "struct exit_t" }));
    using enters = collect(out.eventBatches({ type: "exec_t" }));
    for (const name of ["entered", "left", "left"]) run(b, name);
    await eventually("the events", () => exits.items.length === 2 && enters.items.flat().length === 1);
    expect([exits.items, enters.items.flat()]).toEqual([[exit, exit], [enter]]);
    expect(failure(UsageError, () => out.events({ type: "struct exits_t" })).hint).toContain("struct exit_t");
  });

  test("callbacks get the event's own bytes, and event() knows their type", async () => {
    using b = open(source(way));
    const out = b.get_table("out");
    const received: [unknown, number][] = [];
    const take = (data: Uint8Array): void => void received.push([out.event(data), data.length]);
    if (way === "perf_submit") out.open_perf_buffer((_cpu, data) => take(data));
    else out.open_ring_buffer((_ctx, data) => take(data));
    run(b, "left");
    run(b, "entered");
    await eventually("both events", () => {
      if (way === "perf_submit") b.perf_buffer_consume();
      else b.ring_buffer_consume();
      return received.length === 2;
    });
    // A perf buffer pads records to a multiple of 8 with their own length of 4 bytes.
    const length = way === "perf_submit" ? 20 : 16;
    expect(received).toContainEqual([exit, length]);
    expect(received).toContainEqual([enter, length]);
    expect(failure(UsageError, () => out.event(new Uint8Array(16))).message).toContain("callback");
  });
});

describe("reserved records of several types", () => {
  beforeEach((context) => needsKernel(context, "ringbuf"));

  test("are told apart, and discarded ones stay away", async () => {
    using b = open(`${TYPES} BPF_RINGBUF_OUTPUT(out, 4);
      int f(${CTX}) {
        struct exec_t *a = out.ringbuf_reserve(sizeof(*a));
        if (!a) return 1;
        a->a = 1; a->pid = 2;
        struct exit_t *b = out.ringbuf_reserve(sizeof(*b));
        if (!b) { out.ringbuf_discard(a, 0); return 1; }
        b->code = 3; b->b = 4;
        if (ctx->args[0]) out.ringbuf_discard(a, 0); else out.ringbuf_submit(a, 0);
        out.ringbuf_submit(b, 0);
        return 0;
      }`);
    using events = collect(b.get_table("out").events());
    run(b, "f", 0);
    run(b, "f", 1);
    await eventually("three events", () => events.items.length === 3);
    expect(events.items).toEqual([enter, exit, exit]);
  });
});

describe("records of one type, or of types that their lengths tell apart", () => {
  beforeEach((context) => needsKernel(context, "ringbuf"));

  test("are the event's bytes and nothing else", async () => {
    using b = open(`${TYPES} BPF_RINGBUF_OUTPUT(out, 4);
      int f(${CTX}) { struct exec_t e = { .a = 1, .pid = 2 }; return out.ringbuf_output(&e, sizeof(e), 0); }
      int g(${CTX}) { struct note_t n = { "hi" }; return out.ringbuf_output(&n, sizeof(n), 0); }`);
    const out = b.get_table("out");
    const raw = out.raw.spec;
    expect([raw.eventTypes.length, raw.eventTags]).toEqual([2, undefined]);
    using notes = collect(out.events({ type: "note_t" }));
    using all = collect(out.events());
    run(b, "f");
    run(b, "g");
    await eventually("both", () => all.items.length === 2);
    expect([all.items, notes.items]).toEqual([[enter, { text: "hi" }], [{ text: "hi" }]]);
  });

  test("a source whose records cannot say what they are still works, read as the last type", async () => {
    using b = open(`${TYPES} BPF_RINGBUF_OUTPUT(out, 4);
      int f(${CTX}) {
        u64 size = ctx->args[0] & 15; struct exec_t e = {};
        out.ringbuf_output(&e, size, 0);
        struct exit_t x = { .code = 3, .b = 4 };
        return out.ringbuf_output(&x, sizeof(x), 0);
      }`);
    expect(b.get_table("out").raw.spec.eventTags).toBeUndefined();
    using events = collect(b.get_table("out").events({ type: "exit_t" }));
    expect(run(b, "f", 1)).toBe(0);
    void events;
  });
});
