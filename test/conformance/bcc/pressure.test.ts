import { describe, expect, test } from "vitest";
import { BPF, type BpfOptions } from "../../../framework/index.ts";
import { collect, eventually } from "../../support/events.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";

/** One function for each way to put something into a table; each tries to put in what its argument says. */
const SOURCE = `
BPF_HASH(updated, u32, u64, 4);
BPF_HASH(inserted, u32, u64, 4);
BPF_HASH(counted, u32, u64, 4);
BPF_HASH(begun, u32, u64, 4);
BPF_TABLE("lru_hash", u32, u64, recent, 64);
BPF_ARRAY(slots, u64, 4);
BPF_QUEUE(waiting, u64, 4);
RAW_TRACEPOINT_PROBE(sys_enter) {
  u32 key = ctx->args[0];
  u64 value = 1;
  updated.update(&key, &value);
  inserted.insert(&key, &value);
  counted.increment(key);
  u64 *begin = begun.lookup_or_try_init(&key, &value);
  recent.update(&key, &value);
  slots.update(&key, &value);
  waiting.push(&value, 0);
  return 0;
}`;

describe.each(runtimes)("tables of the $name", ({ name, reason }) => {
  const open = (options: Partial<BpfOptions> = {}): BPF =>
    new BPF({ text: SOURCE, runtime: name, autoAttach: false, ...options });
  /** Puts something in under the keys from 0, as many times. */
  const put = (b: BPF, times: number): void => {
    for (let key = 0; key < times; key++) b.fire("raw_tracepoint__sys_enter", { args: [BigInt(key)] });
  };

  test.for(["updated", "inserted", "counted", "begun", "slots", "waiting"])(
    "count the updates of %s that the kernel refuses, on request",
    (table, context) => {
      needsRuntime(context, reason);
      using b = open({ countFailedUpdates: true });
      const found = b.get_table(table);
      put(b, 4);
      expect(found.failedUpdates).toBe(0);
      put(b, 7);
      expect(found.failedUpdates).toBe(table === "waiting" ? 7 : 3);
    },
  );

  test("do not count them otherwise", (context) => {
    needsRuntime(context, reason);
    using b = open();
    put(b, 8);
    expect(b.get_table("updated").pressureNow()).toEqual({
      entries: 4,
      maxEntries: 4,
      share: 1,
      failedUpdates: undefined,
    });
  });

  test("tell how full they are", (context) => {
    needsRuntime(context, reason);
    using b = open({ countFailedUpdates: true });
    const hash = b.get_table("updated");
    expect(hash.pressureNow()).toEqual({ entries: 0, maxEntries: 4, share: 0, failedUpdates: 0 });
    put(b, 3);
    expect(hash.pressureNow()).toEqual({ entries: 3, maxEntries: 4, share: 0.75, failedUpdates: 0 });
    expect(b.get_table("slots").pressureNow().share).toBe(1);
  });

  test("make room where they are LRU, and refuse nothing", (context) => {
    needsRuntime(context, reason);
    using b = open({ countFailedUpdates: true });
    put(b, 1000);
    const { entries, failedUpdates } = b.get_table("recent").pressureNow();
    expect(entries).toBeLessThanOrEqual(64);
    expect(failedUpdates).toBe(0);
  });

  test("stream their pressure, until they are closed", async (context) => {
    needsRuntime(context, reason);
    const b = open({ countFailedUpdates: true });
    using pressures = collect(b.get_table("updated").pressure(5));
    await eventually("a first look", () => pressures.items.length > 0);
    put(b, 6);
    await eventually("a full table", () => pressures.items.at(-1)?.failedUpdates === 2);
    expect(pressures.items[0]).toEqual({ entries: 0, maxEntries: 4, share: 0, failedUpdates: 0 });
    expect(pressures.items.at(-1)?.share).toBe(1);
    b.close();
    expect(pressures.end).toBe("complete");
  });
});

describe.each(runtimes)("public tables of the $name", ({ name, reason }) => {
  test("have one count for all objects that count", (context) => {
    needsRuntime(context, reason);
    const options = { runtime: name, autoAttach: false, countFailedUpdates: true } as const;
    const body = `RAW_TRACEPOINT_PROBE(sys_enter) { u32 key = ctx->args[0]; u64 one = 1; shared.update(&key, &one); return 0; }`;
    using owner = new BPF({
      text: `BPF_TABLE_PUBLIC("hash", u32, u64, shared, 2); ${body}`,
      ...options,
    });
    using other = new BPF({ text: `BPF_TABLE("extern", u32, u64, shared, 2); ${body}`, ...options });
    for (let key = 0; key < 3; key++) {
      owner.fire("raw_tracepoint__sys_enter", { args: [BigInt(key)] });
      other.fire("raw_tracepoint__sys_enter", { args: [BigInt(key + 10)] });
    }
    expect(owner.get_table("shared").failedUpdates).toBe(4);
    expect(other.get_table("shared").failedUpdates).toBe(4);
  });
});
