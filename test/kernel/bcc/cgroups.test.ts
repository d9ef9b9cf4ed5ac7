import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isAtLeast } from "../../../framework/core/version.ts";
import { AttachError, BPF, BPFAttachType, UsageError } from "../../../framework/index.ts";
import { type AttachType, attachTypes } from "../../../framework/programs/attach-types.ts";
import { type ProgramKind, programKinds } from "../../../framework/programs/kinds.ts";
import { kernelVersion } from "../../../framework/sys/proc.ts";
import { SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsFeature, needsKernel } from "../../support/skip.ts";
import { type Ended, OwnCgroup } from "./cgroup.ts";
import { failure, open } from "./open.ts";

const PORT = 4281;

/** Sends a packet over lo, after it was bound to receive it. */
const TALK = `
  const dgram = require("node:dgram");
  const receiver = dgram.createSocket("udp4").on("message", (data) => {
    console.log(data.toString());
    receiver.close();
  });
  receiver.bind(${PORT}, "127.0.0.1", () => {
    const sender = dgram.createSocket("udp4");
    const failed = (error) => { console.log(error.code); process.exit(1); };
    sender.on("error", failed);
    sender.send("hello", ${PORT}, "127.0.0.1", (error) => error ? failed(error) : sender.close());
  });
  receiver.on("error", (error) => { console.log(error.code); process.exit(1); });`;

/** Connects to a port, with a server at the one behind it. */
const CONNECT = `
  const net = require("node:net");
  const server = net.createServer((socket) => socket.end("from " + server.address().port)).listen(${PORT + 1}, "127.0.0.1", () => {
    const socket = net.connect(${PORT}, "127.0.0.1").on("connect", () => socket.setNoDelay());
    socket.on("data", (data) => console.log(data.toString())).on("error", (error) => console.log(error.code));
    socket.on("close", () => server.close());
  });`;

/** A cgroup and programs for it; counts by a number that each program gives. */
const PROGRAMS = `
  #include <linux/bpf.h>
  #include <linux/tcp.h>
  #include <linux/in.h>
  #include <bpf/bpf_helpers.h>
  #include <bpf/bpf_endian.h>
  struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } counts SEC(".maps");
  static void count(u32 who) { u64 *n = bpf_map_lookup_elem(&counts, &who); if (n) __sync_fetch_and_add(n, 1); }

  SEC("cgroup_skb/ingress") int in(struct __sk_buff *skb) { count(0); return 1; }
  SEC("cgroup_skb/egress") int out(struct __sk_buff *skb) { count(1); return 1; }
  SEC("cgroup_skb/egress") int out_never(struct __sk_buff *skb) { count(1); return 0; }
  SEC("cgroup/sock_create") int create(struct bpf_sock *sock) { count(2); return sock->type != 2; }
  SEC("cgroup/connect4") int redirect(struct bpf_sock_addr *ctx) {
    count(3);
    if (ctx->user_port == bpf_htons(${PORT})) ctx->user_port = bpf_htons(${PORT + 1});
    return 1;
  }
  SEC("sockops") int established(struct bpf_sock_ops *ops) {
    if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) count(4);
    return 1;
  }
  SEC("cgroup/setsockopt") int set(struct bpf_sockopt *ctx) {
    if (ctx->level == IPPROTO_TCP && ctx->optname == 1) count(5);
    return 1;
  }
  SEC("cgroup/sysctl") int no_writes(struct bpf_sysctl *ctx) { count(6); return !ctx->write; }
  SEC("cgroup/dev") int no_zero(struct bpf_cgroup_dev_ctx *ctx) { count(7); return !(ctx->major == 1 && ctx->minor == 5); }
  char LICENSE[] SEC("license") = "GPL";`;

