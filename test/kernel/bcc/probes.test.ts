import { openSync, rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { runCommand } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

/** True in C for this process alone. */
const OWN = `((u32)(bpf_get_current_pid_tgid() >> 32) == ${process.pid})`;
const PATH = "/rx/no such folder";

/** Makes an rmdir call that fails with ENOENT (-2). */
function rmdirInVain(): void {
  expect(() => rmdirSync(PATH)).toThrow("ENOENT");
}

/** Makes an openat call that fails: flags O_RDONLY | O_CREAT | O_EXCL, mode 0640. */
function openInVain(): void {
  expect(() => openSync(PATH, 0o300, 0o640)).toThrow("ENOENT");
}

const CALL = `
  struct call { s32 dfd; u32 flags; u32 mode; char path[24]; };
  BPF_HASH(calls, u32, struct call);
  static void note(s32 dfd, const char *path, u32 flags, u32 mode) {
    if (!${OWN}) return;
    u32 key = 0;
    struct call call = { .dfd = dfd, .flags = flags, .mode = mode };
    bpf_probe_read_user_str(&call.path, sizeof(call.path), path);
    if (call.path[1] != 'r' || call.path[2] != 'x') return;
    calls.update(&key, &call);
  }`;
const OPENED = { dfd: -100, path: PATH, mode: 0o640 };
/** Node opens with O_CLOEXEC. */
const FLAGS = 0o300 | 0o2000000;

describe("functions that attach by their names", () => {
  beforeEach((context) => needsKernel(context));

  test("TRACEPOINT_PROBE gives the tracepoint's fields in args", () => {
    using b = open(`${CALL}
      TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
        note(args->dfd, args->filename, args->flags, args->mode);
        return 0;
      }`);
    openInVain();
    expect(b.get_table("calls").items()).toEqual([[0, { ...OPENED, flags: FLAGS }]]);
  });

  test("TRACEPOINT_PROBE reads fields of variable place with TP_DATA_LOC_READ_STR", () => {
    using b = open(`
      struct exec { char path[16]; };
      BPF_HASH(execs, u32, struct exec);
      TRACEPOINT_PROBE(sched, sched_process_exec) {
        u32 pid = args->pid;
        struct exec exec = {};
        TP_DATA_LOC_READ_STR(&exec.path, filename, sizeof(exec.path));
        execs.update(&pid, &exec);
        return 0;
      }`);
    const pid = runCommand("/bin/true");
    expect(b.get_table<number, { path: string }>("execs").get(pid)).toEqual({ path: "/bin/true" });
  });

  test("a record of any name, and fields of variable place of any length up to the room there is", () => {
    using b = open(`
      struct exec { char path[16]; char whole[6]; char fixed[4]; };
      BPF_HASH(execs, u32, struct exec);
      static void note(struct tracepoint__sched__sched_process_exec *record, struct exec *exec) {
        TP_DATA_LOC_READ_CONST(exec->fixed, filename, 4);
        char whole[6] = {};
        TP_DATA_LOC_READ(whole, filename);
        __builtin_memcpy(exec->whole, whole, sizeof(whole));
      }
      int tracepoint__sched__sched_process_exec(struct tracepoint__sched__sched_process_exec *ctx) {
        u32 pid = ctx->pid;
        struct exec exec = {};
        TP_DATA_LOC_READ_STR(&exec.path, filename, sizeof(exec.path));
        note(ctx, &exec);
        execs.update(&pid, &exec);
        return 0;
      }`);
    const pid = runCommand("/bin/true");
    const execs = b.get_table<number, unknown>("execs");
    expect(execs.get(pid)).toEqual({ path: "/bin/true", whole: "/bin/t", fixed: "/bin" });
  });

  test("two functions take the record of one event", () => {
    using b = open(`BPF_ARRAY(counts, u64, 2);
      TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) { if (${OWN}) counts.increment(0); return 0; }
      int other(struct tracepoint__syscalls__sys_enter_rmdir *ctx) { if (${OWN} && ctx->pathname) counts.increment(1); return 0; }`);
    b.attach_tracepoint({ tp: "syscalls:sys_enter_rmdir", fn_name: "other" });
    rmdirInVain();
    expect(b.get_table("counts").values()).toEqual([1n, 1n]);
  });

  test("two TRACEPOINT_PROBEs in one source both run", () => {
    using b = open(`BPF_ARRAY(counts, u64, 2);
      TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) { if (${OWN}) counts.increment(0); return 0; }
      TRACEPOINT_PROBE(syscalls, sys_exit_rmdir) { if (${OWN} && args->ret == -2) counts.increment(1); return 0; }`);
    rmdirInVain();
    rmdirInVain();
    expect(b.get_table("counts").values()).toEqual([2n, 2n]);
    expect(b.num_open_tracepoints()).toBe(2);
  });

  test("RAW_TRACEPOINT_PROBE gives the tracepoint's own arguments in ctx->args", () => {
    using b = open(`BPF_HASH(counts, u32, u64);
      RAW_TRACEPOINT_PROBE(sys_enter) {
        u32 number = ctx->args[1];
        if (${OWN}) counts.increment(number);
        return 0;
      }`);
    rmdirInVain();
    expect(b.get_table<number, bigint>("counts").get(84)).toBe(1n); // rmdir on x86-64
  });

  test("tracepoint__category__event attaches, and takes the record under any name", () => {
    using b = open(`BPF_HASH(counts, u32, u64);
      int tracepoint__syscalls__sys_exit_rmdir(struct tracepoint__syscalls__sys_exit_rmdir *record) {
        if (${OWN}) counts.increment(-record->ret);
        return 0;
      }`);
    rmdirInVain();
    expect(b.get_table("counts").items()).toEqual([[2, 1n]]);
  });

  test("raw_tracepoint__event attaches", () => {
    using b = open(`BPF_HASH(counts, u32, u64);
      int raw_tracepoint__sys_exit(struct bpf_raw_tracepoint_args *ctx) {
        long result = ctx->args[1];
        if (${OWN} && result == -2) counts.increment(1);
        return 0;
      }`);
    rmdirInVain();
    expect(b.get_table<number, bigint>("counts").get(1)).toBeGreaterThanOrEqual(1n);
  });

  test("kprobe__sys_… attaches to the system call under this kernel's name, with its parameters", () => {
    using b = open(`${CALL}
      int kprobe__sys_openat(struct pt_regs *ctx, int dfd, const char __user *filename, int flags, u32 mode) {
        note(dfd, filename, flags, mode);
        return 0;
      }`);
    openInVain();
    expect(b.get_table("calls").items()).toEqual([[0, { ...OPENED, flags: FLAGS }]]);
  });

  test("kretprobe__sys_… sees the call's result in PT_REGS_RC", () => {
    using b = open(`BPF_HASH(results, s64, u64);
      int kretprobe__sys_rmdir(struct pt_regs *ctx) {
        if (${OWN}) results.increment(PT_REGS_RC(ctx));
        return 0;
      }`);
    rmdirInVain();
    expect(b.get_table("results").items()).toEqual([[-2n, 1n]]);
  });
});

describe("attach_kprobe on system calls", () => {
  beforeEach((context) => needsKernel(context));

  test("syscall__ functions get the call's parameters, the fourth too", () => {
    using b = open(`${CALL}
      int syscall__openat(struct pt_regs *ctx, int dfd, const char __user *filename, int flags, u32 mode) {
        note(dfd, filename, flags, mode);
        return 0;
      }`);
    b.attach_kprobe({ event: b.get_syscall_fnname("openat"), fn_name: "syscall__openat" });
    openInVain();
    expect(b.get_table("calls").items()).toEqual([[0, { ...OPENED, flags: FLAGS }]]);
  });

  test("attach_kretprobe sees the result, and its function may take no context at all", () => {
    using b = open(`BPF_HASH(results, s64, u64); BPF_ARRAY(counts, u64, 1);
      int leave(struct pt_regs *ctx) { if (${OWN}) results.increment(PT_REGS_RC(ctx)); return 0; }
      int enter(void *ctx) { if (${OWN}) counts.increment(0); return 0; }`);
    const event = b.get_syscall_fnname("rmdir");
    b.attach_kprobe({ event, fn_name: "enter" });
    b.attach_kretprobe({ event, fn_name: "leave" });
    rmdirInVain();
    expect(b.get_table("results").items()).toEqual([[-2n, 1n]]);
    expect(b.get_table("counts").values()).toEqual([1n]);
    expect(b.num_open_kprobes()).toBe(2);
  });

  test("a void function with parameters attaches as well", () => {
    using b = open(`BPF_ARRAY(counts, u64, 1);
      void syscall__rmdir(struct pt_regs *ctx, const char __user *path) { if (${OWN} && path) counts.increment(0); }`);
    b.attach_kprobe({ event: b.get_syscall_fnname("rmdir"), fn_name: "syscall__rmdir" });
    rmdirInVain();
    expect(b.get_table("counts").values()).toEqual([1n]);
  });
});
