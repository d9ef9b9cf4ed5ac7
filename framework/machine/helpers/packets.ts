import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";
import type { Region } from "../memory.ts";

const ETHERNET_BYTES = 14;

function copy(run: Execution, packet: Region | null, offset: number, register: number, size: number): void {
  const into = run.bytes(register, size, true);
  const at = (packet?.start ?? 0) + offset;
  if (packet === null || at < packet.start || at + size > packet.length) {
    into.fill(0);
    return run.result(errno.EFAULT);
  }
  into.set(packet.bytes.subarray(at, at + size));
  run.result(0);
}

/** bpf_skb_load_bytes(skb, offset, to, length), bpf_xdp_load_bytes */
export function loadBytes(run: Execution): void {
  copy(run, run.packet, run.word(2), 3, run.word(4));
}

/** bpf_skb_load_bytes_relative(skb, offset, to, length, from): from the link's header or the network's. */
export function loadBytesRelative(run: Execution): void {
  const from = run.number(5);
  if (from > 1) return run.result(errno.EFAULT);
  copy(run, run.packet, run.word(2) + (from === 1 ? ETHERNET_BYTES : 0), 3, run.word(4));
}

/** bpf_skb_store_bytes(skb, offset, from, length, flags), bpf_xdp_store_bytes */
export function storeBytes(run: Execution): void {
  const { packet } = run;
  const size = run.word(4);
  const bytes = run.bytes(3, size, false);
  const at = (packet?.start ?? 0) + run.word(2);
  if (packet === null || !packet.writable || at + size > packet.length) return run.result(errno.EFAULT);
  packet.bytes.set(bytes, at);
  run.result(0);
}

/** bpf_skb_pull_data(skb, length): packets of the machine are in one piece. */
export function pullData(run: Execution): void {
  const { packet } = run;
  run.result(packet !== null && run.word(2) <= packet.length - packet.start ? 0 : errno.ENOMEM);
}

/** bpf_xdp_get_buff_len(xdp) */
export function packetLength(run: Execution): void {
  const { packet } = run;
  run.result(packet === null ? 0 : packet.length - packet.start);
}

/** Moves the end that `side` names, as bpf_xdp_adjust_head and bpf_xdp_adjust_tail do. */
export function adjust(side: "head" | "tail"): (run: Execution) => void {
  return (run) => {
    const { packet } = run;
    const by = run.registers[4]!;
    if (packet === null) return run.result(errno.EINVAL);
    const start = side === "head" ? packet.start + by : packet.start;
    const end = side === "tail" ? packet.length + by : packet.length;
    if (start < 0 || end > packet.bytes.length || end - start < ETHERNET_BYTES)
      return run.result(errno.EINVAL);
    if (side === "tail" && by > 0) packet.bytes.fill(0, packet.length, end);
    packet.replace(packet.bytes, start, end);
    run.result(0);
  };
}

/** bpf_csum_diff(from, size, to, size, seed): the one's complement sum of what came in, less what went. */
export function checksumDifference(run: Execution): void {
  const fromSize = run.word(2);
  const toSize = run.word(4);
  if (fromSize % 4 !== 0 || toSize % 4 !== 0 || fromSize + toSize > 512) return run.result(errno.EINVAL);
  const from = run.bytes(1, fromSize, false);
  const to = run.bytes(3, toSize, false);
  let sum = run.word(5);
  const add = (bytes: Uint8Array, invert: boolean): void => {
    for (let at = 0; at < bytes.length; at += 4) {
      const word =
        (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
      sum += invert ? ~word >>> 0 : word;
      if (sum > 0xffffffff) sum = (sum % 2 ** 32) + 1;
    }
  };
  add(from, true);
  add(to, false);
  run.result(sum);
}
