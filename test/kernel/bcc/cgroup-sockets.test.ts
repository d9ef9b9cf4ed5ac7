import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isAtLeast } from "../../../framework/core/version.ts";
import { BPF, BPFAttachType } from "../../../framework/index.ts";
import { type AttachTypeName, attachTypes } from "../../../framework/programs/attach-types.ts";
import { type ProgramKind, type ProgramKindName, programKinds } from "../../../framework/programs/kinds.ts";
import { kernelVersion } from "../../../framework/sys/proc.ts";
import { needsKernel } from "../../support/skip.ts";
import { OwnCgroup } from "./cgroup.ts";
import { open } from "./open.ts";

/** A perl script that does everything once with two datagram sockets of a family, the second without an address. */
function useSockets(family: string, address: string): string {
  return `
    use Socket qw(:all);
    socket(R, ${family}, SOCK_DGRAM, 0) && socket(S, ${family}, SOCK_DGRAM, 0) or die "socket: $!";
    bind(R, ${address}) or die "bind: $!";
    my $to = getsockname(R) or die "getsockname: $!";
    defined send(S, "hello", 0, $to) or die "send: $!";
    defined recv(R, my $text, 9, 0) or die "recv: $!";
    connect(S, $to) or die "connect: $!";
    getpeername(S) or die "getpeername: $!";
    setsockopt(R, SOL_SOCKET, SO_RCVBUF, 9000) or die "setsockopt: $!";
    getsockopt(R, SOL_SOCKET, SO_RCVBUF) or die "getsockopt: $!";
    print $text;`;
}

const FAMILIES = {
  inet: useSockets("AF_INET", 'pack_sockaddr_in(0, inet_aton("127.0.0.1"))'),
  inet6: useSockets("AF_INET6", 'pack_sockaddr_in6(0, inet_pton(AF_INET6, "::1"))'),
  unix: useSockets("AF_UNIX", "pack_sockaddr_un($ARGV[0])"),
} as const;

/** Which sockets each type is for, and how many of its calls the script makes. */
const CASES: readonly (readonly [AttachTypeName, keyof typeof FAMILIES, number])[] = [
  ["cgroup_inet_sock_create", "inet", 2],
  ["cgroup_inet_sock_release", "inet", 2],
  ["cgroup_inet4_bind", "inet", 1],
  ["cgroup_inet4_post_bind", "inet", 1],
  ["cgroup_inet4_connect", "inet", 1],
  ["cgroup_inet4_getsockname", "inet", 1],
  ["cgroup_inet4_getpeername", "inet", 1],
  ["cgroup_udp4_sendmsg", "inet", 1],
  ["cgroup_udp4_recvmsg", "inet", 1],
  ["cgroup_setsockopt", "inet", 1],
  ["cgroup_getsockopt", "inet", 1],
  ["cgroup_inet6_bind", "inet6", 1],
  ["cgroup_inet6_post_bind", "inet6", 1],
  ["cgroup_inet6_connect", "inet6", 1],
  ["cgroup_inet6_getsockname", "inet6", 1],
  ["cgroup_inet6_getpeername", "inet6", 1],
  ["cgroup_udp6_sendmsg", "inet6", 1],
  ["cgroup_udp6_recvmsg", "inet6", 1],
  ["cgroup_unix_connect", "unix", 1],
  ["cgroup_unix_getsockname", "unix", 1],
  ["cgroup_unix_getpeername", "unix", 1],
  ["cgroup_unix_sendmsg", "unix", 1],
  ["cgroup_unix_recvmsg", "unix", 1],
];

/** The kind of program that is loaded for an attach type. */
function kindOf(name: AttachTypeName): ProgramKind {
  const kinds = Object.values<ProgramKind>(programKinds);
  const kind = kinds.find((row) => row.hook === "place" && row.attachType === attachTypes[name].type);
  if (kind === undefined) throw new Error(`no kind of program is for ${name}`);
  return kind;
}

/** Counts what one kind of program sees; 1 lets it pass. */
function counting({ context, sections }: ProgramKind, verdict = "1"): string {
  return `
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    u64 seen;
    SEC("${sections[0]}") int on_call(${context} *ctx) { __sync_fetch_and_add(&seen, 1); return ${verdict}; }
    char LICENSE[] SEC("license") = "GPL";`;
}

