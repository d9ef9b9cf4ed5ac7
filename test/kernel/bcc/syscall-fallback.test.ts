import { rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { setNotifier } from "../../../framework/core/notify.ts";
import { AttachError, UnsupportedError } from "../../../framework/index.ts";
import { needsMissingKprobes } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const OWN = `((u32)(bpf_get_current_pid_tgid() >> 32) == ${process.pid})`;

function rmdirInVain(): void {
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
}

describe("probes on a kernel without kprobes", () => {
  beforeEach((context) => needsMissingKprobes(context));

  test("a probe of a system call uses its tracepoint, and says so once", () => {
    const notices: string[] = [];
    using _ = setNotifier((line) => notices.push(line));
    using b = open(
      `BPF_ARRAY(counts, u64, 1); int f(void *ctx) { if (${OWN}) counts.increment(0); return 0; }`,
    );
    const entry = b.attach_kprobe({ event: b.get_syscall_fnname("rmdir"), fn_name: "f" });
    const exit = b.attach_kretprobe({ event: b.get_syscall_fnname("rmdir"), fn_name: "f" });
    rmdirInVain();
    expect(b.get_table("counts").values()).toEqual([2n]);
    expect([entry.target, exit.target]).toEqual([
      { hook: "tracepoint", category: "syscalls", name: "sys_enter_rmdir" },
      { hook: "tracepoint", category: "syscalls", name: "sys_exit_rmdir" },
    ]);
    expect(notices).toEqual([
      "rxbpf: this kernel has no kprobes (CONFIG_KPROBES); probes of system calls use the calls' tracepoints instead",
    ]);
  });

  test("detach_kprobe and detach_kretprobe take the function's name, as where there are kprobes", () => {
    using b = open(
      `BPF_ARRAY(counts, u64, 1); int f(void *ctx) { if (${OWN}) counts.increment(0); return 0; }`,
    );
    const event = b.get_syscall_fnname("rmdir");
    b.attach_kprobe({ event, fn_name: "f" });
    b.attach_kretprobe({ event, fn_name: "f" });
    expect(b.num_open_kprobes()).toBe(2);
    b.detach_kprobe({ event });
    b.detach_kretprobe({ event, fn_name: "f" });
    rmdirInVain();
    expect(b.get_table("counts").values()).toEqual([0n]);
    const error = failure(AttachError, () => b.detach_kprobe({ event }));
    expect(error.message).toBe(`nothing is attached to kprobe ${event}`);
  });

  test("PT_REGS_PARM1(ctx) is the call's first argument there", () => {
    using b = open(`BPF_HASH(seen, u32, u64);
      int f(struct pt_regs *ctx) {
        char path[4] = {};
        bpf_probe_read_user(&path, sizeof(path), (void *)PT_REGS_PARM1(ctx));
        if (${OWN}) seen.increment(*(u32 *)path);
        return 0;
      }`);
    b.attach_kprobe({ event: "sys_rmdir", fn_name: "f" });
    rmdirInVain();
    expect(b.get_table("seen").items()).toEqual([[Buffer.from("/rx/").readUInt32LE(), 1n]]);
  });

  test.each([
    ["kprobe tcp_v4_connect", "tcp_v4_connect", 0],
    ["kprobe __x64_sys_rmdir+0x4", "__x64_sys_rmdir", 4],
    ["kprobe __x64_sys_nosuchcall", "__x64_sys_nosuchcall", 0],
  ])("%s is an error that names CONFIG_KPROBES and what to use instead", (target, event, event_off) => {
    using b = open("int f(void *ctx) { return 0; }");
    const error = failure(UnsupportedError, () => b.attach_kprobe({ event, fn_name: "f", event_off }));
    expect(error.code).toBe("UNSUPPORTED");
    expect(error.message).toBe(
      `cannot attach "f" to ${target}: this kernel was built without CONFIG_KPROBES`,
    );
    expect(error.hint).toMatch(/TRACEPOINT_PROBE, RAW_TRACEPOINT_PROBE/);
  });

  test("a kretprobe of another function is that error too", () => {
    using b = open("int f(void *ctx) { return 0; }");
    const error = failure(UnsupportedError, () => b.attach_kretprobe({ event: "vfs_read", fn_name: "f" }));
    expect(error.message).toBe(
      'cannot attach "f" to kretprobe vfs_read: this kernel was built without CONFIG_KPROBES',
    );
  });

  test("kprobe__… for another function fails in the constructor", () => {
    const error = failure(UnsupportedError, () => open("int kprobe__vfs_read(void *ctx) { return 0; }"));
    expect(error.message).toContain("kprobe vfs_read: this kernel was built without CONFIG_KPROBES");
  });

  test("a function that reads members of struct pt_regs is refused, with what to write instead", () => {
    using b = open("int f(struct pt_regs *ctx) { return ctx->di == 0; }");
    const error = failure(UnsupportedError, () => b.attach_kprobe({ event: "sys_rmdir", fn_name: "f" }));
    expect(error.message).toContain('"f" reads members of struct pt_regs');
    expect(error.hint).toContain("PT_REGS_PARM1(ctx)");
  });
});
