/** Two values of `who` that no process has as its id: only those who mean to, call getpriority with them. */
export const MAGIC = 0x3fff_fff0;
/** The peer's: tracepoints run everybody's programs, and each side must fill its own buffer only. */
export const PEER_MAGIC = 0x3fff_fff1;

/** How often the start-up rows fire their tracepoint to see that it counts. */
export const START_FIRES = 100;

/** Records that one call writes. */
export const RECORDS_PER_FIRE = 500;

/** Start-up: what BCC's users write first. */
export const COUNTER = `
BPF_HASH(counts, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
    u32 who = args->who;
    counts.increment(who);
    return 0;
}
`;

/**
 * Start-up with the kernel's types. With CHECK_READS it counts only when the members it read are the right ones; without,
 * always, for peers whose kernel headers may be those of another kernel.
 */
export const KERNEL_TYPES = `
#include <linux/sched.h>
#include <linux/fs.h>
#include <net/sock.h>

BPF_HASH(counts, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct mm_struct *mm = 0;
    struct file *exe = 0;
    struct sock *sk = 0;
    u32 who = args->who;
    u32 tgid = 0;
    u32 flags = 0;
    u16 family = 0;
    bpf_probe_read_kernel(&tgid, sizeof(tgid), &task->tgid);
    bpf_probe_read_kernel(&mm, sizeof(mm), &task->mm);
    bpf_probe_read_kernel(&exe, sizeof(exe), &mm->exe_file);
    bpf_probe_read_kernel(&flags, sizeof(flags), &exe->f_flags);
    bpf_probe_read_kernel(&sk, sizeof(sk), &exe->private_data);
    bpf_probe_read_kernel(&family, sizeof(family), &sk->__sk_common.skc_family);
#ifdef CHECK_READS
    if (tgid != bpf_get_current_pid_tgid() >> 32 || flags == 0)
        return 0;
#endif
    counts.increment(who);
    return 0;
}
`;

/** Writes RECORDS_PER_FIRE records of 32 bytes for each call of getpriority with WHO. */
function producer(table: string, output: string): string {
  return `
struct data_t {
    u32 pid;
    u32 seq;
    u64 ts;
    char comm[16];
};

${table}

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
    if (args->who != WHO)
        return 0;
    struct data_t data = {};
    data.pid = bpf_get_current_pid_tgid() >> 32;
    data.ts = bpf_ktime_get_ns();
    bpf_get_current_comm(&data.comm, sizeof(data.comm));
    for (u32 i = 0; i < ${RECORDS_PER_FIRE}; i++) {
        data.seq = i;
        ${output};
    }
    return 0;
}
`;
}

/** 8 MB: 200,000 records of 32 bytes with their headers of 8. */
export const RING = producer(
  "BPF_RINGBUF_OUTPUT(output, 2048);",
  "output.ringbuf_output(&data, sizeof(data), 0)",
);
export const RING_FIRES = 400;
/** Five million records. */
export const FLOOD_FIRES = 10_000;

/** Pages per CPU; a record takes 48 bytes of them. */
export const PERF_PAGES = 1024;
export const PERF = producer("BPF_PERF_OUTPUT(output);", "output.perf_submit(args, &data, sizeof(data))");
export const PERF_FIRES = 160;

/** The source that answers one side's calls. */
export function forCaller(text: string, who: number): string {
  return `#define WHO ${who}\n${text}`;
}

/** A hash that the entries fill to the last. */
export function hashOf(entries: number): string {
  return `BPF_HASH(table, u32, u64, ${entries});\n`;
}

/** Runs of the packet parser in one measurement, and the port that it finds. */
export const PACKET_RUNS = 20_000;
export const PORT = 443;
/** Rounds of the arithmetic loop, and its instructions in each round. */
export const ALU_LOOPS = 1_000_000;
export const ALU_STEPS = 8;
/** Runs of the program with lookups, and how many each makes: the verifier follows every one. */
export const LOOKUP_RUNS = 500;
export const LOOKUPS = 200;

/** For the machine: a packet parser, arithmetic of 64 bits, and lookups, one after another. */
export const PARSER = `
BPF_HASH(counts, u32, u64, 1024);

int parse(struct xdp_md *ctx) {
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = (void *)(long)ctx->data;
    struct iphdr *ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
        return -1;
    struct tcphdr *tcp = (void *)ip + ip->ihl * 4;
    if ((void *)(tcp + 1) > end || ip->protocol != IPPROTO_TCP)
        return -2;
    return bpf_ntohs(tcp->dest);
}

int arithmetic(struct xdp_md *ctx) {
    u64 value = 1, left = ${ALU_LOOPS}, sum = 0;
    asm volatile("1: %0 ^= %1\\n%2 += %0\\n%0 <<= 1\\n%2 -= %1\\n%0 |= %1\\n%2 ^= %0\\n%1 += -1\\nif %1 != 0 goto 1b"
                 : "+r"(value), "+r"(left), "+r"(sum));
    return sum == 0;
}

int lookups(struct xdp_md *ctx) {
    u64 sum = 0;
    for (u32 i = 0; i < ${LOOKUPS}; i++) {
        u32 key = i;
        u64 *value = counts.lookup(&key);
        if (value == 0)
            return -1;
        sum += *value;
    }
    return sum;
}
`;

/** What a program of test/support/target reads to call a function of its own many times, and how many. */
export const LOOP = "L";
export const LOOPS = 100_000;

/** Counts calls of whatever it is attached to. */
export const COUNT_CALLS = `
  BPF_ARRAY(calls, u64, 1);
  int count(void *ctx) { calls.atomic_increment(0); return 0; }`;
