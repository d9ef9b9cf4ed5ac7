import type { Execution } from "./execution.ts";

/** Offsets below these count from the network header and from the link's (SKF_NET_OFF, SKF_LL_OFF of linux/filter.h). */
const NETWORK = -0x100000;
const LINK = -0x200000;
/** Above this one they name facts about the packet, which the machine does not have (SKF_AD_OFF). */
const ANCILLARY = -0x1000;
const ETHERNET_BYTES = 14;

/**
 * The old loads from packets: `size` bytes in network order at an offset, into r0. False when the packet has no such
 * bytes, which ends the program.
 */
export function loadPacket(run: Execution, offset: number, size: number): boolean {
  const { packet, registers } = run;
  if (packet === null) return false;
  const at = packet.start + placeOf(offset | 0);
  if (at < packet.start || at + size > packet.length) return false;
  registers[1] = 0;
  const { view } = packet;
  registers[0] = size === 4 ? view.getInt32(at) : size === 2 ? view.getUint16(at) : view.getUint8(at);
  return true;
}

function placeOf(offset: number): number {
  if (offset >= 0) return offset;
  if (offset >= ANCILLARY) return -1;
  if (offset >= NETWORK) return offset - NETWORK + ETHERNET_BYTES;
  return offset >= LINK ? offset - LINK : -1;
}
