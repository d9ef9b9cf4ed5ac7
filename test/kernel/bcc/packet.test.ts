import { beforeEach, describe, expect, test } from "vitest";
import { BPF, RewriteError } from "../../../framework/index.ts";
import { runOnPacket } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

/** Fields of each protocol's header in the order of the wire, with their bits, as the protocols' documents have them. */
const headers: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ethernet_t: { dst: 48, src: 48, type: 16 },
  dot1q_t: { pri: 3, cfi: 1, vlanid: 12, type: 16 },
  arp_t: { htype: 16, ptype: 16, hlen: 8, plen: 8, oper: 16, sha: 48, spa: 32, tha: 48, tpa: 32 },
  ip_t: {
    ver: 4,
    hlen: 4,
    tos: 8,
    tlen: 16,
    identification: 16,
    ffo_unused: 1,
    df: 1,
    mf: 1,
    foffset: 13,
    ttl: 8,
    nextp: 8,
    hchecksum: 16,
    src: 32,
    dst: 32,
  },
  icmp_t: { type: 8, code: 8, checksum: 16 },
  ip6_t: {
    ver: 4,
    priority: 8,
    flow_label: 20,
    payload_len: 16,
    next_header: 8,
    hop_limit: 8,
    src_hi: 64,
    src_lo: 64,
    dst_hi: 64,
    dst_lo: 64,
  },
  ip6_opt_t: { next_header: 8, ext_len: 8, "pad[0]": 8, "pad[1]": 8, "pad[5]": 0 },
  icmp6_t: { type: 8, code: 8, checksum: 16 },
  udp_t: { sport: 16, dport: 16, length: 16, crc: 16 },
  tcp_t: {
    src_port: 16,
    dst_port: 16,
    seq_num: 32,
    ack_num: 32,
    offset: 4,
    reserved: 4,
    flag_cwr: 1,
    flag_ece: 1,
    flag_urg: 1,
    flag_ack: 1,
    flag_psh: 1,
    flag_rst: 1,
    flag_syn: 1,
    flag_fin: 1,
    rcv_wnd: 16,
    cksum: 16,
    urg_ptr: 16,
  },
  vxlan_t: { rsv1: 4, iflag: 1, rsv2: 3, rsv3: 24, key: 24, rsv4: 8 },
  vxlan_gbp_t: {
    gflag: 1,
    rsv1: 3,
    iflag: 1,
    rsv2: 3,
    rsv3: 1,
    dflag: 1,
    rsv4: 1,
    aflag: 1,
    rsv5: 3,
    tag: 16,
    key: 24,
    rsv6: 8,
  },
};

