import { UsageError } from "../../core/errors.ts";
import type { ProgramKindName } from "../../programs/kinds.ts";
import type { Fields } from "../../runtime/events.ts";
import { CONTEXT, PACKET } from "../execution.ts";
import { Region, type RegionRules } from "../memory.ts";

/** Bytes before a packet that a program may take (XDP_PACKET_HEADROOM), and behind it. */
const HEADROOM = 256;
const TAILROOM = 320;
/** Bytes of struct xdp_md and struct __sk_buff. */
const XDP_BYTES = 24;
const SKB_BYTES = 192;

/** A packet with room around it. */
function withRoom(packet: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADROOM + packet.length + TAILROOM);
  bytes.set(packet, HEADROOM);
  return bytes;
}

/** The device that packets come from when nobody says. */
const LOOPBACK = 1;
const ETHERNET_BYTES = 14;

/** How a packet comes. */
export interface PacketOptions {
  /** Bytes at its beginning that the program does not see, though a link's header tells the protocol. */
  readonly hidden?: number;
  /** Fields of the context that say where it came from and what was said about it. */
  readonly fields?: Fields | undefined;
}

/** A packet in a buffer of its own, and the context that leads to it. */
export function packetContext(
  kind: ProgramKindName,
  bytes: Uint8Array,
  { hidden = 0, fields = {} }: PacketOptions = {},
): { readonly packet: Region; readonly context: Region } {
  const isFilter = kind === "socket_filter";
  const packet = new Region(PACKET, { name: "the packet", bytes: withRoom(bytes), writable: !isFilter });
  packet.replace(packet.bytes, HEADROOM + hidden, HEADROOM + bytes.length);
  const rules = kind === "xdp" ? new XdpContext(packet) : new SkbContext(packet, kind);
  if (hidden >= ETHERNET_BYTES && rules instanceof SkbContext)
    rules.setProtocol(packet.view.getUint16(HEADROOM + hidden - 2, true));
  for (const [name, value] of Object.entries(fields)) {
    const at = rules.places[name];
    if (at === undefined)
      throw new UsageError(`a packet's context has no field "${name}" to set`, {
        hint: `fields are ${Object.keys(rules.places).join(", ")}`,
      });
    if (typeof value !== "number") throw new UsageError(`field "${name}" is a number`);
    rules.view.setUint32(at, value, true);
  }
  const size = kind === "xdp" ? XDP_BYTES : SKB_BYTES;
  return {
    packet,
    context: new Region(CONTEXT, {
      name: "the context",
      bytes: new Uint8Array(size),
      writable: kind !== "xdp",
      rules,
    }),
  };
}

/** The bytes of a packet as a program left it, with what was hidden before it. */
export function packetAfter(packet: Region, hidden = 0): Uint8Array {
  return packet.bytes.slice(packet.start - hidden, packet.length);
}

/** Puts an address of the packet into a register. The fields are 32 bits wide, what is read from them is not. */
function point(packet: Region, offset: number, into: Int32Array, at: number): true {
  into[at] = packet.low(offset);
  into[at + 1] = packet.high;
  return true;
}

/** What events may say of struct xdp_md, and of struct __sk_buff. */
const XDP_PLACES: Readonly<Record<string, number>> & { readonly ingress_ifindex: number } = {
  ingress_ifindex: 12,
  rx_queue_index: 16,
};

/** struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex. Read-only. */
export class XdpContext implements RegionRules {
  readonly #packet: Region;
  readonly view = new DataView(new ArrayBuffer(XDP_BYTES));
  readonly places = XDP_PLACES;

  constructor(packet: Region) {
    this.#packet = packet;
    this.view.setUint32(XDP_PLACES.ingress_ifindex, LOOPBACK, true);
  }

  load(offset: number, size: number, into: Int32Array, at: number): boolean {
    if (size !== 4 || offset % 4 !== 0 || offset > 16) return false;
    const packet = this.#packet;
    if (offset === 4) return point(packet, packet.length, into, at);
    // There is no metadata: it would begin where the packet does.
    if (offset === 0 || offset === 8) return point(packet, packet.start, into, at);
    into[at] = this.view.getInt32(offset, true);
    into[at + 1] = 0;
    return true;
  }