describe("programs at a cgroup", { timeout: SCRIPT_TIMEOUT_MS }, () => {
  let cgroup: OwnCgroup;
  let folder: string;

  beforeEach((context) => {
    needsKernel(context, "link");
    cgroup = new OwnCgroup();
    folder = cgroup.folder;
  });

  afterEach(() => cgroup[Symbol.dispose]());

  const inside = (...command: readonly string[]): Ended => cgroup.run(...command);
  const script = (text: string): Ended => inside(process.execPath, "-e", text);

  function counts(b: BPF): readonly number[] {
    return b.get_table<number, bigint>("counts").values().map(Number);
  }

  test("see packets that its processes receive and send, and no others", () => {
    using b = open(PROGRAMS);
    b.attach_func(b.load_func("in", BPF.CGROUP_SKB), folder, BPFAttachType.CGROUP_INET_INGRESS);
    b.attach_func(b.load_func("out", BPF.CGROUP_SKB), folder, BPFAttachType.CGROUP_INET_EGRESS);
    spawnSync(process.execPath, ["-e", TALK]);
    expect(counts(b).slice(0, 2)).toEqual([0, 0]);
    expect(script(TALK).output).toBe("hello\n");
    expect(counts(b).slice(0, 2)).toEqual([1, 1]);
  });

  test("can drop packets, until detach_func", () => {
    using b = open(PROGRAMS);
    const never = b.load_func("out_never", BPF.CGROUP_SKB);
    b.attach_func(never, folder, BPFAttachType.CGROUP_INET_EGRESS);
    expect(script(TALK)).toEqual({ status: 1, output: "EPERM\n" });
    b.detach_func(never, folder, BPFAttachType.CGROUP_INET_EGRESS);
    expect(script(TALK).output).toBe("hello\n");
    const error = failure(AttachError, () => b.detach_func(never, folder, BPFAttachType.CGROUP_INET_EGRESS));
    expect(error.message).toBe(`"out_never" is not attached to cgroup_inet_egress of ${folder}`);
  });

  test("forbid making sockets", () => {
    using b = open(PROGRAMS);
    b.attach_func(b.load_func("create", BPF.CGROUP_SOCK), folder, BPFAttachType.CGROUP_INET_SOCK_CREATE);
    expect(script(TALK).output).toContain("EPERM");
    expect(counts(b)[2]).toBeGreaterThanOrEqual(1);
  });

  test("send connections elsewhere, see them established, and see socket options set", () => {
    using b = open(PROGRAMS);
    expect(script(CONNECT).output).toBe("ECONNREFUSED\n");
    b.attach_func(b.load_func("redirect", BPF.CGROUP_SOCK_ADDR), folder, BPFAttachType.CGROUP_INET4_CONNECT);
    b.attach_func(b.load_func("established", BPF.SOCK_OPS), folder, BPFAttachType.CGROUP_SOCK_OPS);
    b.attach_func(b.load_func("set", BPF.CGROUP_SOCKOPT), folder, BPFAttachType.CGROUP_SETSOCKOPT);
    expect(script(CONNECT).output).toBe(`from ${PORT + 1}\n`);
    expect(counts(b).slice(3, 6)).toEqual([1, 1, 1]);
  });

  test("forbid writing settings of the kernel, and devices", () => {
    using b = open(PROGRAMS);
    const name = "/proc/sys/kernel/domainname";
    const write = ["sh", "-c", `cat ${name} && cat ${name} >${name}`];
    expect(inside(...write).status).toBe(0);
    expect(inside("head", "-c1", "/dev/zero").status).toBe(0);
    b.attach_func(b.load_func("no_writes", BPF.CGROUP_SYSCTL), folder, BPFAttachType.CGROUP_SYSCTL);
    b.attach_func(b.load_func("no_zero", BPF.CGROUP_DEVICE), folder, BPFAttachType.CGROUP_DEVICE);
    expect(inside(...write).status).not.toBe(0);
    expect(inside("cat", name).status).toBe(0);
    expect(inside("head", "-c1", "/dev/zero").output).toMatch(/not permitted/);
    expect(counts(b)[6]).toBeGreaterThanOrEqual(3);
  });

  test("lsm_cgroup decides for the processes of its cgroup, and no others, until it is detached", (context) => {
    needsFeature(context, "lsm");
    const { since } = programKinds.lsm_cgroup;
    if (!isAtLeast(kernelVersion(), since)) context.skip(`lsm_cgroup needs Linux ${since}`);
    using b = open(`
      #include <linux/bpf.h>
      #include <bpf/bpf_helpers.h>
      #include <bpf/bpf_tracing.h>
      u64 asked;
      SEC("lsm_cgroup/socket_bind") int BPF_PROG(no_bind, struct socket *sock, struct sockaddr *address, int length) {
        __sync_fetch_and_add(&asked, 1);
        return 0;
      }
      char LICENSE[] SEC("license") = "GPL";`);
    const noBind = b.load_func("no_bind", BPF.LSM);
    expect(script(TALK).output).toBe("hello\n");
    const link = b.attach_func(noBind, folder, BPFAttachType.LSM_CGROUP);
    spawnSync(process.execPath, ["-e", TALK]);
    expect(b.variable("asked").get()).toBe(0n);
    expect(script(TALK).output).toContain("EPERM");
    expect(b.variable("asked").get()).toBe(1n);
    link[Symbol.dispose]();
    expect(script(TALK).output).toBe("hello\n");
    expect(b.variable("asked").get()).toBe(1n);
  });

  const types = Object.entries(attachTypes).filter(
    ([name, { at }]: [string, AttachType]) => at === "cgroup" && name !== "lsm_cgroup",
  );

  test.for(types)("attach as %s, by number and by link", ([name, { type }], context) => {
    const kinds = Object.values(programKinds) as readonly ProgramKind[];
    const kind = kinds.find((row) => row.hook === "place" && row.attachType === type && row.context !== "");
    expect(kind, name).toBeDefined();
    if (!isAtLeast(kernelVersion(), kind!.since)) context.skip(`${name} needs Linux ${kind!.since}`);
    using b = open("int allow(void *ctx) { return 1; }");
    const allow = b.load_func("allow", kind!.type, { attach_type: type });
    const link = b.attach_func(allow, folder, type);
    expect(failure(AttachError, () => b.attach_func(allow, folder, type)).message).toBe(
      `"allow" is attached to ${name} of ${folder} already`,
    );
    link[Symbol.dispose]();
    b.attach_func(allow, folder, type);
    b.detach_func(allow, folder, type);
  });

  test("are attached through the cgroup's descriptor as well, which may be closed afterwards", () => {
    using b = open(PROGRAMS);
    const fd = openSync(folder, "r");
    const out = b.load_func("out", BPF.CGROUP_SKB);
    b.attach_func(out, fd, BPFAttachType.CGROUP_INET_EGRESS);
    closeSync(fd);
    script(TALK);
    expect(counts(b)[1]).toBe(1);
    b.detach_func(out, folder, BPFAttachType.CGROUP_INET_EGRESS);
    script(TALK);
    expect(counts(b)[1]).toBe(1);
  });

  test("two of them both run", () => {
    using b = open(PROGRAMS);
    using other = open(PROGRAMS);
    b.attach_func(b.load_func("out", BPF.CGROUP_SKB), folder, BPFAttachType.CGROUP_INET_EGRESS);
    other.attach_func(other.load_func("out", BPF.CGROUP_SKB), folder, BPFAttachType.CGROUP_INET_EGRESS);
    script(TALK);
    expect([counts(b)[1], counts(other)[1]]).toEqual([1, 1]);
  });

  test("one with BPF_F_ALLOW_OVERRIDE excludes others, and goes with its link", () => {
    using b = open(PROGRAMS);
    using other = open(PROGRAMS);
    const egress = BPFAttachType.CGROUP_INET_EGRESS;
    const link = b.attach_func(b.load_func("out", BPF.CGROUP_SKB), folder, egress, 1);
    const out = other.load_func("out", BPF.CGROUP_SKB);
    const error = failure(AttachError, () => other.attach_func(out, folder, egress));
    expect(error.message).toMatch(/a program there, or in a cgroup above, excludes others \(EPERM\)$/);
    script(TALK);
    expect([counts(b)[1], counts(other)[1]]).toEqual([1, 0]);
    link[Symbol.dispose]();
    other.attach_func(out, folder, egress);
    script(TALK);
    expect([counts(b)[1], counts(other)[1]]).toEqual([1, 1]);
  });

  test("wrong kinds, types, flags and places are errors that say which", () => {
    using b = open(PROGRAMS);
    const out = b.load_func("out", BPF.CGROUP_SKB);
    const egress = BPFAttachType.CGROUP_INET_EGRESS;
    const kind = failure(AttachError, () => b.attach_func(out, folder, BPFAttachType.CGROUP_SYSCTL));
    expect(kind.message).toBe(
      `cannot attach "out" to cgroup_sysctl of ${folder}: the program is a cgroup_inet_egress program (EINVAL)`,
    );
    const place = failure(AttachError, () => b.attach_func(out, "/tmp", egress));
    expect(place.message).toMatch(/: the descriptor is no cgroup \(version 2\) \(EBADF\)$/);
    const cases: readonly (readonly [() => unknown, RegExp])[] = [
      [() => b.attach_func(out, folder, 999), /no attach type 999/],
      [() => b.attach_func(out, folder, egress, 64), /takes no flags 0x40/],
      [() => b.attach_func(out, `${folder}/none`, egress), /cannot open/],
      [() => b.attach_func(out, 98765, egress), /98765 is no open descriptor/],
      [() => b.attach_func(out, folder, BPFAttachType.XDP), /does not attach xdp/],
      [() => b.load_func("out", BPF.CGROUP_SKB, { attach_type: 37 }), /have no attach type 37/],
    ];
    for (const [action, message] of cases) expect(failure(UsageError, action).message).toMatch(message);
  });
});
