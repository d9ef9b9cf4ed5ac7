import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import {
  AttachError,
  type BPF,
  PerfHWConfig,
  PerfSWConfig,
  PerfType,
  UnsupportedError,
  UsageError,
} from "../../../framework/index.ts";
import { onlineCpus } from "../../../framework/sys/proc.ts";
import { eventually, SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

/** Counts samples by process and by CPU, and keeps the last one's context. */
const SAMPLING = `
  #include <uapi/linux/bpf_perf_event.h>
  BPF_HASH(processes, u32, u64);
  BPF_HASH(cpus, u32, u64);
  struct sample_t { u64 period; u64 ip; };
  BPF_HASH(samples, u32, struct sample_t);
  int on_sample(struct bpf_perf_event_data *ctx) {
    u32 pid = bpf_get_current_pid_tgid() >> 32, cpu = bpf_get_smp_processor_id();
    processes.increment(pid);
    cpus.increment(cpu);
    struct sample_t sample = { .period = ctx->sample_period, .ip = PT_REGS_IP(&ctx->regs) };
    samples.update(&pid, &sample);
    return 0;
  }
  int other(struct bpf_perf_event_data *ctx) { return 0; }`;

const FAULTS = { ev_type: PerfType.SOFTWARE, ev_config: PerfSWConfig.PAGE_FAULTS } as const;
const CLOCK = { ev_type: PerfType.SOFTWARE, ev_config: PerfSWConfig.CPU_CLOCK } as const;

function count(b: BPF, pid: number): number {
  return Number(b.get_table<number, bigint>("processes").get(pid) ?? 0n);
}

/** Writes to pages that this process never had, so that each is a fault. */
function touchPages(pages: number): void {
  const bytes = Buffer.allocUnsafeSlow(pages * 4096);
  for (let page = 0; page < pages; page++) bytes[page * 4096] = 1;
}

/** A process that runs a script, and tells that it is up by a first line. */
async function started(script: string): Promise<ChildProcess & Disposable> {
  const child = spawn(process.execPath, ["-e", `console.log("up"); ${script}`], { stdio: "pipe" });
  let isUp = false;
  child.stdout.once("data", () => {
    isUp = true;
  });
  await eventually("the process to start", () => isUp);
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill("SIGKILL") });
}

const BUSY = "for (;;) {}";

