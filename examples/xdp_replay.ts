// What a packet filter would do, before it is on any device: an XDP program with a list of blocked networks, and packets
// that the script makes and fires at it. Needs no privileges; as root the kernel runs the same packets.
//
// rxbpf run examples/xdp_replay.ts
//
//   192.0.2.44     passes
//   198.51.100.7   is dropped
import { BPF } from "rxbpf";

const program = `
struct network {
    u32 prefixlen;
    u8 address[4];
};
BPF_LPM_TRIE(blocked, struct network);

int guard(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data;
    void *data_end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = data + sizeof(*eth);
    struct network source = { .prefixlen = 32 };

    if ((void *)(ip + 1) > data_end || eth->h_proto != htons(ETH_P_IP))
        return XDP_PASS;
    __builtin_memcpy(source.address, &ip->saddr, sizeof(source.address));
    return blocked.lookup(&source) ? XDP_DROP : XDP_PASS;
}
`;

interface Network {
  readonly prefixlen: number;
  readonly address: Uint8Array;
}

const bytesOf = (address: string) => Uint8Array.from(address.split("."), Number);

/** An Ethernet and an IPv4 header. */
function packetFrom(address: string): Uint8Array {
  const packet = new Uint8Array(34);
  packet.set([0x08, 0x00, 0x45], 12);
  packet.set(bytesOf(address), 26);
  return packet;
}

using b = new BPF({ text: program });
const guard = b.load_func("guard", BPF.XDP);
const blocked = b.get_table<Network, bigint>("blocked");
blocked.set({ prefixlen: 24, address: bytesOf("198.51.100.0") }, 1n);
blocked.set({ prefixlen: 32, address: bytesOf("203.0.113.9") }, 1n);

const XDP_DROP = 1n;
let dropped = 0;
for (const source of ["192.0.2.44", "198.51.100.7", "203.0.113.8", "203.0.113.9"]) {
  const isDropped = b.fire(guard, { packet: packetFrom(source) }) === XDP_DROP;
  if (isDropped) dropped++;
  console.log(`${source.padEnd(14)} ${isDropped ? "is dropped" : "passes"}`);
}
console.log(`total: ${dropped} packets dropped`);
