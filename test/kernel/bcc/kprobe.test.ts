import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { AttachError, type BPF } from "../../../framework/index.ts";
import { tracefs } from "../../../framework/sys/tracefs.ts";
import { probesOf } from "../../support/leaks.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const OWN = `((u32)(bpf_get_current_pid_tgid() >> 32) == ${process.pid})`;
const PATH = "/rx/no such file";

/** Makes one call of the kernel's do_sys_openat2, which returns ENOENT (-2). */
function openInVain(): void {
  expect(() => openSync(PATH, "r")).toThrow("ENOENT");
}

const COUNTING = `
  BPF_HASH(results, s64, u64);
  int f(struct pt_regs *ctx) { if (${OWN}) results.increment(1); return 0; }
  int leave(struct pt_regs *ctx) { if (${OWN}) results.increment(PT_REGS_RC(ctx)); return 0; }`;

/** What the table counted during one call. */
function counted(b: BPF): readonly unknown[] {
  const results = b.get_table("results");
  results.clear();
  openInVain();
  return results.items();
}

describe("probes of kernel functions", () => {
  beforeEach((context) => needsKernel(context, "kprobe"));

  test("attach_kprobe runs a function at entry until detach_kprobe", () => {
    using b = open(COUNTING);
    b.attach_kprobe({ event: "do_sys_openat2", fn_name: "f" });
    expect(counted(b)).toEqual([[1n, 1n]]);
    b.detach_kprobe({ event: "do_sys_openat2" });
    expect(counted(b)).toEqual([]);
  });

  test("attach_kretprobe sees the result until detach_kretprobe", () => {
    using b = open(COUNTING);
    b.attach_kretprobe({ event: "do_sys_openat2", fn_name: "leave" });
    expect(counted(b)).toEqual([[-2n, 1n]]);
    b.detach_kretprobe({ event: "do_sys_openat2" });
    expect(counted(b)).toEqual([]);
  });

  test("probes through the event source make no line in kprobe_events", () => {
    using b = open(COUNTING);
    b.attach_kprobe({ event: "do_sys_openat2", fn_name: "f" });
    b.attach_kretprobe({ event: "do_sys_openat2", fn_name: "leave" });
    expect(probesOf(process.pid)).toEqual([]);
  });

  test("maxactive makes the return probe in tracefs, and detaching removes it there", () => {
    using b = open(COUNTING);
    const link = b.attach_kretprobe({ event: "do_sys_openat2", fn_name: "leave", maxactive: 7 });
    expect(probesOf(process.pid)).toEqual([
      expect.stringMatching(/^r7:rxbpf_\d+\/p\d+_do_sys_openat2 do_sys_openat2/),
    ]);
    expect(counted(b)).toEqual([[-2n, 1n]]);
    link[Symbol.dispose]();
    expect(probesOf(process.pid)).toEqual([]);
    expect(readFileSync(join(tracefs(), "kprobe_events"), "latin1")).not.toContain(`rxbpf_${process.pid}`);
  });

  test("closing removes a return probe in tracefs", () => {
    const b = open(COUNTING);
    b.attach_kretprobe({ event: "do_sys_openat2", fn_name: "leave", maxactive: 3 });
    b.close();
    expect(probesOf(process.pid)).toEqual([]);
  });

  test("two functions at one kernel function both run, and detach_kprobe can name one", () => {
    using b = open(`${COUNTING} int g(void *ctx) { if (${OWN}) results.increment(2); return 0; }`);
    b.attach_kprobe({ event: "do_sys_openat2", fn_name: "f" });
    b.attach_kprobe({ event: "do_sys_openat2", fn_name: "g" });
    expect([...counted(b)].sort()).toEqual([
      [1n, 1n],
      [2n, 1n],
    ]);
    b.detach_kprobe({ event: "do_sys_openat2", fn_name: "f" });
    expect(counted(b)).toEqual([[2n, 1n]]);
    const error = failure(AttachError, () => b.detach_kprobe({ event: "do_sys_openat2", fn_name: "f" }));
    expect(error.message).toBe('"f" is not attached to kprobe do_sys_openat2');
  });

  test("further parameters are the kernel function's own", () => {
    using b = open(`
      struct call { s32 dfd; char path[24]; };
      BPF_HASH(calls, u32, struct call);
      int f(struct pt_regs *ctx, int dfd, const char __user *filename) {
        u32 key = PT_REGS_PARM2(ctx) == (unsigned long)filename;
        struct call call = { .dfd = dfd };
        bpf_probe_read_user_str(&call.path, sizeof(call.path), filename);
        if (${OWN} && call.path[1] == 'r' && call.path[2] == 'x') calls.update(&key, &call);
        return 0;
      }`);
    b.attach_kprobe({ event: "do_sys_openat2", fn_name: "f" });
    openInVain();
    expect(b.get_table("calls").items()).toEqual([[1, { dfd: -100, path: PATH }]]);
  });

  test("kprobe__function attaches by itself", () => {
    using b = open(`BPF_ARRAY(counts, u64, 1);
      int kprobe__do_sys_openat2(void *ctx) { if (${OWN}) counts.increment(0); return 0; }`);
    b.get_table("counts").clear();
    openInVain();
    expect(b.get_table("counts").values()).toEqual([1n]);
    expect(b.num_open_kprobes()).toBe(1);
  });

  test('SEC("kprobe/function") and SEC("kretprobe/function") attach by themselves', () => {
    using b = open(`#include <linux/bpf.h>
      #include <bpf/bpf_helpers.h>
      int entered, left;
      SEC("kprobe/do_sys_openat2") int f(struct pt_regs *ctx) { if (${OWN}) entered++; return 0; }
      SEC("kretprobe/do_sys_openat2") int g(struct pt_regs *ctx) { if (${OWN}) left = PT_REGS_RC(ctx); return 0; }
      char _license[] SEC("license") = "GPL";`);
    const entered = b.variable<number>("entered");
    entered.set(0);
    openInVain();
    expect([entered.get(), b.variable("left").get()]).toEqual([1, -2]);
  });

  test("a probe at an offset runs where an instruction starts, and is refused elsewhere", () => {
    using b = open(COUNTING);
    // After endbr64 and the 5 bytes for function tracing, x86-64 functions go on with an instruction at 5 or 9.
    const attempts = [5, 9].flatMap((event_off) => {
      try {
        return [b.attach_kprobe({ event: "do_sys_openat2", fn_name: "f", event_off })];
      } catch (error) {
        expect(error).toBeInstanceOf(AttachError);
        return [];
      }
    });
    expect(attempts.length).toBeGreaterThanOrEqual(1);
    expect(counted(b)).toEqual([[1n, BigInt(attempts.length)]]);
    const error = failure(AttachError, () =>
      b.attach_kprobe({ event: "do_sys_openat2", fn_name: "f", event_off: 2 }),
    );
    expect(error.message).toMatch(/^cannot attach "f" to kprobe do_sys_openat2\+0x2: /);
    for (const link of attempts) link[Symbol.dispose]();
    expect(counted(b)).toEqual([]);
  });

  test("an unknown kernel function is an error with near names", () => {
    using b = open(COUNTING);
    const error = failure(AttachError, () => b.attach_kprobe({ event: "do_sys_openat3", fn_name: "f" }));
    expect(error.message).toBe(
      'cannot attach "f" to kprobe do_sys_openat3: no such kernel function (ENOENT)',
    );
    expect(error.hint).toMatch(/^did you mean .*do_sys_openat2/);
  });

  test("a function that the compiler inlined everywhere is an error that says so, beside near names", () => {
    using b = open(COUNTING);
    const error = failure(AttachError, () => b.attach_kprobe({ event: "skb_queue_len", fn_name: "f" }));
    expect(error.message).toContain("no such kernel function");
    expect(error.hint).toMatch(/^did you mean .*skb_queue_.* \(.*inlined everywhere/);
  });
});
