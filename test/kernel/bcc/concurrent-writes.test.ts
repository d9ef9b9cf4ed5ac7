import { spawn } from "node:child_process";
import { beforeEach, expect, test } from "vitest";
import type { BPF } from "../../../framework/index.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { eventually } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

/** Entries that are there all the time, behind keys that come and go. */
const STEADY = 500;

/** On every system call of one process: a new key comes and the one of 300 calls before goes; queues fill up. */
const SOURCE = `
  BPF_HASH(hash, u64, u64, 4096);
  BPF_TABLE("lru_hash", u64, u64, lru, 1024);
  BPF_PERCPU_HASH(percpu, u64, u64, 4096);
  BPF_QUEUE(queue, u64, 256);
  u64 calls;
  u32 writer;
  RAW_TRACEPOINT_PROBE(sys_enter) {
    if (bpf_get_current_pid_tgid() >> 32 != writer) return 0;
    u64 now = __sync_fetch_and_add(&calls, 1), one = 1;
    for (int i = 0; i < 8; i++) {
      u64 key = 1000000 + now * 8 + i, old = key - 2400;
      hash.update(&key, &one);
      hash.delete(&old);
      lru.update(&key, &one);
      percpu.update(&key, &one);
      percpu.delete(&old);
      queue.push(&key, BPF_EXIST);
    }
    return 0;
  }`;

beforeEach((context) => needsKernel(context));

/** Does something again and again while a process makes the program write as fast as it can. */
async function whileWritten(b: BPF, work: () => void): Promise<void> {
  const child = spawn(process.execPath, ["-e", "for (;;) process.umask()"], { stdio: "ignore" });
  try {
    b.variable<number>("writer").set(child.pid!);
    const calls = b.variable<bigint>("calls");
    await eventually("the first writes", () => calls.get() > 10_000n);
    const before = calls.get();
    for (let i = 0; i < 20; i++) work();
    await eventually("writes while reading", () => calls.get() > before);
  } finally {
    child.kill("SIGKILL");
  }
}

test.each(["hash", "percpu"])(
  "every walk over a %s ends while a program writes, with all that stays there",
  async (name) => {
    using b = open(SOURCE);
    const table = b.get_table<bigint, unknown>(name);
    using runtime = new KernelRuntime();
    const value = name === "hash" ? 7n : Array.from({ length: runtime.cpuCount }, () => 7n);
    const keys = Array.from({ length: STEADY }, (_, i) => BigInt(i));
    table.items_update_batch(
      keys,
      keys.map(() => value),
    );
    const steady = (found: Iterable<bigint>): number =>
      new Set([...found].filter((key) => key < BigInt(STEADY))).size;
    await whileWritten(b, () => {
      const items = table.items();
      expect(steady(items.map(([key]) => key))).toBe(STEADY);
      expect(items.length).toBeLessThanOrEqual(table.max_entries);
      expect([...table.items_lookup_batch()].length).toBeGreaterThanOrEqual(STEADY);
      expect([...table.keys()].length).toBeLessThanOrEqual(table.max_entries);
      expect([...table.iteritems()].length).toBeLessThanOrEqual(table.max_entries);
      expect(table.size).toBeLessThanOrEqual(table.max_entries);
      table.zero();
      expect(table.has(5n)).toBe(true);
    });
  },
);

test("taking, clearing and popping end while a program goes on writing", async () => {
  using b = open(SOURCE);
  const [hash, lru] = [b.get_table<bigint, bigint>("hash"), b.get_table<bigint, bigint>("lru")];
  const queue = b.get_table<never, bigint>("queue");
  await whileWritten(b, () => {
    expect([...hash.items_lookup_and_delete_batch()].length).toBeLessThanOrEqual(hash.max_entries);
    hash.clear();
    hash.items_delete_batch();
    expect(lru.items().length).toBeLessThanOrEqual(2 * lru.max_entries);
    lru.clear();
    expect(queue.values().length).toBeLessThanOrEqual(queue.max_entries);
  });
});
