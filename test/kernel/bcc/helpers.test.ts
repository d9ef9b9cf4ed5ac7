import { userInfo } from "node:os";
import { beforeEach, describe, expect, test } from "vitest";
import { isAtLeast } from "../../../framework/core/version.ts";
import { BPF } from "../../../framework/index.ts";
import { helpers } from "../../../framework/isa/helpers.ts";
import { kernelVersion, onlineCpus } from "../../../framework/sys/proc.ts";
import { run, runOnPacket } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

describe("helpers by name", () => {
  beforeEach((context) => needsKernel(context));

  test("tell who runs: process, thread, user, command", () => {
    using b = open(`
      struct who { u32 pid, tid, uid, gid; char comm[16]; };
      BPF_HASH(t, u32, struct who);
      int f(${CTX}) {
        u32 key = 0;
        struct who who = {};
        who.pid = bpf_get_current_pid_tgid() >> 32;
        who.tid = bpf_get_current_pid_tgid();
        who.uid = bpf_get_current_uid_gid();
        who.gid = bpf_get_current_uid_gid() >> 32;
        bpf_get_current_comm(&who.comm, sizeof(who.comm));
        t.update(&key, &who);
        return 0;
      }`);
    run(b, "f");
    const { uid, gid } = userInfo();
    const who = b
      .get_table<number, { pid: number; tid: number; uid: number; gid: number; comm: string }>("t")
      .get(0);
    expect(who).toMatchObject({ pid: process.pid, uid, gid });
    expect(who?.tid).toBeGreaterThan(0);
    expect(who?.comm).not.toBe("");
  });

  test("tell the time, which goes on, and differing random numbers", () => {
    using b = open(`BPF_ARRAY(t, u64, 4);
      int f(${CTX}) {
        t.increment(0, bpf_ktime_get_ns());
        t.increment(1, bpf_ktime_get_ns());
        t.increment(2, bpf_get_prandom_u32());
        t.increment(3, bpf_get_prandom_u32());
        return 0;
      }`);
    const before = process.hrtime.bigint();
    run(b, "f");
    const after = process.hrtime.bigint();
    const [first, second, one, other] = b.get_table<number, bigint>("t").values() as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    expect(first).toBeGreaterThanOrEqual(before);
    expect(second).toBeGreaterThanOrEqual(first);
    expect(after).toBeGreaterThanOrEqual(second);
    expect(one).not.toBe(other);
  });

  test("tell the CPU, and bpf_num_cpus() how many run", () => {
    using b = open(`
      int cpu(${CTX}) { return bpf_get_smp_processor_id(); }
      int count(${CTX}) { return bpf_num_cpus(); }`);
    expect(onlineCpus()).toContain(run(b, "cpu"));
    expect(run(b, "count")).toBe(onlineCpus().length);
  });

  test("read kernel memory: bpf_get_current_task and bpf_probe_read_kernel", () => {
    using b = open(`
      int f(${CTX}) {
        struct task_struct *task = (struct task_struct *)bpf_get_current_task();
        int pid = 0;
        bpf_probe_read_kernel(&pid, sizeof(pid), &task->tgid);
        return pid;
      }`);
    expect(run(b, "f")).toBe(process.pid);
  });

  test("bpf_probe_read_str gives the length with its NUL", () => {
    using b = open(`
      int f(${CTX}) {
        char text[16] = "hello", copy[16] = {};
        return bpf_probe_read_kernel_str(&copy, sizeof(copy), text);
      }`);
    expect(run(b, "f")).toBe(6);
  });

  test("bpf_map_lookup_elem and its relatives take a table's address", () => {
    using b = open(`BPF_HASH(t, u32, u32);
      int f(${CTX}) {
        u32 key = 1, value = 5;
        bpf_map_update_elem(&t, &key, &value, BPF_ANY);
        u32 *found = bpf_map_lookup_elem(&t, &key);
        int result = found ? *found : -1;
        bpf_map_delete_elem(&t, &key);
        return result + (bpf_map_lookup_elem(&t, &key) ? 100 : 0);
      }`);
    expect(run(b, "f")).toBe(5);
  });

  test("bpf_skb_load_bytes reads a packet", () => {
    using b = open(`int f(struct __sk_buff *skb) {
      u16 word = 0;
      bpf_skb_load_bytes(skb, 14, &word, sizeof(word));
      return word;
    }`);
    const packet = new Uint8Array(60);
    packet.set([0x34, 0x12], 14);
    expect(runOnPacket(b, "f", BPF.SOCKET_FILTER, packet).result).toBe(0);
    expect(runOnPacket(b, "f", BPF.SCHED_CLS, packet).result).toBe(0x1234);
  });

  test("helpers of newer kernels too: bpf_strncmp from 5.17, bpf_loop from 5.17", () => {
    const source = `
      static long add(u32 i, long *sum) { *sum += i; return 0; }
      int compare(${CTX}) { char text[8] = "abc"; return bpf_strncmp(text, 3, "abc"); }
      int sum(${CTX}) { long sum = 0; bpf_loop(10, add, &sum, 0); return sum; }`;
    using b = open(source);
    if (!isAtLeast(kernelVersion(), "5.17")) {
      expect(() => run(b, "compare")).toThrow("compare");
      return;
    }
    expect([run(b, "compare"), run(b, "sum")]).toEqual([0, 45]);
  });

  test("bpf_strtol reads a number, in every kind of program from 6.1 on", () => {
    using b = open(`long number;
      int f(${CTX}) { char text[8] = "-123x"; return bpf_strtol(text, sizeof(text), 10, &number); }`);
    if (!isAtLeast(kernelVersion(), "6.1")) {
      expect(() => run(b, "f")).toThrow("bpf_strtol");
      return;
    }
    expect([run(b, "f"), b.variable("number").get()]).toEqual([4, -123n]);
  });

  test("every helper of the table compiles by its name", () => {
    const names = Object.keys(helpers);
    expect(names.length).toBeGreaterThan(150);
    const uses = names.map((name) => `(u64)bpf_${name}`);
    const chunks = uses.map(
      (use, i) =>
        `int f${i}(${CTX}) { u64 (*volatile address)(void) = (void *)${use}; return address == 0; }`,
    );
    using b = open(chunks.join("\n"));
    expect(b.tableNames).toEqual([]);
  });

  test("byte order: ntohs, ntohl, bpf_htons", () => {
    using b = open(`#include <linux/ip.h>
      int f(${CTX}) { return ntohs(0x1234) == 0x3412 && ntohl(0x12345678) == 0x78563412 && bpf_htons(1) == 256; }`);
    expect(run(b, "f")).toBe(1);
  });

  test("lock_xadd adds, and bpf_log2l counts bits", () => {
    using b = open(`BPF_ARRAY(t, u64, 1);
      int f(${CTX}) {
        int zero = 0;
        u64 *value = t.lookup(&zero);
        if (value) lock_xadd(value, 40);
        return bpf_log2l(ctx->args[0]);
      }`);
    expect([0, 1, 2, 3, 4, 2n ** 40n].map((value) => run(b, "f", value))).toEqual([1, 1, 2, 2, 3, 41]);
    expect(b.get_table("t").values()).toEqual([240n]);
  });
});
