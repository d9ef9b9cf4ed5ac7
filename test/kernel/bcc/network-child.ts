/**
 * Run in a network namespace of its own by the network test: makes a veth pair, attaches XDP programs and a raw
 * socket there, and prints what happened as JSON.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readSync, writeFileSync } from "node:fs";
import { BPF, BpfError, type SocketLink } from "rxbpf";

const PORT = 4279;
/** An address that nobody has: packets to it leave through the peer and arrive at the device under test. */
const FAR = "10.99.0.9";
const MAC = "02:00:00:00:00:01";

function ip(...words: readonly string[]): void {
  execFileSync("ip", words);
}

function send(text: string, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.send(text, PORT, address, (error) =>
      socket.close(() => (error === null ? resolve() : reject(error))),
    );
  });
}

function failure(action: () => unknown): {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
} {
  try {
    action();
  } catch (error) {
    if (error instanceof BpfError) return { code: error.code, message: error.message, hint: error.hint };
    throw error;
  }
  throw new Error("nothing was thrown");
}

// Built in here, a module elsewhere, and not every system loads it when it is asked for.
spawnSync("modprobe", ["veth"]);
writeFileSync("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
ip("link", "set", "lo", "up");
ip("link", "add", "rxc0", "address", MAC, "type", "veth", "peer", "name", "rxd0");
ip("addr", "add", "10.99.0.2/24", "dev", "rxd0");
ip("link", "set", "rxc0", "up");
ip("link", "set", "rxd0", "up");
ip("neigh", "add", FAR, "lladdr", MAC, "dev", "rxd0");

/** Counts UDP packets to our port, and says what becomes of them. */
using b = new BPF({
  runtime: "kernel",
  text: `
    #include <linux/bpf.h>
    #include <linux/if_ether.h>
    #include <linux/ip.h>
    #include <linux/udp.h>
    #include <bpf/bpf_helpers.h>
    u64 packets;
    static int is_ours(struct xdp_md *ctx) {
      void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
      struct ethhdr *eth = data;
      struct iphdr *ip = data + sizeof(*eth);
      struct udphdr *udp = (void *)ip + sizeof(*ip);
      if ((void *)(udp + 1) > end) return 0;
      return eth->h_proto == htons(ETH_P_IP) && ip->protocol == IPPROTO_UDP && udp->dest == htons(${PORT});
    }
    SEC("xdp") int count(struct xdp_md *ctx) { if (is_ours(ctx)) packets++; return XDP_PASS; }
    SEC("xdp") int other(struct xdp_md *ctx) { return XDP_PASS; }
    char LICENSE[] SEC("license") = "GPL";`,
});
const packets = b.variable<bigint>("packets");
const count = b.load_func("count", BPF.XDP);

/** How many packets the program saw of three that were sent. */
async function seen(): Promise<number> {
  const before = packets.get();
  for (let i = 0; i < 3; i++) await send("hello", FAR);
  return Number(packets.get() - before);
}

const before = await seen();
b.attach_xdp("rxc0", count);
const attached = await seen();
const again = failure(() => b.attach_xdp("rxc0", count));
const second = failure(() => b.attach_xdp("rxc0", b.load_func("other", BPF.XDP)));
b.remove_xdp("rxc0");
const removed = await seen();
const removedTwice = failure(() => b.remove_xdp("rxc0"));
b.attach_xdp("rxc0", count, BPF.XDP_FLAGS_SKB_MODE);
const genericMode = await seen();
const unknown = failure(() => b.attach_xdp("rxc1", b.load_func("other", BPF.XDP)));
const wrongFlags = failure(() => b.attach_xdp("rxd0", b.load_func("other", BPF.XDP), 1 << 9));
const xdp = { before, attached, again, second, removed, removedTwice, genericMode, unknown, wrongFlags };

/** What the socket holds, as text. */
function received(link: SocketLink): readonly string[] {
  const texts: string[] = [];
  const packet = new Uint8Array(256);
  for (;;) {
    try {
      texts.push(Buffer.from(packet.subarray(42, readSync(link.fd, packet))).toString());
    } catch {
      return texts; // EAGAIN: nothing is left
    }
  }
}

/** A raw socket on lo sees each packet twice, going out and coming in. */
using filters = new BPF({
  runtime: "kernel",
  text: `
    #include <linux/if_ether.h>
    #include <linux/ip.h>
    BPF_ARRAY(bytes, u64, 256);
    int keep(struct __sk_buff *skb) {
      if (skb->pkt_type == PACKET_OUTGOING) return 0;
      int protocol = load_byte(skb, ETH_HLEN + offsetof(struct iphdr, protocol));
      bytes.atomic_increment(protocol, skb->len);
      return protocol == IPPROTO_UDP ? -1 : 0;
    }`,
});
const keep = filters.load_func("keep", BPF.SOCKET_FILTER);
const link = filters.attach_raw_socket(keep, "lo");
await send("first", "127.0.0.1");
await send("second", "127.0.0.1");
const socket = {
  texts: received(link),
  udpBytes: Number(filters.get_table<number, bigint>("bytes").get(17)),
  again: failure(() => filters.attach_raw_socket(keep, "lo")),
  unknown: failure(() => filters.attach_raw_socket(keep, "l0")),
  afterDetach: 0,
};
link[Symbol.dispose]();
await send("third", "127.0.0.1");
socket.afterDetach = Number(filters.get_table<number, bigint>("bytes").get(17)) - socket.udpBytes;

process.stdout.write(JSON.stringify({ xdp, socket }));
