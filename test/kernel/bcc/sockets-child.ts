/**
 * Run in a network namespace of its own by the sockets test: programs at sockets, at tables of sockets and at the
 * namespace, with traffic over lo. Prints what happened as JSON.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { openSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { BPF, BPFAttachType } from "rxbpf";
import { withArena } from "../../../framework/sys/arena.ts";
import { checked, libc, pinned } from "../../../framework/sys/libc.ts";
import { SOCK_NONBLOCK, SOL_SOCKET } from "../../../framework/uapi/constants.ts";
import { arrival, connection, fdOf } from "./connections.ts";
import { failureOf } from "./failing.ts";
import { ip } from "./two-namespaces.ts";

ip("link", "set", "lo", "up");
const PORT = 4290;
/** Of bits/socket.h and asm-generic/socket.h. */
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SO_REUSEPORT = 15;

using b = new BPF({
  runtime: "kernel",
  text: `
    #include <linux/bpf.h>
    #include <linux/pkt_cls.h>
    #include <bpf/bpf_helpers.h>
    struct { __uint(type, BPF_MAP_TYPE_SOCKMAP); __uint(max_entries, 4); __type(key, u32); __type(value, u32); } clients SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_SOCKMAP); __uint(max_entries, 4); __type(key, u32); __type(value, u32); } servers SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } counts SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u32); } hashes SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY); __uint(max_entries, 2); __type(key, u32); __type(value, u64); } sharing SEC(".maps");
    static void count(u32 who, u64 by) { u64 *n = bpf_map_lookup_elem(&counts, &who); if (n) __sync_fetch_and_add(n, by); }

    SEC("socket") int short_only(struct __sk_buff *skb) { count(0, 1); return skb->len > 8 + 5 ? 0 : -1; }
    SEC("sk_msg") int sends(struct sk_msg_md *msg) { count(1, msg->size); return SK_PASS; }
    SEC("sk_msg") int mute(struct sk_msg_md *msg) { return SK_DROP; }
    SEC("sk_skb/stream_verdict") int arrives(struct __sk_buff *skb) { count(2, skb->len); return SK_PASS; }
    SEC("sk_skb/stream_parser") int parse(struct __sk_buff *skb) { count(3, 1); return skb->len; }
    SEC("sk_lookup") int closed_port(struct bpf_sk_lookup *ctx) {
      count(4, 1);
      return ctx->local_port == ${PORT + 5} ? SK_DROP : SK_PASS;
    }
    SEC("flow_dissector") int dissect(struct __sk_buff *skb) {
      count(5, 1);
      skb->flow_keys->addr_proto = 0x0800;
      skb->flow_keys->ipv4_src = 0x12345678;
      return BPF_OK;
    }
    SEC("tc") int hash(struct __sk_buff *skb) {
      u8 protocol = 0;
      // Answers that nobody listens are packets as well.
      if (bpf_skb_load_bytes(skb, 14 + 9, &protocol, 1) < 0 || protocol != 17) return TC_ACT_UNSPEC;
      bpf_set_hash_invalid(skb);
      u32 hash = bpf_get_hash_recalc(skb), key = 0;
      bpf_map_update_elem(&hashes, &key, &hash, BPF_ANY);
      return TC_ACT_UNSPEC;
    }
    SEC("sk_reuseport") int choose(struct sk_reuseport_md *ctx) {
      u32 second = 1;
      count(6, 1);
      return bpf_sk_select_reuseport(ctx, &sharing, &second, 0) == 0 ? SK_PASS : SK_DROP;
    }
    char LICENSE[] SEC("license") = "GPL";`,
});
const count = (who: number): number => Number(b.get_table<number, bigint>("counts").get(who));

function sendTo(port: number, text: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.send(text, port, "127.0.0.1", () => socket.close(() => resolve()));
  });
}

/** A filter on a socket of our own. */
async function filtering() {
  const receiver = createSocket("udp4");
  const texts: string[] = [];
  receiver.on("message", (data) => texts.push(data.toString())).bind(PORT, "127.0.0.1");
  await once(receiver, "listening");
  const fn = b.load_func("short_only", BPF.SOCKET_FILTER);
  const link = b.attachSocket({ fn, fd: fdOf(receiver) });
  const again = failureOf(() => b.attachSocket({ fn, fd: fdOf(receiver) }));
  for (const text of ["short", "much longer"]) await sendTo(PORT, text);
  const runs = count(0);
  link[Symbol.dispose]();
  await sendTo(PORT, "longer again");
  while (!texts.includes("longer again")) await delay(5);
  const noSocket = failureOf(() => b.attachSocket({ fn, fd: openSync("/dev/null", "r") }));
  const noPort = failureOf(() =>
    b.attachSocket({ fn: b.load_func("choose", BPF.SK_REUSEPORT), fd: fdOf(receiver) }),
  );
  // The socket may be closed first, and another file have its number by then.
  const late = b.attachSocket({ fn, fd: fdOf(receiver) });
  receiver.close();
  late[Symbol.dispose]();
  return { texts, runs, after: count(0), again, noSocket, noPort };
}

