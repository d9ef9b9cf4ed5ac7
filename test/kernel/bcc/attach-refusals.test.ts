import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import {
  AttachError,
  BPF,
  BPFAttachType,
  ClosedError,
  type Link,
  PerfSWConfig,
  PerfType,
  USDT,
  UsageError,
  VerifierError,
} from "../../../framework/index.ts";
import { supports } from "../../../framework/kernel/features.ts";
import { Workshop } from "../../support/native.ts";
import { needsFeature, needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());
const calls = workshop.make("calls", { source: "calls.c" });
const probes = workshop.make("probes", { source: "probes.c" });

beforeEach((context) => needsKernel(context, "link", "uprobe"));

const TEXT = `
  BPF_SOCKMAP(sockets, 1);
  BPF_ARRAY(counts, u64, 2);
  int f(void *ctx) { counts.increment(0); return 0; }
  int g(void *ctx) { counts.increment(1); return 0; }
  BPF_ITER(task) { return 0; }`;

const RMDIR = "syscalls:sys_enter_rmdir";
const CLOCK = { ev_type: PerfType.SOFTWARE, ev_config: PerfSWConfig.CPU_CLOCK, sample_freq: 1 } as const;
const rmdirOf = (b: BPF): string => b.get_syscall_fnname("rmdir");

/** Ways to attach by a function's name that need nothing but this process, and what undoes each. */
const ways: Readonly<Record<string, { attach(b: BPF): Link; detach(b: BPF): void }>> = {
  attach_kprobe: {
    attach: (b) => b.attach_kprobe({ event: rmdirOf(b), fn_name: "f" }),
    detach: (b) => b.detach_kprobe({ event: rmdirOf(b) }),
  },
  attach_kretprobe: {
    attach: (b) => b.attach_kretprobe({ event: rmdirOf(b), fn_name: "f" }),
    detach: (b) => b.detach_kretprobe({ event: rmdirOf(b) }),
  },
  "attach_kprobe with event_re": {
    attach: (b) => b.attach_kprobe({ event_re: "__x64_sys_(rmdir|mkdir)", fn_name: "f" }),
    detach: (b) => b.detach_kprobe({ event_re: "__x64_sys_(rmdir|mkdir)" }),
  },
  attach_tracepoint: {
    attach: (b) => b.attach_tracepoint({ tp: RMDIR, fn_name: "f" }),
    detach: (b) => b.detach_tracepoint({ tp: RMDIR }),
  },
  attach_raw_tracepoint: {
    attach: (b) => b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "f" }),
    detach: (b) => b.detach_raw_tracepoint({ tp: "sys_enter" }),
  },
  attach_uprobe: {
    attach: (b) => b.attach_uprobe({ name: calls, sym: "twice", fn_name: "f" }),
    detach: (b) => b.detach_uprobe({ name: calls, sym: "twice" }),
  },
  attach_uretprobe: {
    attach: (b) => b.attach_uretprobe({ name: calls, sym: "twice", fn_name: "f" }),
    detach: (b) => b.detach_uretprobe({ name: calls, sym: "twice" }),
  },
  attach_perf_event: {
    attach: (b) => b.attach_perf_event({ ...CLOCK, fn_name: "f" }),
    detach: (b) => b.detach_perf_event(CLOCK_EVENT),
  },
};
const CLOCK_EVENT = { ev_type: CLOCK.ev_type, ev_config: CLOCK.ev_config };

