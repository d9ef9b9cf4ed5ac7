import { UsageError } from "../../core/errors.ts";
import type { ProgramKindName } from "../../programs/kinds.ts";
import type { Fields, FieldValue } from "../../runtime/events.ts";
import { CONTEXT, PACKET } from "../execution.ts";
import { Region, type RegionRules } from "../memory.ts";

/** Bytes before a packet that a program may take (XDP_PACKET_HEADROOM), and behind it. */
const HEADROOM = 256;
const TAILROOM = 320;
/** Bytes of struct xdp_md and struct __sk_buff. */
const XDP_BYTES = 24;
const SKB_BYTES = 192;

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

/** A packet with room around it, and the context that leads to it. */
export class PacketContext {
  readonly kind: ProgramKindName;
  readonly packet: Region;
  readonly context: Region;
  readonly #rules: XdpContext | SkbContext;
  #hidden = 0;

  constructor(kind: ProgramKindName) {
    const isXdp = kind === "xdp";
    this.kind = kind;
    this.packet = new Region(PACKET, {
      name: "the packet",
      bytes: new Uint8Array(0),
      writable: kind !== "socket_filter",
    });
    this.#rules = isXdp ? new XdpContext(this.packet) : new SkbContext(this.packet, kind);
    this.context = new Region(CONTEXT, {
      name: "the context",
      bytes: new Uint8Array(isXdp ? XDP_BYTES : SKB_BYTES),
      writable: !isXdp,
      rules: this.#rules,
    });
  }

  /** Puts a packet in, and what its context says. @throws UsageError for fields that it lacks */
  fill(packet: Uint8Array, { hidden = 0, fields }: PacketOptions = {}): void {
    const { packet: region } = this;
    const size = HEADROOM + packet.length + TAILROOM;
    const bytes = region.bytes.length === size ? region.bytes : new Uint8Array(size);
    bytes.fill(0);
    bytes.set(packet, HEADROOM);
    region.replace(bytes, HEADROOM + hidden, HEADROOM + packet.length);
    this.#hidden = hidden;
    const rules = this.#rules;
    rules.fill();
    if (hidden >= ETHERNET_BYTES && rules instanceof SkbContext)
      rules.setProtocol(region.view.getUint16(HEADROOM + hidden - 2, true));
    for (const [name, value] of Object.entries(fields ?? NO_FIELDS)) this.#set(name, value);
  }

  #set(name: string, value: FieldValue): void {
    const rules = this.#rules;
    const at = rules.places[name];
    if (at === undefined) {
      throw new UsageError(`a packet's context has no field "${name}" to set`, {
        hint: `fields are ${Object.keys(rules.places).join(", ")}`,
      });
    }
    if (typeof value !== "number") throw new UsageError(`field "${name}" is a number`);
    rules.view.setUint32(at, value, true);
  }

  /** The bytes of the packet as a program left it, zeros for those that it did not see. */
  after(): Uint8Array {
    const { packet } = this;
    const bytes = packet.bytes.slice(packet.start - this.#hidden, packet.length);
    if (this.#hidden > 0) bytes.fill(0, 0, this.#hidden);
    return bytes;
  }
}

const NO_FIELDS: Fields = {};

/** Packets with their buffers, used again for the next one. */
export class PacketPool {
  readonly #idle = new Map<ProgramKindName, PacketContext[]>();

  /** @throws UsageError as `PacketContext.fill` */
  take(kind: ProgramKindName, bytes: Uint8Array, options?: PacketOptions): PacketContext {
    const taken = this.#idle.get(kind)?.pop() ?? new PacketContext(kind);
    taken.fill(bytes, options);
    return taken;
  }

  giveBack(packet: PacketContext): void {
    const idle = this.#idle.get(packet.kind);
    if (idle === undefined) this.#idle.set(packet.kind, [packet]);
    else idle.push(packet);
  }
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
  }

  /** Says what is usual. */
  fill(): void {
    for (let at = 12; at < XDP_BYTES; at += 4) this.view.setUint32(at, 0, true);
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
  readonly #bytes = new Uint8Array(SKB_BYTES);
  readonly view = new DataView(this.#bytes.buffer);
  readonly places = SKB_PLACES;

  constructor(packet: Region, kind: ProgramKindName) {
    this.#packet = packet;
    this.#isFilter = kind === "socket_filter";
  }

  /** Says what the packet itself tells, and what is usual. */
  fill(): void {
    const packet = this.#packet;
    const { view } = this;
    this.#bytes.fill(0);
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
