import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";
import type { MachineMap } from "../maps/machine-map.ts";
import { PerfStore } from "../maps/perf.ts";
import { RingStore } from "../maps/ringbuf.ts";

/** BPF_F_CURRENT_CPU, which is also the mask of the CPU's number. */
const CURRENT_CPU = 0xffffffff;

/** bpf_perf_event_output(context, map, flags, data, size); for packets, the upper flags add that many of their bytes. */
export function perfOutput(run: Execution): void {
  const map = run.map(2);
  const { store } = map;
  if (!(store instanceof PerfStore))
    throw run.fault("helper", `table "${map.spec.name}" is no perf event array`);
  const flags = run.number(3);
  const wanted = flags % 2 ** 32;
  const packetBytes = Math.floor(flags / 2 ** 32);
  const data = run.bytes(4, run.word(5), false);
  const { cpu } = run.happening;
  const { packet } = run;
  if (packetBytes > 0 && (packet === null || packetBytes > packet.length - packet.start)) {
    return run.result(packet === null ? errno.EINVAL : errno.EFAULT);
  }
  const target = wanted === CURRENT_CPU ? cpu : wanted;
  if (target !== cpu && target < run.cpuCount) return run.result(errno.EOPNOTSUPP);
  if (packetBytes === 0 || packet === null) return run.result(store.output(target, data));
  const whole = new Uint8Array(data.length + packetBytes);
  whole.set(data);
  whole.set(packet.bytes.subarray(packet.start, packet.start + packetBytes), data.length);
  run.result(store.output(target, whole));
}

function ringAt(run: Execution): RingStore {
  const map: MachineMap = run.map(1);
  if (map.store instanceof RingStore) return map.store;
  throw run.fault("helper", `table "${map.spec.name}" is no ring buffer`);
}

/** bpf_ringbuf_output(ring, data, size, flags) */
export function ringOutput(run: Execution): void {
  const ring = ringAt(run);
  if (!isWakeUp(run.number(4))) return run.result(errno.EINVAL);
  run.result(ring.output(run.bytes(2, run.number(3), false)));
}

/** bpf_ringbuf_reserve(ring, size, flags) */
export function ringReserve(run: Execution): void {
  const ring = ringAt(run);
  if (run.number(3) !== 0) return run.result(0);
  ring.reserve(run, run.number(2));
}

/** bpf_ringbuf_submit(record, flags), bpf_ringbuf_discard(record, flags) */
export function ringGiveBack(discard: boolean): (run: Execution) => void {
  return (run) => run.giveBack(discard);
}

/** bpf_ringbuf_query(ring, what) */
export function ringQuery(run: Execution): void {
  run.result(ringAt(run).query(run.number(2)));
}

/** BPF_RB_NO_WAKEUP and BPF_RB_FORCE_WAKEUP: the machine wakes readers in any case. */
function isWakeUp(flags: number): boolean {
  return flags >= 0 && flags <= 3;
}
