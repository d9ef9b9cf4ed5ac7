import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  BPF,
  type FunctionInput,
  MachineFault,
  UnsupportedError,
  UsageError,
  VerifierError,
} from "../../../framework/index.ts";
import { type ProgramKindName, programKindNames, programKinds } from "../../../framework/programs/kinds.ts";
import { failure } from "../../kernel/bcc/open.ts";

/** One kind of program: what its function computes of its context, what happens to it, and what it gives. */
interface Case {
  /** The type of the context where the table of kinds has none that C could name. */
  readonly context?: string;
  readonly body: string;
  readonly input: FunctionInput;
  readonly answer: bigint;
  /** Something of an event that its context does not have. */
  readonly lacks: string;
}

const packet = Uint8Array.from({ length: 60 }, (_, index) => index);
const entered: Case = {
  body: "return PT_REGS_PARM1(ctx) * 10 + PT_REGS_PARM2(ctx);",
  input: { args: [4, 2] },
  answer: 42n,
  lacks: "packet",
};
const returned: Case = {
  body: "return PT_REGS_RC(ctx);",
  input: { result: -5 },
  answer: -5n,
  lacks: "fields",
};
const probed: Case = {
  body: "return PT_REGS_IP(ctx) + PT_REGS_PARM1(ctx);",
  input: { args: [1], registers: { ip: 99 } },
  answer: 100n,
  lacks: "fields",
};
const bufferOf = (fields: Readonly<Record<string, number>>, body: string, answer: bigint): Case => ({
  body,
  input: { packet, fields },
  answer,
  lacks: "args",
});
const buffer = bufferOf({ ifindex: 7 }, "return ctx->len * 100 + ctx->ifindex;", 6007n);
const direct = bufferOf(
  { mark: 5 },
  "__u8 *at = (void *)(long)ctx->data; return at + 20 > (__u8 *)(long)ctx->data_end ? -1 : at[19] * 10 + ctx->mark;",
  195n,
);
const marked = bufferOf({ mark: 5 }, "return ctx->len + ctx->mark;", 65n);
const record = (fields: Readonly<Record<string, number>>, body: string, answer: bigint): Case => ({
  body,
  input: { fields },
  answer,
  lacks: "registers",
});
const socket = record({ family: 2, protocol: 17 }, "return ctx->family * 100 + ctx->protocol;", 217n);
const address = record(
  { user_family: 10, user_port: 80 },
  "ctx->user_port += 1; return ctx->user_family * 1000 + ctx->user_port;",
  10_081n,
);
const path = record({ user_family: 1 }, "return ctx->user_family;", 1n);
const option: Case = {
  body: `__u8 *value = ctx->optval;
    if (value + 2 > (__u8 *)ctx->optval_end) return -1;
    ctx->level = 3;
    return value[1] * 100 + ctx->level + ctx->optname;`,
  input: { packet: Uint8Array.of(0, 9), fields: { optname: 40 } },
  answer: 943n,
  lacks: "args",
};
const words = (input: FunctionInput, body: string, answer: bigint): Case => ({
  context: "unsigned long long",
  body,
  input,
  answer,
  lacks: "registers",
});
const raw: Case = {
  body: "return ctx->args[0] + ctx->args[1] * 2;",
  input: { args: [3, 4n] },
  answer: 11n,
  lacks: "fields",
};

