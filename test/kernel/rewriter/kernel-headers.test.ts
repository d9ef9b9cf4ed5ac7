import { beforeEach, describe, expect, test } from "vitest";
import { CompileError } from "../../../framework/index.ts";
import { kernelBtf } from "../../../framework/kernel/environment.ts";
import { kernelConfig } from "../../../framework/sys/proc.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "../bcc/open.ts";

/** Names that BCC's programs take from kernel headers, whichever of the kernel's types or our headers gives them. */
const NAMES = `
  NULL AF_INET AF_INET6 AF_UNIX AF_UNSPEC AF_NETLINK AF_PACKET PF_INET
  ETH_P_IP ETH_P_8021Q ETH_P_IPV6 ETH_P_ARP ETH_P_8021AD ETH_P_ALL ETH_ALEN ETH_HLEN
  IPPROTO_ICMPV6 IPPROTO_TCP IPPROTO_UDP IPPROTO_ICMP SOCK_TYPE_MASK SCM_RIGHTS IFNAMSIZ
  TC_ACT_OK TC_ACT_SHOT TC_ACT_UNSPEC TC_ACT_REDIRECT NF_ACCEPT NF_DROP INADDR_ANY INADDR_LOOPBACK
  VLAN_HLEN IP_OFFSET IP_MF TCPHDR_SYN TCPHDR_ACK MSG_PEEK SOL_SOCKET SO_REUSEPORT
  __BYTE_ORDER__ __ORDER_LITTLE_ENDIAN__ __LITTLE_ENDIAN
  DNAME_INLINE_LEN NAME_MAX PATH_MAX DISK_NAME_LEN PAGE_SIZE PAGE_SHIFT TASK_COMM_LEN KSYM_NAME_LEN MODULE_NAME_LEN
  __NEW_UTS_LEN BITS_PER_LONG LINUX_VERSION_CODE
  REQ_OP_MASK REQ_OP_BITS REQ_FUA REQ_SYNC REQ_RAHEAD REQ_META REQ_PREFLUSH REQ_OP_READ REQ_OP_WRITE RQF_STARTED
  NSEC_PER_MSEC NSEC_PER_USEC NSEC_PER_SEC USEC_PER_SEC MSEC_PER_SEC
  TASK_RUNNING TASK_INTERRUPTIBLE TASK_UNINTERRUPTIBLE TASK_DEAD PF_KTHREAD PF_EXITING PF_IDLE PF_WQ_WORKER
  EXIT_DEAD EXIT_ZOMBIE CLONE_VM CLONE_THREAD CLONE_NEWNS SIGKILL SIGTERM SIGCHLD
  PAGE_OFFSET THREAD_SIZE O_CREAT O_TMPFILE O_RDWR O_CLOEXEC FMODE_CREATED FMODE_READ FMODE_WRITE
  MINORBITS MINORMASK MS_RDONLY MS_BIND AT_FDCWD S_IFMT S_IFREG EINVAL ENOMEM EPROTONOSUPPORT ERESTARTSYS MAX_ERRNO
  U32_MAX U64_MAX INT_MAX ULONG_MAX LLONG_MAX CAP_NET_ADMIN CAP_SYS_ADMIN CAP_BPF CAP_LAST_CAP
  PERF_MAX_STACK_DEPTH BPF_TAG_SIZE BPF_BUILD_ID_SIZE BPF_OBJ_NAME_LEN BPF_F_CURRENT_CPU BPF_F_USER_STACK
  BPF_F_REUSE_STACKID BPF_F_FAST_STACK_CMP BPF_ANY BPF_NOEXIST BPF_EXIST XDP_PASS XDP_DROP XDP_TX SK_PASS SK_DROP
  BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB BPF_TCP_ESTABLISHED VM_READ VM_EXEC PROT_READ MAP_SHARED FUTEX_WAIT FUTEX_WAKE
  IOCB_DIRECT READ WRITE TCP_ESTABLISHED TCP_LISTEN TCP_CLOSE_WAIT CUR_CPU_IDENTIFIER BPF_MAX_STACK_DEPTH
  TCP_NODELAY ICMP_ECHO ICMPV6_ECHO_REQUEST POLLIN EPOLLIN SEEK_SET RLIMIT_NOFILE ARPHRD_ETHER UNIX_PATH_MAX
`
  .trim()
  .split(/\s+/);

