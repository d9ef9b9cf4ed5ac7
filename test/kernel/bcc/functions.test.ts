import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, type TestContext, test } from "vitest";
import { AttachError, BPF, UnsupportedError } from "../../../framework/index.ts";
import { supports } from "../../../framework/kernel/features.ts";
import { needsFeature, needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const OWN = `((u32)(bpf_get_current_pid_tgid() >> 32) == ${process.pid})`;
const COUNTING = `
  BPF_HASH(counts, s64, u64);
  int f(struct pt_regs *ctx) { if (${OWN}) counts.increment(1); return 0; }
  int leave(struct pt_regs *ctx) { if (${OWN}) counts.increment((int)PT_REGS_RC(ctx)); return 0; }`;

function rmdirInVain(): void {
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
}

/** What the table counted during one call of rmdir. */
function counted(b: BPF): readonly unknown[] {
  const counts = b.get_table("counts");
  counts.clear();
  rmdirInVain();
  return counts.items();
}

/** Makes one futex call: wakes nobody, with a bit set as the call's sixth and do_futex's seventh parameter. */
function wakeNobody(bits: number): void {
  const script = `my $word = pack("L", 0); syscall(202, $word, 10, 1, 0, 0, ${bits})`;
  expect(spawnSync("/usr/bin/perl", ["-e", script]).status).toBe(0);
}

/** The file system of the guests' root folder is a module. */
function needsOverlay(context: TestContext): void {
  if (!existsSync("/sys/kernel/btf/overlay")) context.skip("no file system here is in a module with types");
}

/** Makes and removes a folder where the checkout is: through overlay's functions in a guest. */
function changeFolder(): void {
  const path = join(mkdtempSync(join(process.cwd(), ".rx-")), "inner");
  mkdirSync(path);
  rmdirSync(path);
  rmdirSync(join(path, ".."));
}

describe("probes on kernel functions", () => {
  beforeEach((context) => needsKernel(context, "kprobe"));

  test("a seventh parameter is read from the stack", (context) => {
    if (process.arch !== "x64") context.skip("the call's number is x86-64's");
    using b = open(`
      struct call { u32 op; u32 val3; };
      BPF_HASH(calls, u32, struct call);
      int kprobe__do_futex(struct pt_regs *ctx, u32 *uaddr, int op, u32 val, void *timeout, u32 *uaddr2, u32 val2, u32 val3) {
        u32 key = 0;
        struct call call = { .op = op, .val3 = val3 };
        if (val3 == 0x5eed1234) calls.update(&key, &call);
        return 0;
      }`);
    wakeNobody(0x5eed1234);
    expect(b.get_table("calls").items()).toEqual([[0, { op: 10, val3: 0x5eed1234 }]]);
  });

  test("libbpf's BPF_KPROBE, BPF_KRETPROBE and BPF_KSYSCALL name parameters and result", () => {
    using b = open(`#include "vmlinux.h"
      #include <bpf/bpf_helpers.h>
      #include <bpf/bpf_tracing.h>
      int dfd_seen, result_seen, path_seen;
      SEC("kprobe/do_rmdir") int BPF_KPROBE(enter, int dfd) { if (${OWN}) dfd_seen = dfd; return 0; }
      SEC("kretprobe/do_rmdir") int BPF_KRETPROBE(leave, long result) { if (${OWN}) result_seen = result; return 0; }
      SEC("ksyscall/rmdir") int BPF_KSYSCALL(call, const char *path) {
        char text[4];
        bpf_probe_read_user(text, sizeof(text), path);
        if (${OWN}) path_seen = text[1] == 'r' && text[2] == 'x';
        return 0;
      }
      char _license[] SEC("license") = "GPL";`);
    rmdirInVain();
    expect(["dfd_seen", "result_seen", "path_seen"].map((name) => b.variable(name).get())).toEqual([
      -100, -2, 1,
    ]);
  });

  test("event_re attaches to all functions that match, at entry and return, until it is detached", () => {
    using b = open(COUNTING);
    const event_re = "do_(rmdir|mkdirat)";
    b.attach_kprobe({ event_re, fn_name: "f" });
    b.attach_kretprobe({ event_re, fn_name: "leave" });
    expect(b.num_open_kprobes()).toBe(4);
    expect([...counted(b)].sort()).toEqual([
      [-2n, 1n],
      [1n, 1n],
    ]);
    b.detach_kprobe({ event_re });
    expect(counted(b)).toEqual([[-2n, 1n]]);
    b.detach_kretprobe({ event_re });
    expect(counted(b)).toEqual([]);
    expect(b.num_open_kprobes()).toBe(0);
  });

  test('SEC("kprobe.multi/pattern") attaches by itself', () => {
    using b = open(`#include <bpf/bpf_helpers.h>
      int seen, left;
      SEC("kprobe.multi/do_rmd?r") int f(struct pt_regs *ctx) { if (${OWN}) seen++; return 0; }
      SEC("kretprobe.multi/do_rmd*") int g(struct pt_regs *ctx) { if (${OWN}) left = PT_REGS_RC(ctx); return 0; }
      char _license[] SEC("license") = "GPL";`);
    rmdirInVain();
    expect([b.variable("seen").get(), b.variable("left").get()]).toEqual([1, -2]);
  });

  test("more functions than the limit are refused where each needs a probe, and none stays attached", (context) => {
    if (supports("kprobe_multi").state === "yes") context.skip("one link for all is one probe");
    using b = open(COUNTING);
    process.env["BCC_PROBE_LIMIT"] = "2";
    try {
      const event_re = "do_(rmdir|mkdirat|unlinkat)";
      const error = failure(AttachError, () => b.attach_kprobe({ event_re, fn_name: "f" }));
      expect(error.message).toMatch(/^cannot attach 3 more probes: \d of at most 2 are open$/);
    } finally {
      delete process.env["BCC_PROBE_LIMIT"];
    }
    expect([b.num_open_kprobes(), counted(b)]).toEqual([0, []]);
  });

  test("BCC's own names of probes detach", () => {
    using b = open(COUNTING);
    b.attach_kprobe({ event: "do_rmdir", fn_name: "f" });
    b.attach_kretprobe({ event: "do_rmdir", fn_name: "leave" });
    b.detach_kprobe_event("r_do_rmdir");
    b.detach_kprobe_event_by_fn("p_do_rmdir", "f");
    expect(counted(b)).toEqual([]);
    failure(AttachError, () => b.detach_kprobe_event("p_do_rmdir"));
  });

  test("get_kprobe_functions has what can be probed, and nothing of the kernel's blacklist", () => {
    const names = BPF.get_kprobe_functions(".*");
    expect(names.has("do_rmdir")).toBe(true);
    expect(names.size).toBeGreaterThan(10_000);
    expect(BPF.get_kprobe_functions("notify_die|.*\\.cold|perf_event_.*")).toEqual(new Set());
  });

  test("functions that may not be probed are errors that say why", () => {
    using b = open(COUNTING);
    const error = failure(AttachError, () => b.attach_kprobe({ event: "notify_die", fn_name: "f" }));
    expect(error.message).toMatch(
      /^cannot attach "f" to kprobe notify_die: the kernel allows no probes in this function/,
    );
    expect(error.hint).toContain("blacklist");
    const untraced = failure(AttachError, () =>
      b.attach_kprobe({ event: "trace_clock_local", fn_name: "f" }),
    );
    expect(untraced.message).toContain("the function is not to be traced (notrace)");
    expect(untraced.hint).toContain("probe one of its callers");
  });

  test("functions of modules are found by name, and by module and name", (context) => {
    needsOverlay(context);
    using b = open(COUNTING);
    b.attach_kprobe({ event: "ovl_mkdir", fn_name: "f" });
    b.attach_kretprobe({ event: "overlay:ovl_mkdir", fn_name: "leave" });
    changeFolder();
    expect([...b.get_table("counts").items()].sort()).toEqual([
      [0n, 2n],
      [1n, 2n],
    ]);
    const error = failure(AttachError, () => b.attach_kprobe({ event: "overlay:ovl_mkdri", fn_name: "f" }));
    expect(error.hint).toContain("overlay:ovl_mkdir");
  });
});

describe("programs on kernel functions by BTF", () => {
  beforeEach((context) => {
    needsKernel(context, "fentry");
    expect(BPF.support_kfunc()).toBe(true);
  });

  const KFUNC = `
    BPF_HASH(counts, u32, u64);
    KFUNC_PROBE(do_rmdir, int dfd) { if (${OWN}) counts.increment(1); return 0; }
    KRETFUNC_PROBE(do_rmdir, int dfd, struct filename *name, int ret) { if (${OWN} && ret == -2) counts.increment(2); return 0; }`;

  test("KFUNC_PROBE and KRETFUNC_PROBE attach, detach and attach again by BCC's names", () => {
    using b = open(KFUNC);
    rmdirInVain();
    const counts = b.get_table<number, bigint>("counts");
    expect([counts.get(1), counts.get(2)]).toEqual([1n, 1n]);
    b.detach_kfunc({ fn_name: "vmlinux__do_rmdir" });
    b.detach_kretfunc({ fn_name: "kretfunc__vmlinux__do_rmdir" });
    rmdirInVain();
    expect([counts.get(1), counts.get(2)]).toEqual([1n, 1n]);
    b.attach_kfunc({ fn_name: "vmlinux__do_rmdir" });
    b.attach_kretfunc({ fn_name: "vmlinux__do_rmdir" });
    rmdirInVain();
    expect([counts.get(1), counts.get(2)]).toEqual([2n, 2n]);
    failure(AttachError, () => b.attach_kfunc({ fn_name: "vmlinux__do_rmdir" }));
  });

  test("KMOD_RET sees the function's result so far and can change it", (context) => {
    needsFeature(context, "fmod_ret");
    expect(BPF.support_fmod_ret()).toBe(true);
    using b = open(
      `
      BPF_HASH(counts, u32, u64);
      KMOD_RET(security_inode_rmdir, struct inode *dir, struct dentry *dentry, int ret) {
        if (!${OWN}) return 0;
        counts.increment(ret);
        return -13;
      }`,
    );
    expect(changeRefused()).toBe("EACCES");
    expect(b.get_table<number, bigint>("counts").get(0)).toBeGreaterThan(0n);
    b.detach_fmod_ret({ fn_name: "security_inode_rmdir" });
    expect(changeRefused()).toBeUndefined();
  });

  test("LSM_PROBE refuses what it returns an error for, and sleepable ones attach as well", (context) => {
    needsFeature(context, "lsm");
    expect(BPF.support_lsm()).toBe(true);
    using b = open(`#include "vmlinux.h"
      #include <bpf/bpf_helpers.h>
      #include <bpf/bpf_tracing.h>
      int seen;
      SEC("lsm.s/inode_rmdir") int BPF_PROG(no_rmdir, struct inode *dir, struct dentry *dentry, int ret) {
        if (!${OWN}) return ret;
        seen++;
        return -13;
      }
      char _license[] SEC("license") = "GPL";`);
    expect(changeRefused()).toBe("EACCES");
    expect(b.variable<number>("seen").get()).toBeGreaterThan(0);
  });

  test("LSM_PROBE of BCC's dialect detaches by detach_lsm", (context) => {
    needsFeature(context, "lsm");
    expect(BPF.support_lsm()).toBe(true);
    using b = open(
      `LSM_PROBE(inode_rmdir, struct inode *dir, struct dentry *dentry) { return ${OWN} ? -13 : 0; }`,
    );
    expect(changeRefused()).toBe("EACCES");
    b.detach_lsm({ fn_name: "inode_rmdir" });
    expect(changeRefused()).toBeUndefined();
    b.attach_lsm({ fn_name: "inode_rmdir" });
    expect(changeRefused()).toBe("EACCES");
  });

  test("functions of modules: MODULE_KFUNC_PROBE, MODULE_KRETFUNC_PROBE, and sections", (context) => {
    needsOverlay(context);
    using b = open(`
      BPF_HASH(counts, u32, u64);
      MODULE_KFUNC_PROBE(overlay, ovl_mkdir) { if (${OWN}) counts.increment(1); return 0; }
      KRETFUNC_PROBE(ovl_rmdir) { if (${OWN}) counts.increment(2); return 0; }`);
    using section = open(`#include <bpf/bpf_helpers.h>
      int seen;
      SEC("fexit/overlay:ovl_mkdir") int f(void *ctx) { if (${OWN}) seen++; return 0; }
      char _license[] SEC("license") = "GPL";`);
    // Compiling makes folders, too.
    const counts = b.get_table<number, bigint>("counts");
    counts.clear();
    changeFolder();
    expect([counts.get(1), counts.get(2), section.variable("seen").get()]).toEqual([2n, 2n, 2]);
  });

  test("a module or a module's function that is not there is an error with near names", (context) => {
    needsOverlay(context);
    const module = failure(AttachError, () => open("MODULE_KFUNC_PROBE(overlya, ovl_mkdir) { return 0; }"));
    expect([module.message, module.hint]).toEqual([
      expect.stringContaining('no module "overlya" with types is loaded'),
      expect.stringContaining("overlay"),
    ]);
    const name = failure(AttachError, () => open("MODULE_KFUNC_PROBE(overlay, ovl_mkdri) { return 0; }"));
    expect([name.message, name.hint]).toEqual([
      expect.stringContaining("the types of module overlay have no such kernel function"),
      expect.stringContaining("ovl_mkdir"),
    ]);
  });
});

/** The error that removing a folder of this process's own gives. */
function changeRefused(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "rx-refused-"));
  try {
    rmdirSync(folder);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

test("without kprobes, functions that serve no system call are refused with a reason", (context) => {
  needsKernel(context);
  if (existsSync("/sys/bus/event_source/devices/kprobe")) context.skip("this kernel has kprobes");
  using b = open(COUNTING);
  const error = failure(UnsupportedError, () => b.attach_kprobe({ event_re: "do_rmdir", fn_name: "f" }));
  expect(error.message).toContain("CONFIG_KPROBES");
});
