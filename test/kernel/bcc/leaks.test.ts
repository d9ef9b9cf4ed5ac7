import { beforeEach, describe, expect, test } from "vitest";
import { BPF, BpfError, type BpfOptions } from "../../../framework/index.ts";
import { collect, run, settle } from "../../support/events.ts";
import { expectReleased, type Holdings, holdings } from "../../support/leaks.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const EVERYTHING = `
  int global = 5;
  BPF_HASH(counts, u32, u64);
  BPF_PERF_OUTPUT(perf);
  BPF_RINGBUF_OUTPUT(ring, 1);
  BPF_PROG_ARRAY(next, 4);
  TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) { counts.increment(global); return 0; }
  RAW_TRACEPOINT_PROBE(sys_enter) { return 0; }
  int f(${CTX}) {
    u32 n = ctx->args[0];
    perf.perf_submit(ctx, &n, sizeof(n));
    ring.ringbuf_output(&n, sizeof(n), 0);
    next.call(ctx, 1);
    return 0;
  }
  int g(void *ctx) { return 0; }`;
const WALKING = `${EVERYTHING}
  BPF_ITER(bpf_map_elem) { u32 one = 1; bpf_seq_write(ctx->meta->seq, &one, sizeof(one)); return 0; }`;

describe("nothing is left", () => {
  let before: Holdings;

  beforeEach((context) => {
    needsKernel(context, "ringbuf");
    // What is opened once per process and stays: the kernel's types and the like.
    open(EVERYTHING).close();
    before = holdings();
  });

  test("after close, with programs, attachments, streams, callbacks and variables in use", async () => {
    const b = open(WALKING);
    b.attach_kprobe({ event: b.get_syscall_fnname("rmdir"), fn_name: "g" });
    b.get_table<number, number>("next").set(1, b.load_func("g", BPF.RAW_TRACEPOINT));
    b.attach_perf_event({ ev_type: 1, ev_config: 0, fn_name: "g", sample_freq: 1 });
    b.get_table("perf").open_perf_buffer(() => {});
    const events = collect(b.get_table("ring").events());
    const lines = collect(b.traceLines());
    const snapshots = collect(b.get_table("counts").snapshots(5));
    const iterator = b.iterator("bpf_iter__bpf_map_elem", { table: "counts" });
    for (const one of iterator) expect(one).toBe(1);
    const walks = collect(iterator.snapshots(5));
    b.attach_tracepoint({ tp_re: "syscalls:sys_(enter|exit)_mkdir$", fn_name: "g" });
    b.variable<number>("global").set(6);
    run(b, "f", 1);
    b.perf_buffer_consume();
    await settle();
    const during = holdings();
    expect(during.programs.length).toBeGreaterThanOrEqual(4);
    expect(during.maps.length).toBeGreaterThanOrEqual(5);
    expect(during.links.length).toBeGreaterThanOrEqual(1);
    b.close();
    await expectReleased(before, during);
    expect([events.end, lines.end, snapshots.end, walks.end]).toEqual(Array(4).fill("complete"));
  });

  test("after a block with `using` that was left by an exception", async () => {
    let during: Holdings | undefined;
    const use = (): void => {
      using b = open(EVERYTHING);
      b.load_funcs(BPF.RAW_TRACEPOINT);
      during = holdings();
      throw new RangeError("of the user");
    };
    expect(use).toThrow("of the user");
    await expectReleased(before, during);
  });

  const failing: readonly (readonly [string, BpfOptions])[] = [
    ["a syntax error", { text: "BPF_HASH(t); int f(void *ctx) { return }" }],
    ["an unknown method", { text: "BPF_HASH(t); int f(void *ctx) { t.nothing(); return 0; }" }],
    [
      "a table that cannot be created",
      { text: "BPF_HASH(first); BPF_HASH(t, u32, u64, 0); int f(void *ctx) { return 0; }" },
    ],
    ["an unknown tracepoint", { text: "BPF_HASH(t); TRACEPOINT_PROBE(sched, no_such_event) { return 0; }" }],
    [
      "an unknown raw tracepoint",
      { text: "BPF_HASH(t); RAW_TRACEPOINT_PROBE(no_such_event) { t.increment(1); return 0; }" },
    ],
    [
      "a program that is rejected",
      {
        text: "BPF_HASH(t); TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) { t.increment(1); *(volatile int *)8 = 1; return 0; }",
      },
    ],
    [
      "a second program that is rejected, when the first is attached",
      {
        text: `BPF_HASH(t);
          RAW_TRACEPOINT_PROBE(sys_enter) { t.increment(1); return 0; }
          TRACEPOINT_PROBE(syscalls, sys_enter_mkdir) { t.increment(1); return 0; }
          TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) { t.increment(1); *(volatile int *)8 = 1; return 0; }`,
      },
    ],
  ];

  test.each(failing)("after a constructor that fails for %s", async (_, options) => {
    expect(failure(BpfError, () => new BPF({ runtime: "kernel", ...options })).code).not.toBe("");
    await expectReleased(before);
  });

  test("after attachments that failed, and ones that were detached", async () => {
    using b = open(WALKING);
    const attached = holdings();
    failure(BpfError, () => b.attach_raw_tracepoint({ tp: "no_such_event", fn_name: "g" }));
    failure(BpfError, () => b.attach_tracepoint({ tp: "sched:no_such_event", fn_name: "g" }));
    failure(BpfError, () => b.attach_perf_event({ ev_type: 1, ev_config: 99, fn_name: "g", sample_freq: 1 }));
    failure(BpfError, () => b.iterator("bpf_iter__bpf_map_elem"));
    for (let i = 0; i < 20; i++) {
      b.attach_raw_tracepoint({ tp: "sys_exit", fn_name: "g" });
      b.attach_tracepoint({ tp: "syscalls:sys_exit_rmdir", fn_name: "g" })[Symbol.dispose]();
      b.detach_raw_tracepoint({ tp: "sys_exit" });
    }
    const links = holdings();
    expect(links.links).toEqual(attached.links);
    // The iterator stays, and g, loaded once for each of the three types.
    expect(links.programs.length).toBe(attached.programs.length + 4);
    b.close();
    await expectReleased(before, links);
  });

  test("after an exception in a callback", async () => {
    const b = open(EVERYTHING);
    b.get_table("perf").open_perf_buffer(() => {
      throw new RangeError("of the callback");
    });
    run(b, "f", 1);
    await expect(b.perf_buffer_poll()).rejects.toThrow("of the callback");
    const during = holdings();
    b.close();
    await expectReleased(before, during);
  });

  test("of a ring buffer, but for its one reader, however many subscribers come and go", async () => {
    const b = open(EVERYTHING);
    run(b, "f", 1);
    const ring = b.get_table("ring");
    collect(ring.events())[Symbol.dispose]();
    const kept = holdings();
    for (let i = 0; i < 10; i++) collect(ring.events())[Symbol.dispose]();
    expect(holdings().descriptors).toEqual(kept.descriptors);
    b.close();
    await expectReleased(before, kept);
  });

  test("of a perf buffer, but for the one that keeps its records, however many subscribers come and go", async () => {
    const b = open(EVERYTHING);
    run(b, "f", 1);
    const perf = b.get_table("perf");
    collect(perf.events())[Symbol.dispose]();
    const kept = holdings();
    for (let i = 0; i < 10; i++) collect(perf.events())[Symbol.dispose]();
    expect(holdings().descriptors).toEqual(kept.descriptors);
    for (const pages of [2, 4, 8]) collect(perf.events({ pages }))[Symbol.dispose]();
    expect(holdings().descriptors).toEqual(kept.descriptors);
    b.close();
    await expectReleased(before, kept);
  });

  test("after a hundred objects", async () => {
    for (let i = 0; i < 100; i++) {
      using b = open("BPF_HASH(t); int f(void *ctx) { return 0; }");
      b.load_func("f", BPF.RAW_TRACEPOINT);
    }
    await expectReleased(before);
  });
});