const HEADERS = `
  uapi/linux/ptrace.h linux/sched.h bcc/proto.h net/sock.h linux/fs.h linux/blkdev.h linux/ptrace.h linux/dcache.h
  linux/blk-mq.h uapi/linux/bpf.h linux/tcp.h net/inet_sock.h linux/if_ether.h linux/in.h
  uapi/linux/bpf_perf_event.h linux/bpf.h linux/mount.h uapi/linux/ip.h uapi/linux/limits.h linux/blk_types.h
  linux/if_packet.h linux/interrupt.h linux/mm.h linux/mmzone.h linux/nsproxy.h net/net_namespace.h linux/ip.h
  linux/ipv6.h uapi/linux/if_ether.h linux/time64.h net/tcp.h uapi/linux/pkt_cls.h linux/compaction.h linux/gfp.h
  linux/if_vlan.h linux/irq.h linux/irqdesc.h linux/mm_types.h linux/net.h linux/netdevice.h linux/oom.h
  linux/pid_namespace.h linux/seq_file.h linux/skbuff.h linux/socket.h uapi/linux/in.h uapi/linux/udp.h asm/errno.h
  linux/aio.h linux/bio.h linux/delay.h linux/ethtool.h linux/fcntl.h linux/fs_struct.h linux/init_task.h
  linux/kasan.h linux/module.h linux/netfilter.h linux/nfs_fs.h linux/ns_common.h linux/path.h linux/perf_event.h
  linux/security.h linux/slab_def.h linux/slub_def.h linux/string.h linux/topology.h linux/uaccess.h linux/uio.h
  linux/version.h linux/virtio.h linux/workqueue.h net/af_unix.h net/inet_connection_sock.h net/ip.h net/tcp_states.h
  rdma/rdma_cm.h uapi/linux/fs.h uapi/linux/if_packet.h uapi/linux/in6.h uapi/linux/ipv6.h uapi/linux/openat2.h
  uapi/linux/perf_event.h uapi/linux/tcp.h acpi/video.h dt-bindings/none.h
`
  .trim()
  .split(/\s+/);

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const KERNEL_HEADERS = "#include <linux/sched.h>\n#include <net/sock.h>\n#include <linux/blkdev.h>\n";

/** The values of C expressions, which may use what `before` declares in the function. */
function valuesOf(
  expressions: readonly string[],
  before = "",
  args: readonly bigint[] = [],
): readonly bigint[] {
  const values: bigint[] = [];
  for (let from = 0; from < expressions.length; from += 24) {
    const part = expressions.slice(from, from + 24);
    const puts = part.map((text, index) => `put(${index}, (u64)(${text}));`);
    using b = open(`${KERNEL_HEADERS}BPF_ARRAY(out, u64, ${part.length});
      static void put(u32 at, u64 value) { out.update(&at, &value); }
      int f(${CTX}) { u64 a = ctx->args[0], b = ctx->args[1]; ${before} ${puts.join("\n")} return 0; }`);
    run(b, "f", ...args);
    values.push(...b.get_table<number, bigint>("out").values());
  }
  return values;
}

/** Holds every expression against its value. */
function expectValues(
  rows: readonly (readonly [string, bigint])[],
  before?: string,
  args?: readonly bigint[],
) {
  const found = valuesOf(
    rows.map(([text]) => text),
    before,
    args,
  );
  expect(rows.map(([text], index) => [text, found[index]])).toEqual(
    rows.map(([text, value]) => [text, BigInt.asUintN(64, value)]),
  );
}