/** Bytes without pattern, the same every time. */
function noise(length: number): Uint8Array {
  let state = 0x2545f491;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** The packet as one number: the first bit of the first byte is its highest. */
function asNumber(packet: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(packet).toString("hex")}`);
}

function field(packet: Uint8Array, offset: number, width: number): bigint {
  return BigInt.asUintN(width, asNumber(packet) >> BigInt(packet.length * 8 - offset - width));
}

/** The packet with another value in a field. */
function withField(packet: Uint8Array, offset: number, width: number, value: bigint): Uint8Array {
  const shift = BigInt(packet.length * 8 - offset - width);
  const mask = ((1n << BigInt(width)) - 1n) << shift;
  const number = (asNumber(packet) & ~mask) | ((value << shift) & mask);
  return Uint8Array.from(Buffer.from(number.toString(16).padStart(packet.length * 2, "0"), "hex"));
}

const CLS = BPF.SCHED_CLS;
const SKB = "struct __sk_buff *skb";
const INCLUDE = "#include <bcc/proto.h>\n";

/** Runs "f" of a text on a packet, as a classifier; gives the packet afterwards and the values left in the table "out". */
function classify(text: string, packet: Uint8Array): { readonly output: Uint8Array; readonly out: bigint[] } {
  using b = open(`${INCLUDE}BPF_ARRAY(out, u64, 16);
    static void put(u32 at, u64 value) { out.update(&at, &value); }
    ${text}`);
  const { output } = runOnPacket(b, "f", CLS, packet);
  return { output: output.slice(0, packet.length), out: [...b.get_table<number, bigint>("out").values()] };
}

describe("packet headers", () => {
  beforeEach((context) => needsKernel(context));

  const packet = noise(96);

  test.each(Object.keys(headers))("%s has the fields of its protocol, in host order", (name) => {
    const fields = Object.entries(headers[name]!);
    let offset = 16 * 8;
    const places = fields.map(([member, width]) => {
      // The one field that stands for the last of an array.
      const place = width === 0 ? { offset: 16 * 8 + 56, width: 8 } : { offset, width };
      offset += width;
      return { member, ...place };
    });
    const reads = fields.map(([member], index) => `put(${index % 16}, h->${member});`);
    for (let from = 0; from < fields.length; from += 16) {
      const { out } = classify(
        `int f(${SKB}) { u8 *cursor = 0; cursor_advance(cursor, 16);
          struct ${name} *h = cursor_advance(cursor, sizeof(*h));
          ${reads.slice(from, from + 16).join("\n")} return 0; }`,
        packet,
      );
      const part = places.slice(from, from + 16);
      expect(part.map(({ member }, index) => [member, out[index]])).toEqual(
        part.map(({ member, offset: at, width }) => [member, field(packet, at, width)]),
      );
    }
  });

  test("cursor_advance steps from one header to the next", () => {
    const { out } = classify(
      `int f(${SKB}) { u8 *cursor = 0;
        struct ethernet_t *eth = cursor_advance(cursor, sizeof(*eth));
        struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
        struct udp_t *udp = cursor_advance(cursor, sizeof(*udp));
        put(0, eth->type); put(1, ip->dst); put(2, udp->crc); put(3, (u64)cursor); return 0; }`,
      packet,
    );
    expect(out.slice(0, 4)).toEqual([
      field(packet, 12 * 8, 16),
      field(packet, 30 * 8, 32),
      field(packet, 40 * 8, 16),
      42n,
    ]);
  });

  // Every width at every bit of a byte, so that each way of loading and storing is taken.
  const widths = [1, 2, 3, 7, 8, 9, 12, 16, 17, 23, 24, 25, 31, 32, 33, 40, 47, 48, 55, 56, 57, 63, 64];
  const starts = [0, 1, 3, 4, 7];

  test.each(widths)("fields of %d bits are read and written wherever they begin", (width) => {
    for (const start of starts) {
      const pad = start === 0 ? "" : `u8 before : ${start};`;
      const value = 0x9e3779b97f4a7c15n;
      const { output, out } = classify(
        `struct own_t { ${pad} u64 it : ${width}; } BPF_PACKET_HEADER;
        int f(${SKB}) { struct own_t *p = (void *)20; put(0, p->it); p->it = ${value}ULL; put(1, p->it); return 0; }`,
        packet,
      );
      const at = 20 * 8 + start;
      expect(out.slice(0, 2)).toEqual([field(packet, at, width), BigInt.asUintN(width, value)]);
      expect(Buffer.from(output).toString("hex")).toBe(
        Buffer.from(withField(packet, at, width, value)).toString("hex"),
      );
    }
  });

  test("fields of 128 bits are numbers of 128 bits", () => {
    const { output, out } = classify(
      `struct own_t { u8 first; unsigned __int128 it; u8 last; } BPF_PACKET_HEADER;
      int f(${SKB}) { struct own_t *p = (void *)20; unsigned __int128 it = p->it;
        put(0, it >> 64); put(1, it); p->it = it + 1; p->it <<= 4; return 0; }`,
      packet,
    );
    const it = field(packet, 21 * 8, 128);
    expect(out.slice(0, 2)).toEqual([it >> 64n, BigInt.asUintN(64, it)]);
    expect(output).toEqual(withField(packet, 21 * 8, 128, (it + 1n) << 4n));
  });

  test("compound assignments, ++ and -- change the field and have C's values", () => {
    const { output, out } = classify(
      `int f(${SKB}) { struct ip_t *ip = (void *)14;
        put(0, ip->ttl -= 3); put(1, ip->ttl--); put(2, ++ip->foffset); put(3, ip->mf ^= 1);
        put(4, ip->tlen = ip->identification = 0x12345); (ip->tos) |= 0x81; (*ip).ver <<= 1; ip[0].nextp++;
        return 0; }`,
      packet,
    );
    const at = 14 * 8;
    const ttl = field(packet, at + 64, 8);
    const foffset = field(packet, at + 51, 13);
    const mf = field(packet, at + 50, 1);
    const u8 = (n: bigint): bigint => BigInt.asUintN(8, n);
    expect(out.slice(0, 5)).toEqual([u8(ttl - 3n), u8(ttl - 3n), (foffset + 1n) & 0x1fffn, mf ^ 1n, 0x2345n]);
    let expected = withField(packet, at + 64, 8, u8(ttl - 4n));
    expected = withField(expected, at + 51, 13, foffset + 1n);
    expected = withField(expected, at + 50, 1, mf ^ 1n);
    expected = withField(expected, at + 16, 32, 0x2345_2345n);
    expected = withField(expected, at + 8, 8, field(packet, at + 8, 8) | 0x81n);
    expected = withField(expected, at, 4, field(packet, at, 4) << 1n);
    expected = withField(expected, at + 72, 8, field(packet, at + 72, 8) + 1n);
    expect(Buffer.from(output).toString("hex")).toBe(Buffer.from(expected).toString("hex"));
  });

  test("arrays, nested structs and unions of packed members are fields too", () => {
    const { output, out } = classify(
      `struct own_t {
        u8 kind : 3, flags : 5;
        struct { u16 a; u32 b : 24; } __attribute__((packed)) list[3];
        union { u32 whole; u8 bytes[4]; };
      } BPF_PACKET_HEADER;
      int f(${SKB}) { struct own_t *p = (void *)20; u32 i = skb->len & 1;
        put(0, p->list[2].b); put(1, p->list[i + 1].a); put(2, p->bytes[3]); put(3, p->whole); put(4, p->flags);
        put(5, (u64)&p->whole); put(6, (u64)&p->list[1].b); put(7, (u64)&p->list[i]); put(8, sizeof(p->list[0]));
        p->list[i].b += 0x100; p[1].bytes[i + 2] = 7;
        return 0; }`,
      packet,
    );
    const at = 20 * 8;
    expect(out.slice(0, 9)).toEqual([
      field(packet, at + 8 + 2 * 40 + 16, 24),
      field(packet, at + 8 + 40, 16),
      field(packet, at + 128 + 24, 8),
      field(packet, at + 128, 32),
      field(packet, at + 3, 5),
      36n,
      28n,
      21n,
      5n,
    ]);
    const expected = withField(packet, at + 24, 24, field(packet, at + 24, 24) + 0x100n);
    expect(output).toEqual(withField(expected, at + 160 + 128 + 16, 8, 7n));
  });

  test("fields are read in macros, as their arguments and as values that are macros", () => {
    const { output, out } = classify(
      `#define IS_UDP(ip) ((ip)->nextp == UDP)
      #define UDP 0x11
      #define FIELD(p, name) p->name
      int f(${SKB}) { struct ip_t *ip = (void *)14; ip->nextp = UDP;
        put(0, IS_UDP(ip)); put(1, ntohs(ip->tlen)); put(2, min((u64)ip->ttl, (u64)7)); put(3, FIELD(ip, src)); return 0; }`,
      packet,
    );
    const tlen = field(packet, 16 * 8, 16);
    const swapped = ((tlen & 0xffn) << 8n) | (tlen >> 8n);
    const ttl = field(packet, 22 * 8, 8);
    expect(out.slice(0, 4)).toEqual([1n, swapped, ttl < 7n ? ttl : 7n, field(packet, 26 * 8, 32)]);
    expect(output).toEqual(withField(packet, 23 * 8, 8, 0x11n));
  });

  test("static functions before and after a program read its packet, through others as well", () => {
    const { out } = classify(
      `static u64 late(struct ip_t *ip);
      static u64 deep(struct ip_t *ip) { return late(ip) + 1; }
      static inline u64 none(void) { struct ip_t *ip = (void *)14; return ip->dst; }
      static u64 own(struct __sk_buff *other, struct ip_t *ip) { return ip->tlen; }
      int f(${SKB}) { struct ip_t *ip = (void *)14; put(0, deep(ip)); put(1, none()); put(2, own(skb, ip)); return 0; }
      static u64 late(struct ip_t *ip) { return ip->src; }`,
      packet,
    );
    expect(out.slice(0, 3)).toEqual([
      field(packet, 26 * 8, 32) + 1n,
      field(packet, 30 * 8, 32),
      field(packet, 16 * 8, 16),
    ]);
  });

  test("a helper that two programs call reads the packet of the one that runs", () => {
    using b = open(`${INCLUDE}
      static int length(struct udp_t *udp) { return udp->length; }
      int first(struct __sk_buff *a) { return length((void *)20); }
      int second(struct __sk_buff *b) { return length((void *)40); }`);
    expect(runOnPacket(b, "first", CLS, packet).result).toBe(Number(field(packet, 24 * 8, 16)));
    expect(runOnPacket(b, "second", CLS, packet).result).toBe(Number(field(packet, 44 * 8, 16)));
  });

  test("a socket filter reads fields of what the socket gets, and ends with 0 outside the packet", () => {
    using b = open(`${INCLUDE}
      int f(struct __sk_buff *skb) { struct ip_t *ip = 0; return ip->tlen; }
      int outside(struct __sk_buff *skb) { struct ip_t *ip = (void *)4000; ip->tlen == 0; return ip->tlen + 1; }
      int last(struct __sk_buff *skb) { struct vxlan_t *v = (void *)(u64)(skb->len - sizeof(*v)); return v->key; }`);
    const run = (name: string): number => runOnPacket(b, name, BPF.SOCKET_FILTER, packet).result;
    expect(run("f")).toBe(Number(field(packet, 16 * 8, 16)));
    expect(run("outside")).toBe(0);
    expect(run("last")).toBe(Number(field(packet, 92 * 8, 24)));
  });

  test("BCC's functions for bits and bytes of packets do what the fields do", () => {
    const { output, out } = classify(
      `int f(${SKB}) {
        put(0, load_byte(skb, 20)); put(1, load_half(skb, 20)); put(2, load_word(skb, 20)); put(3, load_dword(skb, 20));
        put(4, bpf_dext_pkt(skb, 20, 3, 12)); put(5, MASK(5)); put(6, MASK128(70) >> 64);
        bpf_store_byte(skb, 40, 0x01); bpf_store_half(skb, 41, 0x0203); bpf_store_word(skb, 43, 0x04050607);
        bpf_store_dword(skb, 47, 0x08090a0b0c0d0e0fULL); bpf_dins_pkt(skb, 60, 4, 12, 0xabc); return 0; }`,
      packet,
    );
    const at = 20 * 8;
    expect(out.slice(0, 7)).toEqual([
      field(packet, at, 8),
      field(packet, at, 16),
      field(packet, at, 32),
      field(packet, at, 64),
      field(packet, at + 3, 12),
      31n,
      63n,
    ]);
    const stored = withField(packet, 40 * 8, 120, 0x0102030405060708090a0b0c0d0e0fn);
    expect(output).toEqual(withField(stored, 60 * 8 + 4, 12, 0xabcn));
  });

  test("incr_cksum_l3 and incr_cksum_l4 keep checksums right when addresses change", () => {
    const ip = Uint8Array.from([
      0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x34, 0, 53, 0, 8, 0, 0,
    ]);
    new DataView(ip.buffer).setUint16(10, checksum(ip.subarray(0, 20)));
    new DataView(ip.buffer).setUint16(26, checksum(pseudo(ip)));
    const whole = Uint8Array.from([...new Array(12).fill(2), 8, 0, ...ip]);
    const { output } = classify(
      `int f(${SKB}) { struct ip_t *ip = (void *)14; struct udp_t *udp = (void *)34;
        u32 old = ip->dst, new = 0xc0a80117;
        incr_cksum_l4(&udp->crc, old, new, 1);
        incr_cksum_l3(&ip->hchecksum, old, new);
        ip->dst = new;
        incr_cksum_l3(&ip->hchecksum, (u16)ip->identification, (u16)0x4321);
        ip->identification = 0x4321;
        return 0; }`,
      whole,
    );
    const changed = output.slice(14);
    expect([...changed.subarray(16, 20)]).toEqual([192, 168, 1, 23]);
    expect(checksum(changed.subarray(0, 20))).toBe(0);
    expect(checksum(pseudo(changed))).toBe(0);
  });

  test("a program without a socket buffer cannot read fields, and is told where it tries", () => {
    const error = failure(RewriteError, () =>
      open(`${INCLUDE}
int f(struct xdp_md *ctx) {
  struct ip_t *ip = 0;
  return ip->ttl;
}`),
    );
    expect(error.diagnostics[0]).toMatchObject({ code: "PACKET_CONTEXT", line: 5, column: 10 });
  });

  test("what a packet header cannot do is said at the expression", () => {
    const body = (statement: string): string => `${INCLUDE}
int f(${SKB}) {
  struct ip_t *ip = 0, copy;
  ${statement}
  return 0;
}`;
    const codeOf = (statement: string): string | undefined =>
      failure(RewriteError, () => open(body(statement))).diagnostics.find(({ line }) => line === 5)?.code;
    expect(codeOf("copy = *ip;")).toBe("PACKET_COPY");
    expect(codeOf("put(&ip->foffset);")).toBe("PACKET_ADDRESS");
  });
});

/** The Internet's checksum: 0 over bytes that hold their own. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return 0xffff ^ sum;
}

/** What a UDP checksum covers: the addresses, the protocol, the length, and the datagram. */
function pseudo(ip: Uint8Array): Uint8Array {
  const length = ip.length - 20;
  return Uint8Array.from([...ip.subarray(12, 20), 0, 17, length >> 8, length & 255, ...ip.subarray(20)]);
}