const cases: Readonly<Record<ProgramKindName, Case>> = {
  socket_filter: marked,
  kprobe: entered,
  kretprobe: returned,
  kprobe_multi: entered,
  kretprobe_multi: returned,
  uprobe: probed,
  uprobe_multi: probed,
  sched_cls: direct,
  sched_act: direct,
  tracepoint: {
    ...record({ prev_pid: 5, next_pid: 6 }, "return ctx->prev_pid * 10 + ctx->next_pid;", 56n),
    context: "struct trace_event_raw_sched_switch",
  },
  xdp: bufferOf(
    { ingress_ifindex: 3 },
    "__u8 *at = (void *)(long)ctx->data; return at + 20 > (__u8 *)(long)ctx->data_end ? -1 : at[19] * 10 + ctx->ingress_ifindex;",
    193n,
  ),
  perf_event: {
    body: "return ctx->sample_period + ctx->addr + PT_REGS_IP(&ctx->regs);",
    input: { registers: { ip: 1 }, fields: { sample_period: 100, addr: 20 } },
    answer: 121n,
    lacks: "packet",
  },
  cgroup_skb: marked,
  cgroup_inet_ingress: marked,
  cgroup_inet_egress: marked,
  cgroup_sock: socket,
  cgroup_inet_sock_release: socket,
  cgroup_inet4_post_bind: socket,
  cgroup_inet6_post_bind: socket,
  lwt_in: buffer,
  lwt_out: buffer,
  lwt_xmit: direct,
  sock_ops: record({ op: 4, args: 0, family: 2 }, "return ctx->op * 10 + ctx->family;", 42n),
  sk_skb: buffer,
  sk_skb_stream_parser: buffer,
  sk_skb_stream_verdict: buffer,
  sk_skb_verdict: buffer,
  cgroup_device: record({ access_type: 1, major: 8 }, "return ctx->access_type * 10 + ctx->major;", 18n),
  sk_msg: {
    body: `__u8 *at = ctx->data;
      if (at + 4 > (__u8 *)ctx->data_end) return -1;
      at[3] += 1;
      return at[3] * 100 + ctx->family;`,
    input: { packet, fields: { family: 2 } },
    answer: 402n,
    lacks: "args",
  },
  raw_tracepoint: raw,
  cgroup_inet4_connect: address,
  cgroup_inet6_connect: address,
  cgroup_inet4_bind: address,
  cgroup_inet6_bind: address,
  cgroup_udp4_sendmsg: address,
  cgroup_udp6_sendmsg: address,
  cgroup_udp4_recvmsg: address,
  cgroup_udp6_recvmsg: address,
  cgroup_inet4_getpeername: address,
  cgroup_inet6_getpeername: address,
  cgroup_inet4_getsockname: address,
  cgroup_inet6_getsockname: address,
  cgroup_unix_connect: path,
  cgroup_unix_sendmsg: path,
  cgroup_unix_recvmsg: path,
  cgroup_unix_getpeername: path,
  cgroup_unix_getsockname: path,
  lwt_seg6local: buffer,
  sk_reuseport: {
    body: "__u8 *at = ctx->data; return at + 9 > (__u8 *)ctx->data_end ? -1 : at[8] * 100 + ctx->hash;",
    input: { packet, fields: { hash: 77 } },
    answer: 877n,
    lacks: "args",
  },
  sk_reuseport_migrate: {
    ...record({ hash: 77 }, "return ctx->hash + (ctx->data == 0);", 78n),
    lacks: "args",
  },
  flow_dissector: bufferOf({}, "return (__u8 *)(long)ctx->data_end - (__u8 *)(long)ctx->data;", 60n),
  cgroup_sysctl: record(
    { write: 1, file_pos: 6 },
    "ctx->file_pos = 8; return ctx->write * 10 + ctx->file_pos;",
    18n,
  ),
  raw_tracepoint_writable: raw,
  fentry: words({ args: [1, 2] }, "return ctx[0] * 10 + ctx[1];", 12n),
  fexit: words({ args: [1, 2], result: -3 }, "return ctx[0] + ctx[1] + ctx[2];", 0n),
  fmod_ret: words({ args: [1], result: 5 }, "return ctx[1];", 5n),
  tp_btf: words({ args: [6n, 7] }, "return ctx[0] * ctx[1];", 42n),
  iter: words({ args: [0, 9] }, "return ctx[1];", 9n),
  lsm_cgroup: words({ args: [2, 7] }, "return ctx[0] * 10 + ctx[1];", 27n),
  lsm: words({ args: [2, 0o600] }, "return ctx[0] == 2 && ctx[1] == 0600 ? -1 : 0;", -1n),
  cgroup_getsockopt: option,
  cgroup_setsockopt: option,
  sk_lookup: record({ family: 2, local_port: 53 }, "return ctx->family * 100 + ctx->local_port;", 253n),
};