describe("what kernel headers give", () => {
  beforeEach((context) => needsKernel(context));

  test("every name of BCC's programs is a value, with no header but the one for sockets", () => {
    const statics = NAMES.map((name, index) => `int use${index}(${CTX}) { return (long)(${name}) == 77; }`);
    using b = open(`#include <net/sock.h>\n${statics.join("\n")}`);
    expect(run(b, "use1")).toBe(0);
  });

  test("every header that BCC's programs include is there, alone and with all others", () => {
    const all = HEADERS.map((name) => `#include <${name}>\n`);
    using b = open(`${all.join("")}int f(${CTX}) { return 7; }`);
    expect(run(b, "f")).toBe(7);
  });

  test("lengths are the running kernel's", () => {
    const btf = kernelBtf();
    if (btf === null) throw new Error("this kernel has no types");
    const task = btf.type(btf.find("task_struct", "struct"));
    const comm = task.kind === "struct" ? task.members.find(({ name }) => name === "comm") : undefined;
    expectValues([
      ["TASK_COMM_LEN", BigInt(btf.sizeOf(comm!.type))],
      ["THREAD_SIZE % PAGE_SIZE", 0n],
      ["DISK_NAME_LEN - sizeof(((struct gendisk *)0)->disk_name)", 0n],
      ["DNAME_INLINE_LEN % 4 + (DNAME_INLINE_LEN >= 32)", 1n],
      ["MODULE_NAME_LEN - sizeof(((struct module *)0)->name)", 0n],
    ]);
  });

  test("HZ and NR_CPUS come from the kernel's configuration, and IS_ENABLED asks it", (context) => {
    const config = kernelConfig();
    if (config === undefined) return context.skip("the system does not tell the kernel's configuration");
    const has = (name: string): bigint => (["y", "m"].includes(config.get(name) ?? "") ? 1n : 0n);
    expectValues([
      ["HZ", BigInt(config.get("CONFIG_HZ")!)],
      ["NR_CPUS", BigInt(config.get("CONFIG_NR_CPUS")!)],
      ["jiffies_to_msecs(HZ * 3)", 3000n],
      ["msecs_to_jiffies(2000)", 2n * BigInt(config.get("CONFIG_HZ")!)],
      ["jiffies_to_usecs(HZ)", 1_000_000n],
      ["nsecs_to_jiffies(1000000000)", BigInt(config.get("CONFIG_HZ")!)],
      ["IS_ENABLED(CONFIG_BPF)", 1n],
      ["IS_ENABLED(CONFIG_NO_SUCH_THING)", 0n],
      ["IS_ENABLED(CONFIG_VETH)", has("CONFIG_VETH")],
      ["IS_MODULE(CONFIG_BPF)", 0n],
    ]);
    using b = open(
      `#if IS_ENABLED(CONFIG_BPF) && !IS_ENABLED(CONFIG_NONE)\nint f(${CTX}) { return 1; }\n#endif`,
    );
    expect(run(b, "f")).toBe(1);
  });

  test("arithmetic macros have their values at run time, each argument evaluated once", () => {
    const a = 0x1_2345_6789n;
    const b = 1000n;
    expectValues(
      [
        ["min(a, b)", b],
        ["max(a, b)", a],
        ["min_t(u32, a, b)", b],
        ["max_t(u32, a, b)", 0x2345_6789n],
        ["clamp(b, (u64)5, (u64)7)", 7n],
        ["clamp_t(int, b, 2000, 3000)", 2000n],
        ["min3(a, b, (u64)3)", 3n],
        ["abs(-(long)b)", b],
        ["roundup_pow_of_two(b)", 1024n],
        ["rounddown_pow_of_two(b)", 512n],
        ["is_power_of_2(b)", 0n],
        ["ilog2(a)", 32n],
        ["order_base_2(b)", 10n],
        ["fls(b)", 10n],
        ["fls64(a)", 33n],
        ["ffs(b)", 4n],
        ["__ffs(b)", 3n],
        ["DIV_ROUND_UP(b, 3)", 334n],
        ["round_up(b, 64)", 1024n],
        ["round_down(b, 64)", 960n],
        ["roundup(b, 7)", 1001n],
        ["rounddown(b, 7)", 994n],
        ["ALIGN(b, 16)", 1008n],
        ["upper_32_bits(a)", 1n],
        ["lower_32_bits(a)", 0x2345_6789n],
        ["div_u64(a, b)", a / b],
        ["div64_u64(a, b)", a / b],
        ["div_s64(-(s64)a, 7)", -a / 7n],
        ["div64_s64(-(s64)a, -(s64)b)", a / b],
        ["({ u64 n = a; u32 rest = do_div(n, 10); n * 100 + rest; })", (a / 10n) * 100n + (a % 10n)],
        ["({ u64 n = a, m = b; swap(n, m); n; })", b],
        ["({ u64 n = 4; min(n++, b) + n; })", 9n],
        ["hweight32(b)", 6n],
        ["hweight64(a)", 15n],
        ["rol32((u32)a, 8)", 0x4567_8923n],
        ["ror32((u32)a, 8)", 0x8923_4567n],
        ["hash_32(b, 8)", ((b * 0x61c88647n) & 0xffff_ffffn) >> 24n],
        ["hash_64(a, 12)", BigInt.asUintN(64, a * 0x61c8864680b583ebn) >> 52n],
        ["bpf_log2(b)", 9n],
        ["bpf_log2l(a)", 33n],
        ["bpf_log2l(a - a)", 1n],
        ["GENMASK(7, 4)", 0xf0n],
        ["BIT(33)", 1n << 33n],
        ["UL(5) + ULL(6)", 11n],
      ],
      "",
      [a, b],
    );
  });

  test("byte orders, unaligned bytes and lengths of texts", () => {
    const a = 0x0102_0304_0506_0708n;
    expectValues(
      [
        ["bpf_ntohs(a)", 0x0807n],
        ["bpf_htonl(a)", 0x0807_0605n],
        ["bpf_ntohll(a)", 0x0807_0605_0403_0201n],
        ["bpf_hton128((unsigned __int128)a << 64)", 0x0807_0605_0403_0201n],
        ["bpf_ntoh128(a) >> 64", 0x0807_0605_0403_0201n],
        ["ntohs((u16)a)", 0x0807n],
        ["cpu_to_be32((u32)a)", 0x0807_0605n],
        ["get_unaligned((u32 *)(bytes + 4))", 0x0102_0304n],
        ["get_unaligned_be16(bytes + 1)", 0x0706n],
        ["get_unaligned_le16(bytes + 1)", 0x0607n],
        ["get_unaligned_be32(bytes + 1)", 0x0706_0504n],
        ["get_unaligned_le32(bytes + 1)", 0x0405_0607n],
        ["get_unaligned_be64(bytes)", 0x0807_0605_0403_0201n],
        ["get_unaligned_le64(bytes)", a],
        ['strlen("four")', 4n],
        ["strlen(text)", 3n],
        ["memcmp(bytes, other, 8) == 0", 1n],
        ["memcmp(bytes, text, 4) == 0", 0n],
        ["({ memset(other, 1, 8); get_unaligned_le64(other); })", 0x0101_0101_0101_0101n],
        ["({ memmove(other, bytes, 4); get_unaligned_le32(other); })", 0x0506_0708n],
      ],
      `unsigned char bytes[8] = {}, other[8] = {}; char text[16] = "abc";
       memcpy(bytes, &a, 8); memcpy(other, bytes, 8); if (b) text[1] = b;`,
      [a],
    );
  });

  test("inline functions look into structures as the kernel's do", () => {
    expectValues(
      [
        ["skb_network_header(skb)", 0x1010n],
        ["skb_transport_header(skb)", 0x1024n],
        ["ip_hdr(skb)", 0x1010n],
        ["tcp_hdr(skb)", 0x1024n],
        ["skb_network_offset(skb)", 6n],
        ["skb_headlen(skb)", 60n],
        ["skb_is_nonlinear(skb)", 1n],
        ["skb_headroom(skb)", 10n],
        ["skb_get_rx_queue(skb)", 2n],
        ["skb_rx_queue_recorded(skb)", 1n],
        ["skb_end_pointer(skb)", 0x1080n],
        ["(void *)TCP_SKB_CB(skb) == (void *)skb->cb", 1n],
      ],
      `struct sk_buff own = {}, *skb = &own;
       own.head = (void *)0x1000; own.data = (void *)0x100a; own.network_header = 16; own.transport_header = 36;
       own.len = 100; own.data_len = 40; own.queue_mapping = 3; own.end = 128;`,
    );
    expectValues(
      [
        ["sg_is_last(&last)", 2n],
        ["sg_is_chain(&chain)", 1n],
        ["sg_chain_ptr(&chain)", 0x7000n],
        ["atomic_read(&count)", 5n],
        ["ktime_to_us(5000)", 5n],
        ["ktime_sub(7, 2)", 5n],
        ["offset_in_page(0x12345)", 0x345n],
        ["PFN_DOWN(0x12345)", 0x12n],
        ["IS_ERR(ERR_PTR(-5))", 1n],
        ["PTR_ERR(ERR_PTR(-5))", -5n],
        ["IS_ERR_OR_NULL((void *)0)", 1n],
        ["time_after(3, 2)", 1n],
        ["test_bit(70, words)", 1n],
        ["container_of(&two.second, struct two, second) == &two", 1n],
        ["offsetof(struct task_struct, comm) == __builtin_offsetof(struct task_struct, comm)", 1n],
        ["sizeof_field(struct task_struct, comm)", 16n],
        ["folio_page((struct folio *)0x1000, 2)", 0x1080n],
        ["ARRAY_SIZE(words)", 2n],
      ],
      `struct scatterlist last = {.page_link = 2}, chain = {.page_link = 0x7001}; atomic_t count = {.counter = 5};
       unsigned long words[2] = {0, 1UL << 6}; struct two { int first; long second; } two = {};`,
    );
  });

  test("inline functions read the kernel's own memory", () => {
    expectValues(
      [
        ["task_tgid_nr(task)", BigInt(process.pid)],
        ["is_global_init(task)", 0n],
        ["task_cpu(task) == bpf_get_smp_processor_id()", 1n],
        ["__kuid_val(task->cred->uid)", BigInt(process.getuid!())],
        ["thread_group_leader(task->group_leader)", 1n],
        ["list_empty(&task->tasks)", 0n],
      ],
      "struct task_struct *task = (struct task_struct *)bpf_get_current_task();",
    );
  });

  test("names of members stand in their own headers: elsewhere they are a source's", () => {
    using b = open(`#include <uapi/linux/ptrace.h>
      struct event { u32 sk_daddr; u16 sk_state; u32 s6_addr; u64 inet_num; u64 ir_num; };
      int f(${CTX}) { struct event e = {.sk_daddr = 3}; e.inet_num = 4; return e.sk_daddr + e.inet_num; }`);
    expect(run(b, "f")).toBe(7);
  });

  test("a source's own function of a macro's name wins", () => {
    using b = open(`#include <linux/sched.h>
      static inline u64 hash_64(u64 value, int bits) { return value + bits; }
      static __always_inline u32
      min(u32 a, u32 b) { return a * 100 + b; }
      static unsigned int bpf_log2(unsigned int v) { return 42; }
      static int MASK(int n) { return n; }
      static int memcmp(const void *a, const void *b, u32 size) { return -9; }
      int f(${CTX}) { char c[4] = {}; return hash_64(1, 2) + min(3, 4) + bpf_log2(1) + MASK(1) + memcmp(c, c, 4); }`);
    expect(run(b, "f")).toBe(3 + 304 + 42 + 1 - 9);
  });

  test("a constant that older kernels have as a macro needs no types", () => {
    expectValues([
      ["BPF_F_CURRENT_CPU", 0xffff_ffffn],
      ["BPF_NOEXIST", 1n],
      ["BPF_F_USER_STACK", 256n],
    ]);
  });

  test("a name that nobody has is an error at its place", () => {
    const error = failure(CompileError, () => open(`int f(${CTX}) {\n  return ETH_P_NOTHING;\n}`));
    expect(error.diagnostics[0]).toMatchObject({ line: 2, column: 10 });
  });
});
