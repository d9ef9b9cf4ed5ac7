import { beforeEach, describe, expect, test } from "vitest";
import {
  ClosedError,
  MapError,
  PerfSWConfig,
  PerfType,
  UnsupportedError,
  UsageError,
} from "../../../framework/index.ts";
import { onlineCpus } from "../../../framework/sys/proc.ts";
import { run } from "../../support/events.ts";
import { holdings } from "../../support/leaks.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const SOURCE = `
  BPF_PERF_ARRAY(clock, 64);
  BPF_PERF_OUTPUT(out);
  BPF_ARRAY(seen, u64, 2);

  static void keep(int index, u64 value) { seen.update(&index, &value); }

  int read(struct bpf_raw_tracepoint_args *ctx) {
    struct bpf_perf_event_value value = {};
    long error = clock.perf_counter_value(CUR_CPU_IDENTIFIER, &value, sizeof(value));
    keep(0, clock.perf_read(CUR_CPU_IDENTIFIER));
    keep(1, value.counter);
    return error;
  }`;

beforeEach((context) => needsKernel(context));

describe("open_perf_event", () => {
  test("lets programs read the counter of their CPU, which goes on", () => {
    using b = open(SOURCE);
    b.get_table("clock").open_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK);
    const seen = b.get_table<number, bigint>("seen");
    expect(run(b, "read")).toBe(0);
    const [read, value] = seen.values() as [bigint, bigint];
    expect(read).toBeGreaterThan(0n);
    // The clocks of two CPUs differ, so the same program may see another one the next time.
    expect(value).toBeGreaterThan(0n);
    expect(value).toBeLessThanOrEqual(read);
  });

  test("shows here what the counters of all CPUs say", () => {
    using b = open(SOURCE);
    const counters = b.get_table("clock").open_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK);
    const first = counters.values();
    const second = counters.values();
    expect([...first.keys()]).toEqual([...onlineCpus()]);
    for (const [cpu, value] of second) expect(value).toBeGreaterThan(first.get(cpu)!);
  });

  test("counts one thread on one CPU only when asked to", () => {
    using b = open(SOURCE);
    const [cpu] = onlineCpus();
    const table = b.get_table("clock");
    using counters = table.open_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK, process.pid, cpu);
    expect([...counters.values().keys()]).toEqual([cpu]);
  });

  test("takes the counters out when they are disposed, and frees them", () => {
    using b = open(SOURCE);
    run(b, "read"); // loads the program
    const before = holdings().descriptors;
    const counters = b.get_table("clock").open_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK);
    expect(run(b, "read")).toBe(0);
    counters[Symbol.dispose]();
    counters[Symbol.dispose]();
    expect(holdings().descriptors).toEqual(before);
    expect(run(b, "read")).toBe(-2); // ENOENT
  });

  test("refuses counters that there are not, threads that there are not, other tables and closed ones", () => {
    const b = open(SOURCE);
    const table = b.get_table("clock");
    expect(() => table.open_perf_event(PerfType.HW_CACHE, 0xffffff)).toThrow(/counters/);
    expect(() => table.open_perf_event(PerfType.SOFTWARE, 999)).toThrow(UnsupportedError);
    expect(() => table.open_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK, 0x3fff_fff0)).toThrow(
      MapError,
    );
    const ring = open("BPF_RINGBUF_OUTPUT(ring, 1);");
    expect(() => ring.get_table("ring").open_perf_event(1, 0)).toThrow(UsageError);
    ring.close();
    b.close();
    expect(() => table.open_perf_event(1, 0)).toThrow(ClosedError);
  });
});