/** Programs at tables of sockets. */
async function sockets() {
  const pair = await connection(PORT + 1);
  const clients = b.get_table<number, number>("clients");
  const servers = b.get_table<number, number>("servers");
  const sends = b.load_func("sends", BPF.SK_MSG);
  const link = b.attach_func(sends, clients, BPFAttachType.SK_MSG_VERDICT);
  const second = failureOf(() =>
    b.attach_func(b.load_func("mute", BPF.SK_MSG), clients, BPFAttachType.SK_MSG_VERDICT),
  );
  const wrong = failureOf(() => b.attach_func(sends, b.get_table("counts"), BPFAttachType.SK_MSG_VERDICT));
  clients.set(0, fdOf(pair.client));
  pair.client.write("twelve bytes");
  const first = await arrival(pair.server);
  const sent = count(1);
  link[Symbol.dispose]();
  // A socket that is in the table keeps the program until it leaves.
  clients.delete(0);
  clients.set(0, fdOf(pair.client));
  pair.client.write("unseen");
  await arrival(pair.server);
  const unseen = count(1) - sent;
  clients.delete(0);
  b.attach_func(b.load_func("parse", BPF.SK_SKB), servers, BPFAttachType.SK_SKB_STREAM_PARSER);
  const verdict = b.load_func("arrives", BPF.SK_SKB);
  b.attach_func(verdict, servers, BPFAttachType.SK_SKB_STREAM_VERDICT);
  servers.set(0, fdOf(pair.server));
  pair.client.write("seven b");
  const last = await arrival(pair.server);
  const arrived = { bytes: count(2), parsed: count(3) };
  servers.delete(0);
  b.detach_func(verdict, servers, BPFAttachType.SK_SKB_STREAM_VERDICT);
  pair.end();
  return { first, sent, unseen, last, arrived, second, wrong };
}

/** Programs at this namespace. */
async function namespace() {
  const listener = createServer((socket) => socket.end()).listen(PORT + 5, "127.0.0.1");
  await once(listener, "listening");
  const attempt = async (): Promise<string> => {
    const socket = connect(PORT + 5, "127.0.0.1");
    const outcome = await Promise.race([
      once(socket, "connect").then(() => "connected"),
      once(socket, "error").then(([error]) => (error as NodeJS.ErrnoException).code ?? ""),
    ]).catch((error: NodeJS.ErrnoException) => error.code ?? "");
    socket.destroy();
    return outcome;
  };
  const before = await attempt();
  const fn = b.load_func("closed_port", BPF.SK_LOOKUP);
  const link = b.attach_func(fn, "/proc/self/ns/net", BPFAttachType.SK_LOOKUP);
  const during = await attempt();
  const lookups = count(4);
  const again = failureOf(() => b.attach_func(fn, 0, BPFAttachType.SK_LOOKUP));
  link[Symbol.dispose]();
  const after = await attempt();
  listener.close();
  const dissect = b.load_func("dissect", BPF.FLOW_DISSECTOR);
  const hashing = b.attachTc({ dev: "lo", direction: "egress", fn: b.load_func("hash", BPF.SCHED_CLS) });
  const hash = async (port: number): Promise<number> => {
    await sendTo(port, "hello");
    return b.get_table<number, number>("hashes").get(0) ?? 0;
  };
  const flows = { before: [await hash(PORT + 6), await hash(PORT + 7)] };
  const dissector = b.attach_func(dissect, 0, BPFAttachType.FLOW_DISSECTOR);
  const dissected = { ...flows, during: [await hash(PORT + 6), await hash(PORT + 7)], runs: count(5) };
  const twice = failureOf(() => {
    using other = new BPF({
      runtime: "kernel",
      text: 'SEC("flow_dissector") int dissect(struct __sk_buff *skb) { return 0; } char L[] SEC("license") = "GPL";',
    });
    other.attach_func(other.load_func("dissect", BPF.FLOW_DISSECTOR), 0, BPFAttachType.FLOW_DISSECTOR);
  });
  dissector[Symbol.dispose]();
  await hash(PORT + 6);
  const dissections = { ...dissected, after: count(5) };
  hashing[Symbol.dispose]();
  b.attach_func(dissect, 0, BPFAttachType.FLOW_DISSECTOR);
  const noNamespace = failureOf(() => b.attach_func(dissect, "/tmp", BPFAttachType.FLOW_DISSECTOR));
  return { before, during, after, lookups, again, twice, noNamespace, dissections };
}

/** A program that chooses among the sockets of one port. */
async function sharing() {
  const open = (): number => {
    const { socket, setsockopt, bind } = libc();
    const fd = checked("socket", socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    return withArena((arena) => {
      const one = Number(arena.in(Uint8Array.of(1, 0, 0, 0)));
      checked("setsockopt", setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, one, 4));
      const port = PORT + 8;
      const address = Uint8Array.of(AF_INET, 0, port >> 8, port & 255, 127, 0, 0, 1, ...new Uint8Array(8));
      checked("bind", bind(fd, Number(arena.in(address)), address.length));
      return fd;
    });
  };
  const waiting = (fd: number): number => {
    let count = 0;
    const { address } = memory;
    while (libc().recv(fd, address, 16, 0) >= 0) count++;
    return count;
  };
  const memory = pinned(16);
  const fds = [open(), open()] as const;
  const table = b.get_table<number, bigint>("sharing");
  for (const [index, fd] of fds.entries()) table.set(index, BigInt(fd));
  const link = b.attachSocket({ fn: b.load_func("choose", BPF.SK_REUSEPORT), fd: fds[0] });
  for (let i = 0; i < 8; i++) await sendTo(PORT + 8, "hello");
  const chosen = { received: fds.map(waiting), runs: count(6) };
  link[Symbol.dispose]();
  for (let i = 0; i < 8; i++) await sendTo(PORT + 8, "hello");
  const [first = 0, second = 0] = fds.map(waiting);
  return { ...chosen, after: { received: first + second, runs: count(6) } };
}

process.stdout.write(
  JSON.stringify({
    sharing: await sharing(),
    filtering: await filtering(),
    sockets: await sockets(),
    namespace: await namespace(),
  }),
);
