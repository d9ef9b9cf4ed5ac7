import { setTimeout as delay } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { type BPF, ClosedError, UsageError } from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

/** One event table; f sends its first argument. */
const kinds = [
  {
    kind: "perf",
    source: `BPF_PERF_OUTPUT(out);
      int f(${CTX}) { u64 n = ctx->args[0]; out.perf_submit(ctx, &n, sizeof(n)); return 0; }`,
    openBuffer: (b: BPF, callback: (n: bigint) => void): void => {
      const out = b.get_table<never, bigint>("out");
      out.open_perf_buffer((_, data) => callback(out.event(data)));
    },
    poll: (b: BPF, wait?: Parameters<BPF["perf_buffer_poll"]>[0]) => b.perf_buffer_poll(wait),
    consume: (b: BPF) => b.perf_buffer_consume(),
  },
  {
    kind: "ring",
    source: `BPF_RINGBUF_OUTPUT(out, 1);
      int f(${CTX}) { u64 n = ctx->args[0]; out.ringbuf_output(&n, sizeof(n), 0); return 0; }`,
    openBuffer: (b: BPF, callback: (n: bigint) => void): void => {
      const out = b.get_table<never, bigint>("out");
      out.open_ring_buffer((_, data) => callback(out.event(data)));
    },
    poll: (b: BPF, wait?: Parameters<BPF["ring_buffer_poll"]>[0]) => b.ring_buffer_poll(wait),
    consume: (b: BPF) => b.ring_buffer_consume(),
  },
] as const;

describe.each(kinds)("polling $kind buffers", ({ kind, source, openBuffer, poll, consume }) => {
  beforeEach((context) => needsKernel(context, ...(kind === "ring" ? (["ringbuf"] as const) : [])));

  test("resolves with how many records its callbacks got", async () => {
    using b = open(source);
    const got: bigint[] = [];
    openBuffer(b, (n) => got.push(n));
    run(b, "f", 1);
    run(b, "f", 2);
    let count = 0;
    while (count < 2) count += await poll(b);
    expect([count, got]).toEqual([2, [1n, 2n]]);
  });

  test("waits for a record that comes later", async () => {
    using b = open(source);
    const got: bigint[] = [];
    openBuffer(b, (n) => got.push(n));
    const polling = poll(b);
    await delay(20);
    expect(got).toEqual([]);
    run(b, "f", 5);
    expect([await polling, got]).toEqual([1, [5n]]);
  });

  test("resolves with 0 when the timeout is over, at once when it is 0, and when the signal aborts", async () => {
    using b = open(source);
    openBuffer(b, () => {});
    expect(await poll(b, 10)).toBe(0);
    expect(await poll(b, 0)).toBe(0);
    expect(await poll(b, { timeout: 10 })).toBe(0);
    expect(await poll(b, { signal: AbortSignal.abort() })).toBe(0);
    const stop = new AbortController();
    const polling = poll(b, { signal: stop.signal });
    stop.abort();
    expect(await polling).toBe(0);
  });

  test("consume takes what is there without waiting", () => {
    using b = open(source);
    const got: bigint[] = [];
    openBuffer(b, (n) => got.push(n));
    expect(consume(b)).toBe(0);
    for (let i = 0; i < 3; i++) run(b, "f", i);
    expect([consume(b), consume(b), got]).toEqual([3, 0, [0n, 1n, 2n]]);
  });

  test("what a callback throws comes out of poll, and reading goes on with the next record", async () => {
    using b = open(source);
    const got: bigint[] = [];
    openBuffer(b, (n) => {
      if (n === 1n) throw new RangeError("not one");
      got.push(n);
    });
    run(b, "f", 1);
    await expect(poll(b)).rejects.toThrow("not one");
    run(b, "f", 2);
    expect(await poll(b)).toBe(1);
    expect(got).toEqual([2n]);
  });

  test("without an opened buffer it is an error that says what to call", async () => {
    using b = open(source);
    await expect(poll(b)).rejects.toBeInstanceOf(UsageError);
    expect(failure(UsageError, () => consume(b)).hint).toBe(`call open_${kind}_buffer on a table first`);
  });

  test("closing rejects a poll that waits, and later ones", async () => {
    const b = open(source);
    openBuffer(b, () => {});
    const polling = poll(b);
    b.close();
    await expect(polling).rejects.toBeInstanceOf(ClosedError);
    await expect(poll(b)).rejects.toBeInstanceOf(ClosedError);
  });

  test("an unknown option is an error", async () => {
    using b = open(source);
    openBuffer(b, () => {});
    const wait = { timeOut: 5 } as unknown as { timeout: number };
    await expect(poll(b, wait)).rejects.toThrow(`${kind}_buffer_poll: unknown option "timeOut"`);
  });
});

describe("opening the wrong buffer", () => {
  beforeEach((context) => needsKernel(context, "ringbuf"));

  test("names the right one", () => {
    using b = open(`BPF_PERF_OUTPUT(perf); BPF_RINGBUF_OUTPUT(ring, 1); int f(void *ctx) { return 0; }`);
    const ring = failure(UsageError, () => b.get_table("perf").open_ring_buffer(() => {}));
    const perf = failure(UsageError, () => b.get_table("ring").open_perf_buffer(() => {}));
    expect([ring.hint, perf.hint]).toEqual([
      "use open_perf_buffer(callback)",
      "use open_ring_buffer(callback)",
    ]);
  });

  test("a number of pages that is no power of two is an error", () => {
    using b = open("BPF_PERF_OUTPUT(perf); int f(void *ctx) { return 0; }");
    const error = failure(UsageError, () => b.get_table("perf").open_perf_buffer(() => {}, { page_cnt: 3 }));
    expect(error.message).toBe("a perf buffer's pages must be a power of two, not 3");
  });
});
