import { describe, expect, expectTypeOf, test } from "vitest";
import {
  type ArgumentsEvent,
  BPF,
  type BpfOptions,
  type EventName,
  type EventOf,
  type FunctionEvent,
  MachineFault,
  type PacketEvent,
  type RecordEvent,
  UnsupportedError,
  UsageError,
  VirtualClock,
} from "../../../framework/index.ts";
import { failure } from "../../kernel/bcc/open.ts";
import { needsKernel } from "../../support/skip.ts";

/** An object in the machine: nothing here needs privileges. */
function open(text: string, more: BpfOptions = {}): BPF {
  return new BPF({ text, runtime: "machine", ...more });
}

const HEADERS = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
`;

describe("an event by its name", () => {
  test("gives tracepoints their fields, texts where pointers lead", () => {
    using b = open(`
      struct seen { u32 pid; u32 uid; char comm[16]; char path[32]; };
      BPF_QUEUE(all, struct seen, 8);
      TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
        struct seen s = { .pid = bpf_get_current_pid_tgid() >> 32, .uid = bpf_get_current_uid_gid() };
        bpf_get_current_comm(s.comm, sizeof(s.comm));
        bpf_probe_read_user_str(s.path, sizeof(s.path), args->filename);
        all.push(&s, 0);
        return args->flags;
      }`);
    const answers = b.fire("tracepoint/syscalls/sys_enter_openat", {
      fields: { filename: "/etc/hosts", flags: 7 },
      task: { pid: 11, tgid: 10, uid: 1000, comm: "cat" },
    });
    expect(answers).toEqual([7n]);
    const [queue] = [b.get_table("all")];
    expect("pop" in queue && queue.pop()).toEqual({ pid: 10, uid: 1000, comm: "cat", path: "/etc/hosts" });
  });

  test("gives tracepoints texts of any length, and arrays", () => {
    using b = open(`
      #include <linux/sched.h>
      TRACEPOINT_PROBE(sched, sched_process_exec) {
        char name[16];
        TP_DATA_LOC_READ_STR(&name, filename, sizeof(name));
        return name[5] == 'l' && args->pid == 77;
      }
      TRACEPOINT_PROBE(raw_syscalls, sys_enter) { return args->id + args->args[1]; }`);
    expect(
      b.fire("tracepoint/sched/sched_process_exec", { fields: { filename: "/bin/ls", pid: 77 } }),
    ).toEqual([1n]);
    expect(b.fire("tp/raw_syscalls/sys_enter", { fields: { id: 40, args: [1, 2] } })).toEqual([42n]);
  });

  test("runs all that is attached there, in order, and nothing else", () => {
    using b = open(`
      int first(struct pt_regs *ctx) { return PT_REGS_PARM1(ctx); }
      int second(struct pt_regs *ctx) { return PT_REGS_PARM2(ctx); }
      int back(struct pt_regs *ctx) { return PT_REGS_RC(ctx); }`);
    for (const fn_name of ["first", "second"]) b.attach_kprobe({ event: "vfs_read", fn_name });
    b.attach_kretprobe({ event: "vfs_read", fn_name: "back" });
    expect(b.fire("kprobe/vfs_read", { args: [3, -4] })).toEqual([3n, -4n]);
    expect(b.fire("kretprobe/vfs_read", { result: -2 })).toEqual([-2n]);
    b.detach_kprobe({ event: "vfs_read", fn_name: "first" });
    expect(b.fire("kprobe/vfs_read", { args: [3, -4] })).toEqual([-4n]);
  });

  test("gives functions of system calls their parameters, texts in the process and bytes in the kernel", () => {
    using b = open(`
      int syscall__openat(struct pt_regs *ctx, int dfd, const char *name) {
        char text[8];
        bpf_probe_read_user_str(text, sizeof(text), name);
        return text[1] == 'e' ? dfd : -1;
      }
      int inside(struct pt_regs *ctx, u64 *at) {
        u64 value = 0;
        return bpf_probe_read_kernel(&value, sizeof(value), at) == 0 ? value : -1;
      }`);
    b.attach_kprobe({ event: b.get_syscall_fnname("openat"), fn_name: "syscall__openat" });
    expect(b.fire("ksyscall/openat", { args: [5, "/etc"] })).toEqual([5n]);
    b.attach_kprobe({ event: "vfs_read", fn_name: "inside" });
    expect(b.fire("kprobe/vfs_read", { args: [{ kernel: Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0) }] })).toEqual([
      9n,
    ]);
    expect(b.fire("kprobe/vfs_read", { args: [0xffff_8888_0000_0000n] })).toEqual([-1n]);
  });

  test("gives raw tracepoints their arguments", () => {
    using b = open(`RAW_TRACEPOINT_PROBE(sys_enter) { return ctx->args[1]; }`);
    expect(b.fire("raw_tp/sys_enter", { args: [0, 59] })).toEqual([59n]);
    expect(b.fire("raw_tracepoint/sys_enter", { args: [0, 60n] })).toEqual([60n]);
  });

  test("that nothing is attached to is an error that names what is", () => {
    using b = open(`int kprobe__vfs_read(struct pt_regs *ctx) { return 0; }`);
    const error = failure(UsageError, () => b.fire("kprobe/vfs_raed"));
    expect(error.message).toBe("nothing is attached to kprobe vfs_raed");
    expect(error.hint).toContain("vfs_read");
    failure(UsageError, () => b.fire("kprobe/vfs_read", { fields: {}, speed: 3 } as object));
    failure(UsageError, () => b.fire("no/such"));
  });

  test("a fault is thrown, at the user's line, after the others have run", () => {
    using b = open(`
      BPF_ARRAY(ran, u64, 1);
      int bad(struct pt_regs *ctx) {
        u64 *at = ran.lookup(&(int){0});
        return at == 0 ? 0 : at[PT_REGS_PARM1(ctx)];
      }
      int good(struct pt_regs *ctx) { ran.increment(0); return 0; }`);
    for (const fn_name of ["bad", "good"]) b.attach_kprobe({ event: "vfs_read", fn_name });
    const fault = failure(MachineFault, () => b.fire("kprobe/vfs_read", { args: [9] }));
    expect(fault).toMatchObject({ program: "bad", at: { line: 5 } });
    expect([...b.get_table("ran").values()]).toEqual([1n]);
  });
});

describe("a function", () => {
  const PACKETS = `
    int count(struct xdp_md *ctx) {
      u8 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
      if (at + 15 > end) return XDP_ABORTED;
      at[14] = 7;
      return ctx->ingress_ifindex == 3 ? XDP_DROP : XDP_PASS;
    }
    int filter(struct __sk_buff *skb) { return skb->len + skb->mark; }
    int classify(struct __sk_buff *skb) { return skb->len + skb->mark; }`;

  test("that takes packets is run on one, and shows what it made of it", () => {
    using b = open(PACKETS);
    const xdp = b.load_func("count", BPF.XDP);
    const left: number[] = [];
    const packet = new Uint8Array(20);
    expect(b.fire(xdp, { packet, after: (bytes) => left.push(bytes[14]!) })).toBe(2n);
    expect(left).toEqual([7]);
    expect(packet[14]).toBe(0);
    expect(b.fire("count", { packet, fields: { ingress_ifindex: 3 } })).toBe(1n);
    expect(b.fire("count", { packet: packet.subarray(0, 14) })).toBe(0n);
    const classifier = b.load_func("classify", BPF.SCHED_CLS);
    expect(b.fire(classifier, { packet, fields: { mark: 100 } })).toBe(120n);
    expect(b.fire(b.load_func("filter", BPF.SOCKET_FILTER), { packet })).toBe(20n);
    failure(UsageError, () => b.fire(xdp, { packet, fields: { mark: 1 } }));
  });

  test("is run by what attaching gave", () => {
    using b = open(PACKETS);
    const link = b.attach_xdp("eth7", b.load_func("count", BPF.XDP));
    expect(b.fire(link, { packet: new Uint8Array(20) })).toBe(2n);
  });

  test("of an unknown kind must be loaded first", () => {
    using b = open(PACKETS);
    expect(failure(UsageError, () => b.fire("count", { packet: new Uint8Array(20) })).hint).toContain(
      "load_func",
    );
  });

  test("on perf events gets registers and the sample's period", () => {
    using b = open(`${HEADERS}
      #include <linux/bpf_perf_event.h>
      SEC("perf_event") int sample(struct bpf_perf_event_data *ctx) { return ctx->sample_period + ctx->regs.ip; }`);
    expect(b.fire("sample", { registers: { ip: 1000 }, fields: { sample_period: 99 } })).toBe(1099n);
  });

  test("of cgroups and sockets gets a struct's fields, and may write where the kernel lets it", () => {
    using b = open(
      `${HEADERS}
      SEC("cgroup/connect4") int redirect(struct bpf_sock_addr *ctx) {
        if (ctx->user_port != 80) return 1;
        ctx->user_port = 8080;
        return 0;
      }
      SEC("cgroup/dev") int device(struct bpf_cgroup_dev_ctx *ctx) { return ctx->major; }
      SEC("cgroup/skb") int traffic(struct __sk_buff *skb) { return skb->len; }
      SEC("sk_lookup") int look(struct bpf_sk_lookup *ctx) { return ctx->local_port; }`,
      { autoAttach: false },
    );
    expect(b.fire("redirect", { fields: { user_port: 443 } })).toBe(1n);
    expect(b.fire("redirect", { fields: { user_port: 80 } })).toBe(0n);
    const bytes = new Uint8Array(72);
    bytes[24] = 80;
    expect(b.fire("redirect", { bytes })).toBe(0n);
    expect(new DataView(bytes.buffer).getUint32(24, true)).toBe(8080);
    expect(b.fire("device", { fields: { major: 8 } })).toBe(8n);
    expect(b.fire("traffic", { packet: new Uint8Array(33) })).toBe(33n);
    expect(b.fire("look", { fields: { local_port: 53 } })).toBe(53n);
  });

  test("with types gets its arguments, and reads what they point to as the kernel's memory", () => {
    using b = open(
      `${HEADERS}
      #include <bpf/bpf_tracing.h>
      struct pair { int first; int second; };
      SEC("fexit/do_unlinkat") int BPF_PROG(left, int dfd, struct pair *at, long ret) { return ret + at->second; }`,
      { autoAttach: false },
    );
    const kernel = Uint8Array.of(1, 0, 0, 0, 5, 0, 0, 0);
    expect(b.fire("left", { args: [1, { kernel }], result: 37 })).toBe(42n);
    expect(failure(MachineFault, () => b.fire("left", { args: [1, 0] })).reason).toBe("memory");
  });
});

describe("circumstances", () => {
  test("task, CPU and time are what the event says, else what the machine was told", () => {
    using b = open(
      `
      BPF_PERCPU_ARRAY(cpus, u64, 1);
      int where(struct pt_regs *ctx) {
        cpus.increment(0);
        return bpf_get_smp_processor_id() * 1000000 + bpf_ktime_get_ns() * 1000 + (u32)bpf_get_current_pid_tgid();
      }`,
      { machine: { clock: new VirtualClock(5n), cpus: 3, task: { pid: 9 } } },
    );
    b.attach_kprobe({ event: "vfs_read", fn_name: "where" });
    expect(b.fire("kprobe/vfs_read")).toEqual([5009n]);
    expect(b.fire("kprobe/vfs_read", { cpu: 2, time: 7n, task: { pid: 1 } })).toEqual([2_007_001n]);
    expect([...b.get_table("cpus").values()]).toEqual([[1n, 0n, 1n]]);
  });

  test("a virtual clock rings timers when it is moved", () => {
    const clock = new VirtualClock();
    using b = open(
      `${HEADERS}
      struct slot { struct bpf_timer timer; unsigned long long rings; };
      struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, struct slot); } slots SEC(".maps");
      static int ring(void *map, int *key, struct slot *slot) {
        slot->rings++;
        bpf_timer_start(&slot->timer, 1000, 0);
        return 0;
      }
      SEC("raw_tp/sys_enter") int begin(void *ctx) {
        int key = 0;
        struct slot *slot = bpf_map_lookup_elem(&slots, &key);
        if (!slot) return 1;
        bpf_timer_init(&slot->timer, &slots, 1);
        bpf_timer_set_callback(&slot->timer, ring);
        return bpf_timer_start(&slot->timer, 1000, 0);
      }`,
      { machine: { clock } },
    );
    const rings = (): unknown => [...b.get_table<number, { rings: bigint }>("slots").values()][0];
    expect(b.fire("raw_tp/sys_enter")).toEqual([0n]);
    clock.advance(999n);
    expect(rings()).toMatchObject({ rings: 0n });
    clock.advance(2001n);
    expect(rings()).toMatchObject({ rings: 3n });
  });
});

describe("on the running kernel", () => {
  test("functions for packets and raw tracepoints run as tests; all else says that it needs the machine", (context) => {
    needsKernel(context);
    using b = new BPF({
      runtime: "kernel",
      autoAttach: false,
      text: `
        int drop(struct xdp_md *ctx) { return XDP_DROP; }
        RAW_TRACEPOINT_PROBE(sys_enter) { return ctx->args[1]; }
        TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) { return 0; }`,
    });
    expect(b.fire(b.load_func("drop", BPF.XDP), { packet: new Uint8Array(64) })).toBe(1n);
    expect(b.fire("raw_tracepoint__sys_enter", { args: [1, -3] })).toBe(-3n);
    const error = failure(UnsupportedError, () => b.fire("tracepoint__syscalls__sys_enter_rmdir"));
    expect(error.hint).toContain('runtime: "machine"');
    failure(UnsupportedError, () => b.fire("raw_tp/sys_enter", { args: [1n] }));
    failure(UnsupportedError, () => b.fire("drop", { packet: new Uint8Array(64), cpu: 1 }));
  });
});

test("contexts are typed by the event's name", () => {
  expectTypeOf<EventOf<"tracepoint/sched/sched_switch">>().toEqualTypeOf<RecordEvent>();
  expectTypeOf<EventOf<"tp/sched/sched_switch">>().toEqualTypeOf<RecordEvent>();
  expectTypeOf<EventOf<"kretsyscall/openat">>().toEqualTypeOf<FunctionEvent>();
  expectTypeOf<EventOf<"lsm/file_open">>().toEqualTypeOf<ArgumentsEvent>();
  expectTypeOf<RecordEvent>().not.toExtend<PacketEvent>();
  expectTypeOf<"uprobe/malloc">().not.toExtend<EventName>();
  using b = open(`int kprobe__vfs_read(struct pt_regs *ctx) { return PT_REGS_PARM1(ctx); }`);
  // @ts-expect-error: a function has parameters, and no packet
  expect(() => b.fire("kprobe/vfs_read", { packet: 1 })).toThrow(UsageError);
  // @ts-expect-error: a record has fields, and no parameters
  expect(() => b.fire("tp/sched/sched_switch", { args: [1] })).toThrow(UsageError);
  expectTypeOf(b.fire("kprobe/vfs_read", { args: [1] })).toEqualTypeOf<readonly bigint[]>();
  expectTypeOf(b.fire("kprobe__vfs_read", { args: [1] })).toEqualTypeOf<bigint>();
});