describe("perf events", { timeout: SCRIPT_TIMEOUT_MS }, () => {
  beforeEach((context) => needsKernel(context));

  test("by period: a page fault each, for one process", () => {
    using b = open(SAMPLING);
    b.attach_perf_event({ ...FAULTS, fn_name: "on_sample", sample_period: 1, pid: process.pid });
    const before = count(b, process.pid);
    touchPages(4096);
    const faults = count(b, process.pid) - before;
    expect(faults).toBeGreaterThanOrEqual(4096 / 512);
    expect([...b.get_table<number, bigint>("processes").keys()]).toEqual([process.pid]);
  });

  test("by period: the n-th event only, and the context tells the period and where it was", () => {
    using every = open(SAMPLING);
    using tenth = open(SAMPLING);
    every.attach_perf_event({ ...FAULTS, fn_name: "on_sample", sample_period: 1, pid: process.pid });
    tenth.attach_perf_event({ ...FAULTS, fn_name: "on_sample", sample_period: 10, pid: process.pid });
    const all = count(every, process.pid);
    const some = count(tenth, process.pid);
    touchPages(16384);
    const ratio = (count(every, process.pid) - all) / (count(tenth, process.pid) - some);
    expect(ratio).toBeGreaterThan(5);
    expect(ratio).toBeLessThan(20);
    const samples = tenth.get_table<number, { period: bigint; ip: bigint }>("samples");
    const sample = samples.get(process.pid);
    expect(sample?.period).toBe(10n);
    expect(sample?.ip).toBeGreaterThan(0n);
  });

  test("by frequency: a busy process is seen, with all CPUs and for everybody", async () => {
    using b = open(SAMPLING);
    using child = await started(BUSY);
    b.attach_perf_event({ ...CLOCK, fn_name: "on_sample", sample_freq: 199 });
    await eventually("samples of the busy process", () => count(b, child.pid!) >= 5);
  });

  test("on one CPU only", async () => {
    using b = open(SAMPLING);
    const [cpu = 0] = onlineCpus().slice(-1);
    b.attach_perf_event({ ...CLOCK, fn_name: "on_sample", sample_freq: 199, cpu });
    using _child = await started(BUSY);
    const cpus = b.get_table<number, bigint>("cpus");
    await eventually("samples", () => (cpus.get(cpu) ?? 0n) >= 5n || cpus.size > 0);
    expect([...cpus.keys()]).toEqual([cpu]);
  });

  test("of one process and the processes that it makes, and of nobody else", async () => {
    using b = open(SAMPLING);
    using parent = await started(`
      process.stdin.once("data", () => {
        const child = require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(BUSY)}]);
        process.stdout.write(String(child.pid));
      });`);
    using _stranger = await started(BUSY);
    b.attach_perf_event({ ...CLOCK, fn_name: "on_sample", sample_freq: 199, pid: parent.pid! });
    let heir = 0;
    parent.stdout?.once("data", (data: Buffer) => {
      heir = Number(data.toString());
    });
    parent.stdin?.write("go");
    try {
      await eventually("samples of the child", () => heir > 0 && count(b, heir) >= 3);
    } finally {
      if (heir > 0) process.kill(heir, "SIGKILL");
    }
    const seen = [...b.get_table<number, bigint>("processes").keys()];
    expect(seen.filter((pid) => pid !== parent.pid && pid !== heir)).toEqual([]);
  });

  test("threads that a process has already are seen too", async () => {
    using b = open(`
      BPF_HASH(threads, u32, u64);
      int on_sample(void *ctx) { threads.increment((u32)bpf_get_current_pid_tgid()); return 0; }`);
    using child = await started(
      `new (require("node:worker_threads").Worker)("for (;;) {}", { eval: true }).once("online", () => console.log("thread"));`,
    );
    let hasThread = false;
    child.stdout?.on("data", (data: Buffer) => {
      hasThread ||= data.toString().includes("thread");
    });
    await eventually("the thread", () => hasThread);
    b.attach_perf_event({ ...CLOCK, fn_name: "on_sample", sample_freq: 199, pid: child.pid! });
    const threads = b.get_table<number, bigint>("threads");
    await eventually("samples of the thread", () => [...threads.keys()].some((tid) => tid !== child.pid));
  });

  test("raw attributes by the kernel's names: nothing of the kernel is sampled", async () => {
    using b = open(SAMPLING);
    using child = await started(BUSY);
    const attr = {
      type: PerfType.SOFTWARE,
      config: PerfSWConfig.CPU_CLOCK,
      sample_freq: 199,
      exclude_kernel: 1,
    };
    b.attach_perf_event_raw({ attr, fn_name: "on_sample", pid: child.pid! });
    await eventually("samples", () => count(b, child.pid!) >= 5);
    const ips = b.get_table<number, { ip: bigint }>("samples").values();
    // The kernel's addresses have their highest bit set.
    expect(ips.filter(({ ip }) => ip >> 63n === 1n)).toEqual([]);
  });

  test("detach_perf_event ends all of an event's, a link only itself", () => {
    using b = open(SAMPLING);
    const link = b.attach_perf_event({ ...FAULTS, fn_name: "on_sample", sample_period: 1, pid: process.pid });
    b.attach_perf_event({ ...FAULTS, fn_name: "other", sample_period: 1, pid: process.pid });
    link[Symbol.dispose]();
    const counted = count(b, process.pid);
    touchPages(4096);
    expect(count(b, process.pid)).toBe(counted);
    b.detach_perf_event(FAULTS);
    expect(failure(AttachError, () => b.detach_perf_event(FAULTS)).message).toBe(
      "nothing is attached to software event page faults",
    );
  });

  test("a function attaches to one event once for each process", () => {
    using b = open(SAMPLING);
    const options = { ...FAULTS, fn_name: "on_sample", sample_period: 1 };
    b.attach_perf_event({ ...options, pid: process.pid });
    b.attach_perf_event({ ...options, pid: process.ppid });
    const error = failure(AttachError, () => b.attach_perf_event({ ...options, pid: process.pid }));
    expect(error.message).toBe(
      `"on_sample" is attached to software event page faults of process ${process.pid} already`,
    );
  });

  test("a hardware counter that the machine lacks is an UnsupportedError", () => {
    using b = open(SAMPLING);
    const options = {
      ev_type: PerfType.HARDWARE,
      ev_config: PerfHWConfig.CPU_CYCLES,
      sample_period: 1000000,
    };
    const hasCounters = /^flags\s*:.*\barch_perfmon\b/m.test(readFileSync("/proc/cpuinfo", "latin1"));
    if (hasCounters) {
      b.attach_perf_event({ ...options, fn_name: "on_sample" });
      return;
    }
    const error = failure(UnsupportedError, () => b.attach_perf_event({ ...options, fn_name: "on_sample" }));
    expect(error.message).toMatch(
      /^cannot attach "on_sample" to hardware event CPU cycles: .*no such counter$/,
    );
  });

  const wrong: readonly (readonly [string, Parameters<BPF["attach_perf_event"]>[0], RegExp])[] = [
    [
      "neither a period nor a frequency",
      { ...CLOCK, fn_name: "on_sample" },
      /either sample_period or sample_freq/,
    ],
    ["both", { ...CLOCK, fn_name: "on_sample", sample_freq: 1, sample_period: 1 }, /either/],
    ["a tracepoint", { ev_type: 2, ev_config: 1, fn_name: "on_sample", sample_period: 1 }, /tracepoints run/],
    ["BPF output", { ev_type: 1, ev_config: 10, fn_name: "on_sample", sample_period: 1 }, /never overflows/],
  ];
  test.each(wrong)("%s is a usage error", (_, options, message) => {
    using b = open(SAMPLING);
    expect(failure(UsageError, () => b.attach_perf_event(options)).message).toMatch(message);
  });

  const refused: readonly (readonly [string, Parameters<BPF["attach_perf_event"]>[0], RegExp])[] = [
    [
      "an unknown process",
      { ...CLOCK, fn_name: "on_sample", sample_freq: 9, pid: 2 ** 22 + 1 },
      /no such process$/,
    ],
    ["an unknown CPU", { ...CLOCK, fn_name: "on_sample", sample_freq: 9, cpu: 4000 }, /CPU 4000/],
    [
      "too high a frequency",
      { ...CLOCK, fn_name: "on_sample", sample_freq: 2 ** 30 },
      /perf_event_max_sample_rate/,
    ],
    [
      "an unknown event",
      { ev_type: 1, ev_config: 99, fn_name: "on_sample", sample_period: 1 },
      /no such event/,
    ],
  ];
  test.each(refused)("%s is an AttachError, and leaves nothing attached", (_, options, message) => {
    using b = open(SAMPLING);
    expect(failure(AttachError, () => b.attach_perf_event(options)).message).toMatch(message);
    const { ev_type, ev_config } = options;
    failure(AttachError, () => b.detach_perf_event({ ev_type, ev_config }));
  });

  test("an unknown member of the raw attributes is an error with near names", () => {
    using b = open(SAMPLING);
    const attr = { type: 1, config: 0, sample_perod: 1 } as unknown as { type: number; config: number };
    const error = failure(UsageError, () => b.attach_perf_event_raw({ attr, fn_name: "on_sample" }));
    expect(error.hint).toMatch(/^did you mean sample_period/);
  });
});
