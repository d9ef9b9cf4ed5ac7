import { rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { AttachError, BPF, UsageError } from "../../../framework/index.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const OWN = `((u32)(bpf_get_current_pid_tgid() >> 32) == ${process.pid})`;
const COUNTING = `
  BPF_HASH(counts, u32, u64);
  TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) { if (${OWN}) counts.increment(1); return 0; }
  TRACEPOINT_PROBE(syscalls, sys_exit_rmdir) { if (${OWN}) counts.increment(2); return 0; }
  RAW_TRACEPOINT_PROBE(no_such_event) { return 0; }
  int f(void *ctx) { if (${OWN}) counts.increment(3); return 0; }`;
const ENTER = "tracepoint__syscalls__sys_enter_rmdir";
const MISSING = "raw_tracepoint__no_such_event";

function rmdirInVain(): void {
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
}

/** Which functions ran during one call of rmdir. */
function runs(b: BPF): readonly unknown[] {
  const counts = b.get_table<number, bigint>("counts");
  counts.clear();
  rmdirInVain();
  return [...counts.keys()].sort();
}

beforeEach((context) => needsKernel(context));

describe("which functions attach by themselves", () => {
  test("all, and one whose target is missing fails the object", () => {
    expect(failure(AttachError, () => open(COUNTING)).message).toContain("no_such_event");
  });

  test("an optional function may lack its target, and unattached says why", () => {
    using b = open(COUNTING, { optional: [MISSING] });
    expect(runs(b)).toEqual([1, 2]);
    expect([...b.unattached.keys()]).toEqual([MISSING]);
    expect(b.unattached.get(MISSING)?.message).toContain("no such tracepoint");
  });

  test("none with autoAttach false; they can be attached later", () => {
    using b = open(COUNTING, { autoAttach: false });
    expect(runs(b)).toEqual([]);
    b.attach_tracepoint({ tp: "syscalls:sys_enter_rmdir", fn_name: ENTER });
    expect(runs(b)).toEqual([1]);
  });

  test("only those that autoAttach names", () => {
    using b = open(COUNTING, { autoAttach: [ENTER] });
    expect(runs(b)).toEqual([1]);
  });

  test("names that the source does not have are errors, with near ones", () => {
    const error = failure(UsageError, () => open(COUNTING, { optional: ["raw_tracepoint__no_such_evnt"] }));
    expect(error.hint).toContain(MISSING);
    failure(UsageError, () => open(COUNTING, { autoAttach: ["g"] }));
    failure(UsageError, () => open(COUNTING, { autoAttach: 1 as unknown as boolean }));
  });

  test("a section with a question mark in front waits to be attached", () => {
    using b = open(`#include <bpf/bpf_helpers.h>
      int seen;
      SEC("?tp/syscalls/sys_enter_rmdir") int f(void *ctx) { if (${OWN}) seen++; return 0; }
      char _license[] SEC("license") = "GPL";`);
    rmdirInVain();
    expect(b.variable("seen").get()).toBe(0);
    b.attach_tracepoint({ tp: "syscalls:sys_enter_rmdir", fn_name: "f" });
    rmdirInVain();
    expect(b.variable("seen").get()).toBe(1);
  });
});

describe("many targets", () => {
  const MANY = `BPF_HASH(counts, u32, u64); int f(void *ctx) { if (${OWN}) counts.increment(3); return 0; }`;

  test("tp_re attaches to every tracepoint that begins so, and its link detaches all", () => {
    using b = open(MANY);
    const link = b.attach_tracepoint({ tp_re: "syscalls:sys_(enter|exit)_rmdi", fn_name: "f" });
    expect(b.num_open_tracepoints()).toBe(2);
    rmdirInVain();
    expect(b.get_table("counts").items()).toEqual([[3, 2n]]);
    b.detach_tracepoint({ tp: "syscalls:sys_exit_rmdir" });
    rmdirInVain();
    expect(b.get_table("counts").items()).toEqual([[3, 3n]]);
    link[Symbol.dispose]();
    expect([link.closed, b.num_open_tracepoints()]).toEqual([true, 0]);
    expect(runs(b)).toEqual([]);
  });

  test("what matches nothing, and a bad expression, are errors", () => {
    using b = open(MANY);
    expect(
      failure(AttachError, () => b.attach_tracepoint({ tp_re: "nothing:.*", fn_name: "f" })).message,
    ).toBe('cannot attach "f": no tracepoint matches nothing:.*');
    failure(UsageError, () => b.attach_tracepoint({ tp_re: "(", fn_name: "f" }));
    failure(UsageError, () => b.attach_tracepoint({ fn_name: "f" }));
    failure(UsageError, () => b.attach_kprobe({ fn_name: "f" }));
    failure(UsageError, () => b.attach_kprobe({ event: "a", event_re: "b", fn_name: "f" }));
    failure(AttachError, () => b.attach_kprobe({ event_re: "no_such_function", fn_name: "f" }));
  });

  test("event_re attaches to system calls also where they have tracepoints alone", () => {
    using b = open(MANY);
    const link = b.attach_kprobe({ event_re: "__x64_sys_(rmdir|mkdir)", fn_name: "f" });
    expect(b.num_open_kprobes()).toBe(2);
    expect(runs(b)).toEqual([3]);
    link[Symbol.dispose]();
    expect(b.num_open_kprobes()).toBe(0);
    expect(runs(b)).toEqual([]);
    b.attach_kprobe({ event_re: "__x64_sys_(rmdir|mkdir)", fn_name: "f" });
    b.detach_kprobe({ event_re: "__x64_sys_(rmdir|mkdir)" });
    expect(runs(b)).toEqual([]);
  });

  test("probes beyond the limit are refused, and none stays", () => {
    using b = open(MANY);
    process.env["BCC_PROBE_LIMIT"] = "1";
    try {
      expect(BPF.get_probe_limit()).toBe(1);
      const b1 = failure(AttachError, () => {
        b.attach_kprobe({ event: b.get_syscall_fnname("rmdir"), fn_name: "f" });
        b.attach_kprobe({ event: b.get_syscall_fnname("mkdir"), fn_name: "f" });
      });
      expect(b1.message).toBe("cannot attach 1 more probe: 1 of at most 1 are open");
      b.detach_kprobe_event(`p_${b.get_syscall_fnname("rmdir")}`);
      b.attach_kprobe({ event: b.get_syscall_fnname("mkdir"), fn_name: "f" });
    } finally {
      delete process.env["BCC_PROBE_LIMIT"];
    }
    expect(BPF.get_probe_limit()).toBe(1000);
    expect(b.num_open_kprobes()).toBe(1);
  });
});

describe("questions about the kernel", () => {
  test("get_kprobe_functions matches whole names", () => {
    expect(BPF.get_kprobe_functions("do_rmdi")).toEqual(new Set());
    expect(BPF.get_kprobe_functions("do_rm.ir")).toEqual(new Set(["do_rmdir"]));
  });

  test("get_tracepoints and tracepoint_exists", () => {
    expect(BPF.get_tracepoints("syscalls:sys_enter_rmd")).toEqual(["syscalls:sys_enter_rmdir"]);
    expect(BPF.tracepoint_exists("sched", "sched_switch")).toBe(true);
    expect(BPF.tracepoint_exists("sched", "sched_swich")).toBe(false);
  });

  test("support_raw_tracepoint is true, and the others answer", () => {
    expect(BPF.support_raw_tracepoint()).toBe(true);
    for (const answer of [BPF.support_kfunc(), BPF.support_lsm(), BPF.support_fmod_ret()]) {
      expect(answer).toBeTypeOf("boolean");
    }
  });
});
