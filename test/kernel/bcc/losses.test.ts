import { beforeEach, describe, expect, test } from "vitest";
import { type BPF, type Loss } from "../../../framework/index.ts";
import { collect, eventually, run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
/** More records of this size than one page of any buffer holds. */
const FLOOD = 600;
const RECORD = "struct data_t { u64 number; u64 filler[7]; };";

/** f sends FLOOD records at once, numbered from its first argument on; nobody can read in between. */
const sources = {
  output: `${RECORD} BPF_RINGBUF_OUTPUT(out, 1);
    int f(${CTX}) {
      for (int i = 0; i < ${FLOOD}; i++) {
        struct data_t data = { .number = ctx->args[0] + i };
        out.ringbuf_output(&data, sizeof(data), 0);
      }
      return 0;
    }`,
  reserve: `${RECORD} BPF_RINGBUF_OUTPUT(out, 1);
    int f(${CTX}) {
      for (int i = 0; i < ${FLOOD}; i++) {
        struct data_t *data = out.ringbuf_reserve(sizeof(*data));
        if (!data) continue;
        data->number = ctx->args[0] + i;
        out.ringbuf_submit(data, 0);
      }
      return 0;
    }`,
  perf: `${RECORD} BPF_PERF_OUTPUT(out);
    int f(${CTX}) {
      for (int i = 0; i < ${FLOOD}; i++) {
        struct data_t data = { .number = ctx->args[0] + i };
        out.perf_submit(ctx, &data, sizeof(data));
      }
      return 0;
    }`,
} as const;

interface Data {
  readonly number: bigint;
}

const sum = (losses: readonly Loss[]): number => losses.reduce((total, { count }) => total + count, 0);

describe.each(["output", "reserve", "perf"] as const)("a flood through %s", (way) => {
  beforeEach((context) => needsKernel(context, ...(way === "perf" ? [] : (["ringbuf"] as const))));

  test("what a stream received and what was lost are together exactly what was produced", async () => {
    using b = open(sources[way]);
    const out = b.get_table<never, Data>("out");
    using losses = collect(out.lost);
    using events = collect(out.events({ pages: 1 }));
    for (let flood = 0; flood < 5; flood++) {
      run(b, "f", flood * FLOOD);
      const produced = (flood + 1) * FLOOD;
      await accounted(b, produced, () => events.items.length + out.lostTotal);
      expect(events.items.length + out.lostTotal).toBe(produced);
    }
    expect(out.lostTotal).toBeGreaterThan(FLOOD);
    expect(sum(losses.items)).toBe(out.lostTotal);
    expect(losses.items.at(-1)?.total).toBe(out.lostTotal);
    expect(events.end).toBe("open");
    expect(new Set(events.items.map(({ number }) => number)).size).toBe(events.items.length);
  });

  test("a callback's records and losses are too", async () => {
    using b = open(sources[way]);
    const out = b.get_table<never, Data>("out");
    let received = 0;
    let lost = 0;
    if (way === "perf") {
      out.open_perf_buffer(() => received++, { page_cnt: 1, lost_cb: (count) => (lost += count) });
    } else {
      out.open_ring_buffer(() => received++);
    }
    const consume = (): number => (way === "perf" ? b.perf_buffer_consume() : b.ring_buffer_consume());
    run(b, "f");
    consume();
    run(b, "f", FLOOD);
    consume();
    await accounted(b, 2 * FLOOD, () => {
      consume();
      return received + out.lostTotal;
    });
    expect(received + out.lostTotal).toBe(2 * FLOOD);
    if (way === "perf") expect(lost).toBe(out.lostTotal);
  });
});

/**
 * Waits until everything is accounted for. A perf buffer tells of losses with the next record that fits, so records
 * go on coming: each adds one to what was produced, and is not counted.
 */
async function accounted(b: BPF, produced: number, count: () => number): Promise<void> {
  void b;
  await eventually(`${produced} records to be received or lost`, () => count() >= produced);
}