describe("every way to attach", () => {
  test.each(Object.entries(ways))("%s refuses a function that is there already, which stays", (_, way) => {
    using b = open(TEXT);
    const link = way.attach(b);
    expect(failure(AttachError, () => way.attach(b)).message).toMatch(/^"f" is attached to .+ already$/);
    expect(link.closed).toBe(false);
    way.detach(b);
    expect(link.closed).toBe(true);
    failure(AttachError, () => way.detach(b));
    way.attach(b)[Symbol.dispose]();
  });

  test.each(Object.entries(ways))(
    "%s gives a link whose disposal detaches, and a second one does nothing",
    (_, way) => {
      using b = open(TEXT);
      const link = way.attach(b);
      link[Symbol.dispose]();
      expect(link.closed).toBe(true);
      link[Symbol.dispose]();
      expect(failure(AttachError, () => way.detach(b)).message).toContain("nothing is attached to");
      using again = way.attach(b);
      expect(again.closed).toBe(false);
    },
  );

  test.each(Object.entries(ways))("%s is a ClosedError after close, and so is detaching", (_, way) => {
    const b = open(TEXT);
    const link = way.attach(b);
    b.close();
    expect(link.closed).toBe(true);
    failure(ClosedError, () => way.attach(b));
    failure(ClosedError, () => way.detach(b));
  });

  const loaded: readonly (readonly [
    string,
    number,
    (b: BPF, fn: ReturnType<BPF["load_func"]>) => unknown,
  ])[] = [
    ["attach_xdp", BPF.XDP, (b, fn) => b.attach_xdp("lo", fn)],
    ["remove_xdp", BPF.XDP, (b) => b.remove_xdp("lo")],
    ["attachTc", BPF.SCHED_CLS, (b, fn) => b.attachTc({ dev: "lo", direction: "ingress", fn })],
    ["attach_raw_socket", BPF.SOCKET_FILTER, (b, fn) => b.attach_raw_socket(fn, "lo")],
    ["attachSocket", BPF.SOCKET_FILTER, (b, fn) => b.attachSocket({ fn, fd: 0 })],
    ["attach_func", BPF.SK_LOOKUP, (b, fn) => b.attach_func(fn, 0, BPFAttachType.SK_LOOKUP)],
    ["detach_func", BPF.SK_LOOKUP, (b, fn) => b.detach_func(fn, 0, BPFAttachType.SK_LOOKUP)],
    ["load_func", BPF.KPROBE, (b) => b.load_func("g", BPF.TRACEPOINT)],
    ["iterator", BPF.KPROBE, (b) => b.iterator("bpf_iter__task")],
  ];

  test.each(loaded)("%s is a ClosedError after close", (_, type, use) => {
    const b = open(TEXT);
    const fn = b.load_func("f", type);
    b.close();
    failure(ClosedError, () => use(b, fn));
  });
});

