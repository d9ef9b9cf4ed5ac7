import type { Subscription } from "rxjs";
import { beforeEach, describe, expect, test } from "vitest";
import { ClosedError, iterate } from "../../../framework/index.ts";
import { collect, eventually, run } from "../../support/events.ts";
import { holdings } from "../../support/leaks.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const RING = `BPF_RINGBUF_OUTPUT(out, 1);
  int f(${CTX}) { u32 n = ctx->args[0]; out.ringbuf_output(&n, sizeof(n), 0); return 0; }`;
const PERF = `BPF_PERF_OUTPUT(out);
  int f(${CTX}) { u32 n = ctx->args[0]; out.perf_submit(ctx, &n, sizeof(n)); return 0; }`;

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

describe.each([
  ["a ring buffer", RING, ["ringbuf"]],
  ["a perf buffer", PERF, []],
] as const)("events() of %s", (_, source, features) => {
  beforeEach((context) => needsKernel(context, ...features));

  test("several subscribers get every event, through one buffer", async () => {
    using b = open(source);
    run(b, "f", 0); // loads the program
    const out = b.get_table<never, number>("out");
    using first = collect(out.events());
    const opened = holdings().descriptors.length;
    using second = collect(out.events());
    expect(holdings().descriptors.length).toBe(opened);
    for (const n of [1, 2, 3]) run(b, "f", n);
    await eventually("both to get all", () => first.items.at(-1) === 3 && second.items.at(-1) === 3);
    expect(first.items.slice(-3)).toEqual([1, 2, 3]);
    expect(second.items).toEqual(first.items);
  });

  test("unsubscribing ends reading; subscribing again goes on", async () => {
    using b = open(source);
    const out = b.get_table<never, number>("out");
    run(b, "f", 0);
    collect(out.events())[Symbol.dispose](); // a perf buffer stays open from now on
    const before = holdings().descriptors;
    const first = collect(out.events());
    run(b, "f", 1);
    await eventually("the first event", () => first.items.includes(1));
    first[Symbol.dispose]();
    expect(holdings().descriptors).toEqual(before);
    using again = collect(out.events());
    run(b, "f", 2);
    await eventually("the next event", () => again.items.includes(2));
    expect(first.items).not.toContain(2);
  });

  test("a subscriber may unsubscribe inside of its own callback, others go on", async () => {
    using b = open(source);
    const out = b.get_table<never, number>("out");
    const got: number[] = [];
    const once: Subscription = out.events().subscribe((n) => {
      got.push(n);
      once.unsubscribe();
    });
    using other = collect(out.events());
    for (const n of [1, 2, 3]) run(b, "f", n);
    await eventually("the other to get all", () => other.items.length === 3);
    expect(got).toEqual([1]);
  });

  test("the only subscriber may unsubscribe inside of its callback, which ends reading", async () => {
    using b = open(source);
    const out = b.get_table<never, number>("out");
    const got: number[] = [];
    const once: Subscription = out.events().subscribe((n) => {
      got.push(n);
      once.unsubscribe();
    });
    for (const n of [1, 2, 3]) run(b, "f", n);
    await eventually("an event", () => got.length > 0);
    await settled();
    expect(got).toEqual([1]);
  });

  test("closing completes the stream; subscribing then is a ClosedError", async () => {
    const b = open(source);
    const out = b.get_table<never, number>("out");
    const events = collect(out.events());
    b.close();
    expect(events.end).toBe("complete");
    const late = collect(out.events());
    expect(late.end).toEqual({ error: expect.any(ClosedError) });
  });

  test("a signal completes the stream", () => {
    using b = open(source);
    const stop = new AbortController();
    const events = collect(b.get_table("out").events({ signal: stop.signal }));
    stop.abort();
    expect(events.end).toBe("complete");
  });

  test("a for await loop over the stream gets events until it breaks", async () => {
    using b = open(source);
    const out = b.get_table<never, number>("out");
    run(b, "f", 0);
    collect(out.events())[Symbol.dispose](); // a perf buffer stays open from now on
    const before = holdings().descriptors;
    const got: number[] = [];
    const timer = setInterval(() => run(b, "f", got.length + 1), 5);
    for await (const n of iterate(out.events())) {
      got.push(n);
      if (got.length === 3) break;
    }
    clearInterval(timer);
    expect(got).toHaveLength(3);
    expect(holdings().descriptors).toEqual(before);
  });
});