/** A section for each: the first that the table has, with a target where one belongs to it. */
function sectionOf(kind: ProgramKindName): string {
  const section: string = programKinds[kind].sections[0];
  return section.replace(/[+/]$/, "");
}

function source(): string {
  const functions = programKindNames.map((kind) => {
    const { context = programKinds[kind].context, body } = cases[kind];
    return `SEC("${sectionOf(kind)}") int on_${kind}(${context} *ctx) { ${body} }`;
  });
  return `
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char LICENSE[] SEC("license") = "GPL";
${functions.join("\n")}
SEC("iter/task") int writes(struct bpf_iter__task *ctx) { return bpf_seq_write(ctx->meta->seq, "x", 1); }
`;
}

let b: BPF;

beforeAll(() => {
  b = new BPF({ text: source(), runtime: "machine", autoAttach: false });
}, 60_000);

afterAll(() => b.close());

describe("an event made by hand for a program of kind", () => {
  test.each(programKindNames)("%s gives it its context", (kind) => {
    const { input, answer } = cases[kind];
    expect(b.fire(`on_${kind}`, input)).toBe(answer);
  });

  test.each(programKindNames)("%s that says what its context lacks is refused by name", (kind) => {
    const { lacks } = cases[kind];
    const values = { packet, fields: { mark: 1 }, args: [1], registers: { ip: 1 } };
    const input = { [lacks]: values[lacks as "packet"] };
    const error = failure(UsageError, () => b.fire(`on_${kind}`, input));
    expect(error.message).toBe(`what happens to a ${kind} program has no "${lacks}"`);
    expect(error.hint).toContain("it takes ");
  });

  test.each(programKindNames)("%s may give the whole context as bytes, and nothing beside them", (kind) => {
    const bytes = new Uint8Array(512);
    try {
      expect(typeof b.fire(`on_${kind}`, { bytes })).toBe("bigint");
    } catch (error) {
      // Where its packet would be is nothing then.
      expect(error).toBeInstanceOf(MachineFault);
      expect(cases[kind].input).toHaveProperty("packet");
    }
    failure(UsageError, () => b.fire(`on_${kind}`, { bytes, fields: {} }));
  });
});

test("a field that a context lacks is refused by name, with those it has", () => {
  const kinds: readonly ProgramKindName[] = ["cgroup_device", "sk_lookup", "xdp", "perf_event", "tracepoint"];
  for (const kind of kinds) {
    const error = failure(UsageError, () => b.fire(`on_${kind}`, { fields: { nonsense: 1 } }));
    expect(error.message).toContain("nonsense");
    expect(error.hint).toContain("fields are ");
  }
});

test("what a program for messages, or for options, writes is seen after it ran", () => {
  const left: Uint8Array[] = [];
  b.fire("on_sk_msg", { packet, after: (bytes) => left.push(bytes) });
  expect(left[0]![3]).toBe(4);
  expect(packet[3]).toBe(3);
});

describe("what the machine does not offer is a typed error that names it", () => {
  test("the walk of an iterator", () => {
    using own = new BPF({
      text: `
        #include <vmlinux.h>
        #include <bpf/bpf_helpers.h>
        char LICENSE[] SEC("license") = "GPL";
        SEC("iter/task") int walk(struct bpf_iter__task *ctx) { return 0; }`,
      runtime: "machine",
    });
    expect(failure(UnsupportedError, () => own.iterator("walk")).message).toBe(
      'cannot attach "walk" to iterator task: the machine has no such hook',
    );
  });

  test("the helper that writes an iterator's records", () => {
    expect(failure(VerifierError, () => b.fire("writes")).message).toContain(
      "the machine has no helper bpf_seq_write()",
    );
  });

  test("events that have no names", () => {
    for (const event of ["uprobe/x", "perf_event/x", "iter/task", "xdp/eth0", "kprobe.multi/vfs_*"]) {
      failure(UsageError, () => b.fire(event));
    }
  });
});
