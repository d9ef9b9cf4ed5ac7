/**
 * Run by the tests of what an ended process leaves: attaches in every way that this kernel has, tells its parent, and
 * waits to be killed.
 */
import { BPF, PerfSWConfig, PerfType } from "rxbpf";

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
    int keep(struct __sk_buff *skb) { return 0; }`,
});
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
