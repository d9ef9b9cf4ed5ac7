import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { kernelBtf } from "../../../framework/kernel/environment.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const INCLUDES = `#include <uapi/linux/ptrace.h>
#include <linux/sched.h>
#include <linux/fs.h>
#include <net/sock.h>
`;

describe("the kernel's types", () => {
  beforeEach((context) => needsKernel(context));

  test("sched.h, fs.h and sock.h are included, and their structs have their members", () => {
    using b = open(`${INCLUDES}
      int f(${CTX}) {
        struct task_struct *task = (struct task_struct *)bpf_get_current_task();
        struct file file; struct sock sock;
        int tgid = 0;
        bpf_probe_read_kernel(&tgid, sizeof(tgid), &task->tgid);
        return tgid + (sizeof(file.f_flags) - 4) + (sizeof(sock.sk_protocol) - 2);
      }`);
    expect(run(b, "f")).toBe(process.pid);
  });

  test("member by member through pointers: the name of the parent process", () => {
    using b = open(`#include <linux/sched.h>
      struct parent { u32 pid; char comm[16]; };
      BPF_HASH(t, u32, struct parent);
      int f(${CTX}) {
        struct task_struct *task = (void *)bpf_get_current_task(), *parent = 0;
        struct parent found = {};
        u32 key = 0;
        bpf_probe_read_kernel(&parent, sizeof(parent), &task->real_parent);
        bpf_probe_read_kernel(&found.pid, sizeof(found.pid), &parent->tgid);
        bpf_probe_read_kernel_str(&found.comm, sizeof(found.comm), &parent->comm);
        t.update(&key, &found);
        return 0;
      }`);
    run(b, "f");
    const comm = readFileSync(`/proc/${process.ppid}/comm`, "utf8").trim();
    expect(b.get_table("t").items()).toEqual([[0, { pid: process.ppid, comm }]]);
  });

  test("members are reached by plain C: task->real_parent->tgid", () => {
    using b = open(`#include <linux/sched.h>
      int f(${CTX}) {
        struct task_struct *task = (struct task_struct *)bpf_get_current_task();
        return task->real_parent->tgid;
      }`);
    expect(run(b, "f")).toBe(process.ppid);
  });

  test("sizes and offsets are this kernel's", () => {
    using b = open(`${INCLUDES}
      BPF_ARRAY(t, u64, 5);
      int f(${CTX}) {
        t.increment(0, sizeof(struct task_struct));
        t.increment(1, offsetof(struct task_struct, comm));
        t.increment(2, sizeof(struct sock));
        t.increment(3, sizeof(struct inode));
        t.increment(4, TASK_COMM_LEN);
        return 0;
      }`);
    run(b, "f");
    const btf = kernelBtf()!;
    const size = (name: string): bigint => BigInt(btf.sizeOf(btf.find(name, "struct")));
    const task = btf.type(btf.find("task_struct", "struct"));
    const comm = task.kind === "struct" ? task.members.find(({ name }) => name === "comm") : undefined;
    expect(b.get_table("t").values()).toEqual([
      size("task_struct"),
      BigInt(comm!.bitOffset / 8),
      size("sock"),
      size("inode"),
      16n,
    ]);
  });

  test("enumerators are there by name, of kernel enums and of uapi headers", () => {
    using b = open(`${INCLUDES}
      int established(${CTX}) { return TCP_ESTABLISHED; }
      int sum(${CTX}) { return AF_INET6 * 100 + IPPROTO_UDP; }
      int pid(${CTX}) { return PIDTYPE_TGID; }`);
    expect([run(b, "established"), run(b, "sum"), run(b, "pid")]).toEqual([1, 1017, 1]);
  });

  test("kernel types need no include at all", () => {
    using b = open(`int f(${CTX}) {
      struct task_struct *task = (struct task_struct *)bpf_get_current_task();
      u64 start = 0;
      bpf_probe_read_kernel(&start, sizeof(start), &task->start_time);
      return start != 0;
    }`);
    expect(run(b, "f")).toBe(1);
  });

  test("a type of the source's own hides the kernel's of that name", () => {
    using b = open(`#include <linux/sched.h>
      struct file { u8 only; };
      int f(${CTX}) { return sizeof(struct file); }`);
    expect(run(b, "f")).toBe(1);
  });

  test("a header that no kernel has is an error at its line", () => {
    expect(() =>
      open(`#include <linux/sched.h>\n#include "mine/not_there.h"\nint f(void *ctx) { return 0; }`),
    ).toThrow(/main\.c:2:10: .*not_there\.h/);
  });

  test("kernel structs may be keys and values, and decode", () => {
    using b = open(`#include <linux/time.h>
      BPF_HASH(t, u32, struct timespec64);
      int f(${CTX}) { u32 key = 1; struct timespec64 time = { .tv_sec = -5, .tv_nsec = 6 }; t.update(&key, &time); return 0; }`);
    run(b, "f");
    expect(b.get_table("t").items()).toEqual([[1, { tv_sec: -5n, tv_nsec: 6n }]]);
  });
});