  store(): boolean {
    return false;
  }
}

/** Offsets in struct __sk_buff. */
const LEN = 0;
const MARK = 8;
const PROTOCOL = 16;
const PRIORITY = 32;
const INGRESS_IFINDEX = 36;
const IFINDEX = 40;
const TC_INDEX = 44;
const CB = 48;
const HASH = 68;
const TC_CLASSID = 72;
const DATA = 76;
const DATA_END = 80;
const DATA_META = 140;
const TSTAMP = 152;
const WIRE_LEN = 160;
const HWTSTAMP = 184;

const SKB_PLACES: Readonly<Record<string, number>> = {
  pkt_type: 4,
  mark: MARK,
  queue_mapping: 12,
  protocol: PROTOCOL,
  vlan_present: 20,
  vlan_tci: 24,
  vlan_proto: 28,
  priority: PRIORITY,
  ingress_ifindex: INGRESS_IFINDEX,
  ifindex: IFINDEX,
  tc_index: TC_INDEX,
  hash: HASH,
  tc_classid: TC_CLASSID,
  wire_len: WIRE_LEN,
};

/** struct __sk_buff: what programs of a kind may read of it and write to it (net/core/filter.c). */
export class SkbContext implements RegionRules {
  readonly #packet: Region;
  readonly #isFilter: boolean;
  readonly view = new DataView(new ArrayBuffer(SKB_BYTES));
  readonly places = SKB_PLACES;

  constructor(packet: Region, kind: ProgramKindName) {
    this.#packet = packet;
    this.#isFilter = kind === "socket_filter";
    const { view } = this;
    view.setUint32(LEN, packet.length - packet.start, true);
    if (packet.length - packet.start >= ETHERNET_BYTES)
      view.setUint32(PROTOCOL, packet.view.getUint16(packet.start + 12, true), true);
    view.setUint32(INGRESS_IFINDEX, LOOPBACK, true);
    view.setUint32(IFINDEX, LOOPBACK, true);
    view.setUint32(WIRE_LEN, packet.length - packet.start, true);
  }

  /** Sets the protocol of a packet whose link header is not part of it. */
  setProtocol(protocol: number): void {
    this.view.setUint32(PROTOCOL, protocol, true);
  }

  load(offset: number, size: number, into: Int32Array, at: number): boolean {
    const packet = this.#packet;
    if (offset === DATA || offset === DATA_END || offset === DATA_META) {
      if (this.#isFilter || size !== 4) return false;
      return point(packet, offset === DATA_END ? packet.length : packet.start, into, at);
    }
    if (!this.#mayRead(offset, size)) return false;
    this.view.setUint32(LEN, packet.length - packet.start, true);
    into[at + 1] = size === 8 ? this.view.getInt32(offset + 4, true) : 0;
    into[at] =
      size >= 4
        ? this.view.getInt32(offset, true)
        : size === 2
          ? this.view.getUint16(offset, true)
          : this.view.getUint8(offset);
    return true;
  }

  #mayRead(offset: number, size: number): boolean {
    if (offset % size !== 0 || offset + size > SKB_BYTES) return false;
    const isWide = offset === TSTAMP || offset === HWTSTAMP || isControl(offset, size);
    if (size === 8 && !isWide) return false;
    const field = offset & ~3;
    if (field > DATA_END && field < DATA_META) return field < 88;
    if (this.#isFilter)
      return field !== TC_CLASSID && field !== TSTAMP && field !== TSTAMP + 4 && field < WIRE_LEN;
    return true;
  }

  store(offset: number, size: number, low: number, high: number): boolean {
    const isOwn = isControl(offset, size) && offset % size === 0;
    const isWord = size === 4 && !this.#isFilter && [MARK, PRIORITY, TC_INDEX, TC_CLASSID].includes(offset);
    if (!isOwn && !isWord) return false;
    if (size === 1) this.view.setInt8(offset, low);
    else if (size === 2) this.view.setInt16(offset, low, true);
    else this.view.setInt32(offset, low, true);
    if (size === 8) this.view.setInt32(offset + 4, high, true);
    return true;
  }
}

/** Whether an access is within cb, five words that are a program's own. */
function isControl(offset: number, size: number): boolean {
  return offset >= CB && offset + size <= HASH;
}
