import { execFileSync } from "node:child_process";
import { beforeEach, describe, expect, test } from "vitest";
import { isAtLeast } from "../../../framework/core/version.ts";
import type { BPF, Loss } from "../../../framework/index.ts";
import { kernelVersion } from "../../../framework/sys/proc.ts";
import { collect, eventually, run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
/** Records of one flood: several times what one page of a buffer holds. */
const FLOOD = 100;
const RECORD = "struct data_t { u64 number; u64 filler[31]; };";
const SUBMIT = "struct data_t data = { .number = number }; out.perf_submit(ctx, &data, sizeof(data));";

/** flood sends many records at once, numbered from its argument on, and nobody can read in between; one sends one. */
function source(declaration: string, send: string): string {
  return `${RECORD} ${declaration};
    int one(${CTX}) { u64 number = ctx->args[0]; ${send} return 0; }
    int flood(${CTX}) {
      for (int i = 0; i < ${FLOOD}; i++) { u64 number = ctx->args[0] + i; ${send} }
      return 0;
    }`;
}

const RING = "BPF_RINGBUF_OUTPUT(out, 1)";
const ways = {
  ringbuf_output: source(
    RING,
    "struct data_t data = { .number = number }; out.ringbuf_output(&data, sizeof(data), 0);",
  ),
  ringbuf_reserve: source(
    RING,
    `struct data_t *data = out.ringbuf_reserve(sizeof(*data));
     if (data) { data->number = number; out.ringbuf_submit(data, 0); }`,
  ),
  perf_submit: source("BPF_PERF_OUTPUT(out)", SUBMIT),
} as const;

interface Data {
  readonly number: bigint;
}

/** Keeps this thread on one CPU: a perf buffer tells of its losses only with that CPU's next record. */
function pinned(): Disposable {
  const mask = (words: readonly string[]): string => execFileSync("taskset", words, { encoding: "utf8" });
  const before = mask(["-pc", `${process.pid}`])
    .trim()
    .split(": ")
    .at(-1)!;
  mask(["-pc", "0", `${process.pid}`]);
  return { [Symbol.dispose]: () => void mask(["-pc", before, `${process.pid}`]) };
}

/** Produces records and counts them. */
class Producer {
  produced = 0;
  readonly #b: BPF;

  constructor(b: BPF) {
    this.#b = b;
  }

  flood(): void {
    run(this.#b, "flood", this.produced);
    this.produced += FLOOD;
  }

  /** Waits until every record was received or lost, sending one more at each look when losses come with the next. */
  async settle(accounted: () => number, sendMore: boolean): Promise<void> {
    await eventually("every record to be received or lost", () => {
      if (accounted() >= this.produced) return true;
      if (sendMore) run(this.#b, "one", this.produced++);
      return false;
    });
    expect(accounted()).toBe(this.produced);
  }
}

describe.each(["ringbuf_output", "ringbuf_reserve", "perf_submit"] as const)("a flood through %s", (way) => {
  const isPerf = way === "perf_submit";
  beforeEach((context) => needsKernel(context, ...(isPerf ? [] : (["ringbuf"] as const))));

  test("what a stream received and what was lost are together exactly what was produced", async () => {
    using _ = pinned();
    using b = open(ways[way]);
    const out = b.get_table<never, Data>("out");
    using losses = collect(out.lost);
    using events = collect(out.events({ pages: 1 }));
    const producer = new Producer(b);
    for (let i = 0; i < 5; i++) {
      producer.flood();
      await producer.settle(() => events.items.length + out.lostTotal, isPerf);
    }
    expect(out.lostTotal).toBeGreaterThan(FLOOD);
    expect(losses.items.reduce((total: number, { count }: Loss) => total + count, 0)).toBe(out.lostTotal);
    expect(losses.items.at(-1)?.total).toBe(out.lostTotal);
    expect(out.lostCounts).toEqual([{ count: out.lostTotal, cpu: expect.any(Number), reason: "buffer" }]);
    expect(events.end).toBe("open");
    const numbers = events.items.map(({ number }) => number);
    expect(numbers).toEqual([...new Set(numbers)].sort((x, y) => Number(x - y)));
  });

  test("what callbacks received and what was lost are too", async () => {
    using _ = pinned();
    using b = open(ways[way]);
    const out = b.get_table<never, Data>("out");
    using losses = collect(out.lost);
    let received = 0;
    let lost = 0;
    if (isPerf) out.open_perf_buffer(() => received++, { page_cnt: 1, lost_cb: (count) => (lost += count) });
    else out.open_ring_buffer(() => received++);
    const producer = new Producer(b);
    for (let i = 0; i < 3; i++) {
      producer.flood();
      await producer.settle(() => {
        if (isPerf) b.perf_buffer_consume();
        else b.ring_buffer_consume();
        return received + out.lostTotal;
      }, isPerf);
    }
    expect(out.lostTotal).toBeGreaterThan(FLOOD);
    expect(losses.items.at(-1)?.total).toBe(out.lostTotal);
    if (isPerf) expect(lost).toBe(out.lostTotal);
  });
});

describe("losses that no record tells of", () => {
  beforeEach((context) => needsKernel(context));

  test("of a perf buffer are known as soon as it was read, when it is asked for them, and when its last subscriber leaves", async (context) => {
    if (!isAtLeast(kernelVersion(), "6.0")) context.skip("the kernel has no count of lost records");
    using _ = pinned();
    using b = open(ways.perf_submit);
    const out = b.get_table<never, Data>("out");
    using losses = collect(out.lost);
    const events = collect(out.events({ pages: 1 }));
    run(b, "flood");
    await eventually("all to be received or lost", () => {
      const lost = losses.items.at(-1)?.total ?? 0;
      return events.items.length + lost === FLOOD && lost > 0;
    });
    run(b, "flood");
    expect(out.lostTotal).toBe(losses.items.at(-1)?.total);
    const told = losses.items.length;
    run(b, "flood");
    events[Symbol.dispose]();
    expect(losses.items.length).toBe(told + 1);
    expect(losses.items.at(-1)!.count).toBe(FLOOD);
  });

  test("of a ring buffer without a reader are known when asked for", () => {
    using b = open(ways.ringbuf_output);
    const out = b.get_table<never, Data>("out");
    using _ = collect(out.lost);
    run(b, "flood");
    const first = out.lostTotal;
    run(b, "flood");
    expect(out.lostTotal).toBe(first + FLOOD);
  });
});

describe("losses nobody listens to", () => {
  beforeEach((context) => needsKernel(context, "ringbuf"));

  test("are printed to stderr in BCC's words", async () => {
    using b = open(ways.ringbuf_output);
    const out = b.get_table<never, Data>("out");
    const written: string[] = [];
    const write = process.stderr.write;
    process.stderr.write = (text: string | Uint8Array): boolean => written.push(String(text)) > 0;
    try {
      out.open_ring_buffer(() => {});
      run(b, "flood");
      b.ring_buffer_consume();
    } finally {
      process.stderr.write = write;
    }
    expect(written).toContain(`Possibly lost ${out.lostTotal} samples\n`);
    expect(out.lostTotal).toBeGreaterThan(0);
  });
});
