import { spawn } from "node:child_process";
import { once } from "node:events";
import { beforeEach, describe, expect, test } from "vitest";
import { type BPF, type EventTable, iterate } from "../../../framework/index.ts";
import { collect, eventually, SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

/** Records that one call of the producer sends, and its calls. */
const RECORDS = 500;
const CALLS = 200;
const PRODUCED = RECORDS * CALLS;
/** A process id that no process has: only the producer asks for its priority. */
const WHO = 0x3f00_0000 + process.pid;

const source = (table: string, send: string): string => `
  struct data_t { u64 number; u64 filler[3]; };
  ${table};
  BPF_ARRAY(sent, u64, 1);
  TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
    if (args->who != ${WHO}) return 0;
    int zero = 0;
    u64 *count = sent.lookup(&zero);
    if (!count) return 0;
    for (int i = 0; i < ${RECORDS}; i++) {
      struct data_t data = { .number = __sync_fetch_and_add(count, 1) };
      ${send};
    }
    return 0;
  }`;

const RING = source("BPF_RINGBUF_OUTPUT(out, 16)", "out.ringbuf_output(&data, sizeof(data), 0)");
const PERF = source("BPF_PERF_OUTPUT(out)", "out.perf_submit(args, &data, sizeof(data))");

interface Data {
  readonly number: bigint;
}

/** Floods a buffer from a process of its own, as fast as it can; done when that has ended. */
async function flood(): Promise<void> {
  const loop = `const { getPriority } = require("node:os");
    for (let i = 0; i < ${CALLS}; i++) try { getPriority(${WHO}); } catch {}`;
  const child = spawn(process.execPath, ["-e", loop], { stdio: "ignore" });
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
}

/** Waits until the received and the lost records are those that were produced, and no more. */
async function settled(out: EventTable<Data>, received: () => number, floods = 1): Promise<void> {
  const accounted = (): number => received() + out.lostTotal;
  await eventually("every record to be received or lost", () => accounted() >= PRODUCED * floods);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(accounted()).toBe(PRODUCED * floods);
}

function events(b: BPF): EventTable<Data> {
  return b.get_table<never, Data>("out");
}

function busyFor(microseconds: number): void {
  const end = performance.now() + microseconds / 1000;
  while (performance.now() < end);
}

describe.each([
  ["a ring buffer", RING, ["ringbuf"]],
  ["a perf buffer", PERF, []],
] as const)("a flood of %s", (_, text, features) => {
  beforeEach((context) => needsKernel(context, "tracepoint", ...features));

  test(
    "is received or lost, each record once and in order, by several subscribers of different kinds",
    async () => {
      using b = open(text);
      const out = events(b);
      using _losses = collect(out.lost);
      let decoded = 0;
      let viewed = 0;
      let last = -1n;
      let isOrdered = true;
      out.events().subscribe(() => decoded++);
      out.eventViews().subscribe(({ number }) => {
        viewed++;
        isOrdered &&= number > last;
        last = number;
      });
      using batches = collect(out.eventBatches());
      using counts = collect(out.eventCounts());
      await flood();
      await settled(out, () => decoded);
      expect(viewed).toBe(decoded);
      expect(batches.items.reduce((sum, batch) => sum + batch.length, 0)).toBe(decoded);
      expect(counts.items.reduce((sum, count) => sum + count, 0)).toBe(decoded);
      // A perf buffer keeps the order of each CPU only.
      if (out.kind === "ringbuf") expect(isOrdered).toBe(true);
    },
    SCRIPT_TIMEOUT_MS,
  );

  test(
    "loses what a slow subscriber leaves no room for, and says how much on each CPU",
    async () => {
      using b = open(text);
      const out = events(b);
      using losses = collect(out.lost);
      let received = 0;
      out.events({ ...(out.kind === "ringbuf" ? {} : { pages: 1 }) }).subscribe(() => {
        received++;
        busyFor(20);
      });
      await flood();
      await settled(out, () => received);
      expect(out.lostTotal).toBeGreaterThan(0);
      expect(out.lostCounts.reduce((sum, { count }) => sum + count, 0)).toBe(out.lostTotal);
      expect(losses.items.reduce((sum, { count }) => sum + count, 0)).toBe(out.lostTotal);
    },
    SCRIPT_TIMEOUT_MS,
  );

  test(
    "leaves a slow loop with as many as its queue holds, and counts those it dropped",
    async () => {
      using b = open(text);
      const out = events(b);
      using _losses = collect(out.lost);
      const stop = new AbortController();
      const loop = iterate(out.events(), { limit: 100, signal: stop.signal });
      let taken = 0;
      const looping = (async () => {
        for await (const _event of loop) {
          taken++;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();
      await flood();
      const queued = (): number => Math.min(100, PRODUCED - out.lostTotal - loop.dropped - taken);
      await settled(out, () => taken + loop.dropped + queued());
      stop.abort();
      await expect(looping).rejects.toThrow(/abort/i);
      const inQueue = out.lostCounts.filter(({ reason }) => reason === "queue");
      expect(inQueue.reduce((sum, { count }) => sum + count, 0)).toBe(loop.dropped);
      expect(loop.dropped).toBeGreaterThan(0);
    },
    SCRIPT_TIMEOUT_MS,
  );
});

describe("a flood of a ring buffer", () => {
  beforeEach((context) => needsKernel(context, "tracepoint", "ringbuf"));

  test(
    "that nobody reads fills it, and counts the rest as lost; a later subscriber gets what is in it",
    async () => {
      using b = open(RING);
      const out = events(b);
      using _losses = collect(out.lost);
      await flood();
      const lost = out.lostTotal;
      expect(lost).toBeGreaterThan(0);
      let received = 0;
      out.events().subscribe(() => received++);
      await settled(out, () => received);
      expect(out.lostTotal).toBe(lost);
    },
    SCRIPT_TIMEOUT_MS,
  );

  test(
    "goes on where the last subscriber left, each record once",
    async () => {
      using b = open(RING);
      const out = events(b);
      using _losses = collect(out.lost);
      let received = 0;
      const turns: number[] = [];
      const read = (): void => {
        let left = 100; // fewer than the buffer holds, however little of the flood is read meanwhile
        const subscription = out.events().subscribe(() => {
          received++;
          if (--left > 0) return;
          subscription.unsubscribe();
          turns.push(received);
          setImmediate(read);
        });
      };
      read();
      await flood();
      await settled(out, () => received);
      expect(turns.length).toBeGreaterThan(1);
    },
    SCRIPT_TIMEOUT_MS,
  );
});
