/**
 * Run by the tests of what an ended process leaves, in a network namespace of its own: attaches in every way that this
 * kernel has, to the cgroup that the first argument names too, tells its parent, and waits to be killed.
 */
import { BPF, BPFAttachType, PerfSWConfig, PerfType } from "rxbpf";

const [cgroup = ""] = process.argv.slice(2);

const b = new BPF({
  runtime: "kernel",
  text: `
    BPF_HASH(counts, u32, u64);
    BPF_PERF_OUTPUT(out);
    BPF_RINGBUF_OUTPUT(ring, 1);
    BPF_PROG_ARRAY(next, 4);
    TRACEPOINT_PROBE(sched, sched_process_exec) { counts.increment(1); next.call(args, 0); return 0; }
    RAW_TRACEPOINT_PROBE(sched_process_exit) { counts.increment(2); return 0; }
    int call(void *ctx) { counts.increment(3); return 0; }
    int called(void *ctx) { return 0; }
    int keep(struct __sk_buff *skb) { return 0; }
    int allow(struct __sk_buff *skb) { return 1; }
    int shape(struct __sk_buff *skb) { return -1; }
    int pass(struct xdp_md *ctx) { return XDP_PASS; }
    int find(struct bpf_sk_lookup *ctx) { return SK_PASS; }
    BPF_ITER(task) { return 0; }
    ${BPF.support_kfunc() ? "KFUNC_PROBE(do_rmdir) { return 0; } KRETFUNC_PROBE(do_rmdir) { return 0; }" : ""}
    ${BPF.support_lsm() ? "LSM_PROBE(inode_rmdir) { return 0; }" : ""}`,
});
if (BPF.supports("kprobe").state === "yes")
  b.attach_kprobe({ event_re: "do_(rmdir|mkdirat)", fn_name: "call" });
b.attach_tracepoint({ tp_re: "syscalls:sys_(enter|exit)_rmdir$", fn_name: "called" });
b.attach_uretprobe({ name: "c", sym_re: "(abort|labs)$", fn_name: "call" });
b.iterator("bpf_iter__task");
b.attach_func(b.load_func("allow", BPF.CGROUP_SKB), cgroup, BPFAttachType.CGROUP_INET_EGRESS);
b.attach_func(b.load_func("find", BPF.SK_LOOKUP), "/proc/self/ns/net", BPFAttachType.SK_LOOKUP);
b.attach_xdp("lo", b.load_func("pass", BPF.XDP), BPF.XDP_FLAGS_SKB_MODE);
b.attachTc({ dev: "lo", direction: "ingress", fn: b.load_func("shape", BPF.SCHED_CLS) });
b.attach_kprobe({ event: b.get_syscall_fnname("rmdir"), fn_name: "call" });
b.get_table<number, number>("next").set(0, b.load_func("called", BPF.TRACEPOINT));
b.attach_raw_socket(b.load_func("keep", BPF.SOCKET_FILTER), "lo");
b.attach_uprobe({ name: "c", sym: "abort", fn_name: "call", pid: process.pid });
b.attach_perf_event({
  ev_type: PerfType.SOFTWARE,
  ev_config: PerfSWConfig.CPU_CLOCK,
  fn_name: "called",
  sample_freq: 1,
});
b.get_table("out").open_perf_buffer(() => {});
b.get_table("ring").events().subscribe();
if (process.argv.includes("--maxactive")) {
  b.attach_kretprobe({ event: "vfs_read", fn_name: "call", maxactive: 2 });
}
if (process.argv.includes("--throw")) throw new RangeError("of the script");
if (process.argv.includes("--exit")) process.exit(3);
console.log("attached");
setInterval(() => {}, 1000);