describe("programs of the wrong kind", () => {
  test("methods that take a loaded function say what it is loaded as, and how to load it", () => {
    using b = open(TEXT);
    const filter = b.load_func("f", BPF.SOCKET_FILTER);
    const xdp = b.load_func("g", BPF.XDP);
    const cases: readonly (readonly [() => unknown, string, string])[] = [
      [() => b.attach_xdp("lo", filter), 'attach_xdp: "f" is loaded as a socket_filter program', "BPF.XDP"],
      [
        () => b.attachTc({ dev: "lo", direction: "ingress", fn: xdp }),
        'attachTc: "g" is loaded as a xdp program',
        "BPF.SCHED_CLS",
      ],
      [
        () => b.attach_raw_socket(xdp, "lo"),
        'attach_raw_socket: "g" is loaded as a xdp program',
        "BPF.SOCKET_FILTER",
      ],
      [
        () => b.attachSocket({ fn: xdp, fd: 0 }),
        'attachSocket: "g" is loaded as a xdp program',
        "BPF.SOCKET_FILTER",
      ],
    ];
    for (const [use, message, hint] of cases) {
      const error = failure(UsageError, use);
      expect(error.message).toBe(message);
      expect(error.hint).toContain(hint);
    }
  });

  test("cgroups, namespaces and tables of sockets refuse a program that is not theirs", () => {
    using b = open(TEXT);
    const filter = b.load_func("f", BPF.SOCKET_FILTER);
    const refusals = [
      failure(AttachError, () => b.attach_func(filter, 0, BPFAttachType.SK_LOOKUP)),
      failure(AttachError, () => b.attach_func(filter, b.get_table("sockets"), BPFAttachType.SK_MSG_VERDICT)),
    ];
    for (const { message } of refusals) {
      expect(message).toMatch(/^cannot attach "f" to .*: the program is a socket_filter program \(EINVAL\)$/);
    }
  });

  test("what attaches by its name takes only functions that are named or marked for it", (context) => {
    using b = open(TEXT);
    expect(failure(UsageError, () => b.iterator("f")).message).toBe('"f" is no iterator');
    expect(failure(UsageError, () => b.attach_kfunc({ fn_name: "f" })).message).toBe(
      'attach_kfunc: "f" is no fentry program with a target',
    );
    expect(failure(UsageError, () => b.attach_lsm({ fn_name: "f" })).message).toBe(
      'attach_lsm: "f" is no lsm program with a target',
    );
    needsFeature(context, "fentry");
    using traced = open("KRETFUNC_PROBE(do_rmdir) { return 0; }", { autoAttach: false });
    expect(
      failure(UsageError, () => traced.attach_kfunc({ fn_name: "kretfunc__vmlinux__do_rmdir" })).message,
    ).toContain("is no fentry program with a target");
  });

  test("one that reads what another kind's context has is a VerifierError at its line", () => {
    using b = open("int f(struct __sk_buff *skb) {\n  return skb->gso_size;\n}");
    const error = failure(VerifierError, () => b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "f" }));
    expect(error.at?.line).toBe(2);
  });
});

describe("what was attached before a failure", () => {
  /** How often f ran during an action. */
  const count = (b: BPF, action: () => void): bigint => {
    const counts = b.get_table<number, bigint>("counts");
    counts.clear();
    action();
    return counts.get(0) ?? 0n;
  };
  const makeFolder = (): void => {
    const folder = join("/tmp", `rxbpf-${process.pid}-${performance.now()}`);
    mkdirSync(folder);
    rmdirSync(folder);
  };
  const OWN = TEXT.replace(
    "int f(void *ctx) {",
    `int f(void *ctx) { if ((u32)(bpf_get_current_pid_tgid() >> 32) != ${process.pid}) return 0;`,
  );

  test("tp_re: one of the tracepoints has the function already, and the others are left again", () => {
    using b = open(OWN);
    const first = b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    const error = failure(AttachError, () =>
      b.attach_tracepoint({ tp_re: "syscalls:sys_enter_(mkdir|rmdir)$", fn_name: "f" }),
    );
    expect(error.message).toBe(`"f" is attached to tracepoint ${RMDIR} already`);
    expect([first.closed, b.num_open_tracepoints()]).toEqual([false, 1]);
    expect(count(b, makeFolder)).toBe(1n);
  });

  test("event_re without one link for all: the same", (context) => {
    if (supports("kprobe_multi").state === "yes") context.skip("one link attaches all or none");
    using b = open(OWN);
    b.attach_kprobe({ event: rmdirOf(b), fn_name: "f" });
    failure(AttachError, () => b.attach_kprobe({ event_re: "__x64_sys_(mkdir|rmdir)", fn_name: "f" }));
    expect(b.num_open_kprobes()).toBe(1);
    expect(count(b, makeFolder)).toBe(1n);
  });

  test("USDT: one probe's function that the kernel rejects takes the others off with the object", () => {
    const usdt = new USDT({ path: probes });
    usdt.enable_probe("app:counted", "f");
    usdt.enable_probe("lib:counted", "bad");
    const text = `${TEXT} int bad(struct pt_regs *ctx) { counts.increment(1); return ctx[9].ip; }`;
    failure(VerifierError, () => open(text, { usdt_contexts: [usdt] }));
    using b = open(TEXT);
    expect(b.num_open_uprobes()).toBe(0);
  });
});
