import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type BPF, PerfSWConfig, PerfType } from "../../../framework/index.ts";
import { collect, eventually, SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { expectReleased, holdings } from "../../support/leaks.ts";
import { needsGuest } from "../../support/skip.ts";
import { reportFromNamespace } from "./in-namespace.ts";
import { open } from "./open.ts";

/** A processor that can be taken away; the first one cannot. */
const CPU = 1;

function setOnline(isOnline: boolean): void {
  writeFileSync(`/sys/devices/system/cpu/cpu${CPU}/online`, isOnline ? "1" : "0");
}

/** Starts a program on the processor, and waits for its end. */
function runThere(): void {
  execFileSync("taskset", ["-c", String(CPU), "/bin/true"]);
}

/** A process that keeps the processor busy. */
function busyThere(): Disposable {
  const child = spawn("taskset", ["-c", String(CPU), "sh", "-c", "while :; do :; done"], { stdio: "ignore" });
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

const SAMPLES = `
  BPF_HASH(samples, u32, u64);
  int on_sample(void *ctx) { samples.increment(bpf_get_smp_processor_id()); return 0; }`;

const EXECS = `
  struct exec_t { u32 cpu; u32 pid; };
  BPF_PERF_OUTPUT(execs);
  TRACEPOINT_PROBE(sched, sched_process_exec) {
    struct exec_t exec = { .cpu = bpf_get_smp_processor_id(), .pid = args->pid };
    if (exec.cpu == ${CPU}) execs.perf_submit(args, &exec, sizeof(exec));
    return 0;
  }`;

describe("a CPU that goes and comes back", () => {
  beforeEach((context) => needsGuest(context));
  afterEach(() => setOnline(true));

  test("has its perf events again", async () => {
    using b = open(SAMPLES);
    b.attach_perf_event({
      ev_type: PerfType.SOFTWARE,
      ev_config: PerfSWConfig.CPU_CLOCK,
      fn_name: "on_sample",
      sample_freq: 99,
    });
    const count = (bpf: BPF): bigint => bpf.get_table<number, bigint>("samples").get(CPU) ?? 0n;
    using _before = busyThere();
    await eventually("samples on the CPU", () => count(b) > 2n);
    setOnline(false);
    setOnline(true);
    const during = count(b);
    using _after = busyThere();
    await eventually("samples on the CPU that is back", () => count(b) > during + 2n);
  });

  test("has its perf events from its coming on, when it was away at first", async () => {
    setOnline(false);
    using b = open(SAMPLES);
    b.attach_perf_event({
      ev_type: PerfType.SOFTWARE,
      ev_config: PerfSWConfig.CPU_CLOCK,
      fn_name: "on_sample",
      sample_freq: 99,
    });
    setOnline(true);
    using _busy = busyThere();
    await eventually("samples", () => (b.get_table<number, bigint>("samples").get(CPU) ?? 0n) > 2n);
  });

  test(
    "is heard of in other network namespaces as well",
    () => {
      expect(reportFromNamespace("cpus-child.ts")).toEqual([
        { cpu: CPU, isOnline: false },
        { cpu: CPU, isOnline: true },
      ]);
    },
    SCRIPT_TIMEOUT_MS,
  );

  test("has its perf ring again, for streams", async () => {
    open(EXECS).close();
    const before = holdings();
    const b = open(EXECS);
    const { items } = collect(b.get_table<never, { cpu: number; pid: number }>("execs").events());
    runThere();
    await eventually("the first record", () => items.length > 0);
    for (let round = 0; round < 2; round++) {
      const seen = items.length;
      setOnline(false);
      setOnline(true);
      // The news come through the event loop, so the first programs may still find no ring.
      await eventually("a record after the CPU came back", () => {
        runThere();
        return items.length > seen;
      });
    }
    const during = holdings();
    b.close();
    await expectReleased(before, during);
  });

  test("keeps what was in its perf ring until that is read", async () => {
    using b = open(EXECS);
    const execs = b.get_table<never, { pid: number }>("execs");
    // taskset and the program are one process, and either may begin on the CPU.
    const seen = new Set<number>();
    execs.open_perf_buffer((_, data) => {
      seen.add(execs.event(data).pid);
    });
    runThere();
    runThere();
    const rings = (): number => holdings().descriptors.filter((name) => name.includes("perf_event")).length;
    const opened = rings();
    setOnline(false);
    setOnline(true);
    await eventually("a second ring for the CPU", () => rings() > opened);
    runThere();
    b.perf_buffer_consume();
    expect(seen.size).toBe(3);
    expect(rings()).toBe(opened);
  });
});