describe("programs at a cgroup, for calls of its processes' sockets", () => {
  let cgroup: OwnCgroup;

  beforeEach((context) => {
    needsKernel(context, "link");
    cgroup = new OwnCgroup();
  });

  afterEach(() => cgroup[Symbol.dispose]());

  const use = (family: keyof typeof FAMILIES) =>
    cgroup.run("perl", "-e", FAMILIES[family], join("/tmp", `rxbpf-${process.pid}-${performance.now()}`));

  test.for(CASES)("%s sees each call once, until it is detached", ([name, family, calls], context) => {
    const kind = kindOf(name);
    if (!isAtLeast(kernelVersion(), kind.since)) context.skip(`${name} needs Linux ${kind.since}`);
    using b = open(counting(kind));
    const seen = b.variable<bigint>("seen");
    const link = b.attach_func(b.load_func("on_call", kind.type), cgroup.folder, attachTypes[name].type);
    expect(use(family)).toEqual({ status: 0, output: "hello" });
    expect(seen.get()).toBe(BigInt(calls));
    link[Symbol.dispose]();
    expect(use(family).status).toBe(0);
    expect(seen.get()).toBe(BigInt(calls));
  });

  const forbidden: readonly (readonly [ProgramKindName, AttachTypeName, string])[] = [
    ["cgroup_inet4_bind", "cgroup_inet4_bind", "bind"],
    ["cgroup_inet4_post_bind", "cgroup_inet4_post_bind", "bind"],
    ["cgroup_udp4_sendmsg", "cgroup_udp4_sendmsg", "send"],
    ["cgroup_inet4_connect", "cgroup_inet4_connect", "connect"],
    ["cgroup_setsockopt", "cgroup_setsockopt", "setsockopt"],
    ["cgroup_getsockopt", "cgroup_getsockopt", "getsockopt"],
  ];

  test.for(forbidden)("%s forbids the call with 0", ([kind, type, call]) => {
    using b = open(counting(programKinds[kind], "0"));
    b.attach_func(b.load_func("on_call", programKinds[kind].type), cgroup.folder, attachTypes[type].type);
    expect(use("inet").output).toMatch(new RegExp(`^${call}: (Operation not permitted|Permission denied)`));
  });

  test("a packet may be sent elsewhere, and its sender seen as another", () => {
    const PORT = 4288;
    using b = open(`
      #include <linux/bpf.h>
      #include <bpf/bpf_helpers.h>
      #include <bpf/bpf_endian.h>
      SEC("cgroup/sendmsg4") int on_send(struct bpf_sock_addr *ctx) {
        if (ctx->user_port == bpf_htons(${PORT + 1})) ctx->user_port = bpf_htons(${PORT});
        return 1;
      }
      SEC("cgroup/recvmsg4") int on_receive(struct bpf_sock_addr *ctx) { ctx->user_port = bpf_htons(77); return 1; }
      char LICENSE[] SEC("license") = "GPL";`);
    const at = (name: "CGROUP_UDP4_SENDMSG" | "CGROUP_UDP4_RECVMSG", fn: string): void =>
      void b.attach_func(b.load_func(fn, BPF.CGROUP_SOCK_ADDR), cgroup.folder, BPFAttachType[name]);
    at("CGROUP_UDP4_SENDMSG", "on_send");
    at("CGROUP_UDP4_RECVMSG", "on_receive");
    const script = `
      use Socket qw(:all);
      socket(R, AF_INET, SOCK_DGRAM, 0) && socket(S, AF_INET, SOCK_DGRAM, 0) or die $!;
      bind(R, pack_sockaddr_in(${PORT}, inet_aton("127.0.0.1"))) or die $!;
      send(S, "hello", 0, pack_sockaddr_in(${PORT + 1}, inet_aton("127.0.0.1"))) or die $!;
      my $from = recv(R, my $text, 9, 0) or die $!;
      print $text, " ", (unpack_sockaddr_in($from))[0];`;
    expect(cgroup.run("perl", "-e", script).output).toBe("hello 77");
  });
});
