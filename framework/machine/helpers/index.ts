import type { HelperName } from "../../isa/helpers.ts";
import type { HelperFunction } from "../engine.ts";
import * as circumstances from "./circumstances.ts";
import * as maps from "./maps.ts";
import { probeRead, probeReadText, probeWriteUser } from "./memory.ts";
import { perfOutput, ringGiveBack, ringOutput, ringQuery, ringReserve } from "./output.ts";
import * as packets from "./packets.ts";
import { snprintf, stringToNumber, strncmp, tracePrintk, traceVprintk } from "./text.ts";
import { timerCallback, timerCancel, timerInit, timerStart } from "./timers.ts";

/** Tail calls are an operation of engines: this stands in the table so that programs with one load. */
const tailCall: HelperFunction = (run) => {
  throw run.fault("helper", "a tail call was made as a plain call");
};

/** What the machine runs for each helper; it lacks those that are not here. */
export const implementations: { readonly [K in HelperName]?: HelperFunction } = {
  map_lookup_elem: maps.lookup,
  map_update_elem: maps.update,
  map_delete_elem: maps.remove,
  map_push_elem: maps.push,
  map_pop_elem: maps.take(false),
  map_peek_elem: maps.take(true),
  map_lookup_percpu_elem: maps.lookupPerCpu,
  for_each_map_elem: maps.forEach,
  loop: maps.loop,
  tail_call: tailCall,
  probe_read: probeRead("any"),
  probe_read_kernel: probeRead("kernel"),
  probe_read_user: probeRead("user"),
  copy_from_user: probeRead("user"),
  probe_read_str: probeReadText("any"),
  probe_read_kernel_str: probeReadText("kernel"),
  probe_read_user_str: probeReadText("user"),
  probe_write_user: probeWriteUser,
  ktime_get_ns: circumstances.monotonic,
  ktime_get_boot_ns: circumstances.monotonic,
  ktime_get_coarse_ns: circumstances.monotonic,
  ktime_get_tai_ns: circumstances.atomicTime,
  jiffies64: circumstances.jiffies,
  get_current_pid_tgid: circumstances.pidTgid,
  get_ns_current_pid_tgid: circumstances.namespacePidTgid,
  get_current_uid_gid: circumstances.uidGid,
  get_current_comm: circumstances.comm,
  get_smp_processor_id: circumstances.cpu,
  get_numa_node_id: circumstances.zero,
  get_prandom_u32: circumstances.random,
  get_current_task: circumstances.currentTask,
  get_current_task_btf: circumstances.currentTaskWithTypes,
  get_attach_cookie: circumstances.zero,
  task_storage_get: circumstances.taskStorage,
  task_storage_delete: circumstances.dropTaskStorage,
  get_stackid: circumstances.stackId,
  get_stack: circumstances.stack,
  // One program runs at a time, so locks are always free.
  spin_lock: circumstances.zero,
  spin_unlock: circumstances.zero,
  trace_printk: tracePrintk,
  trace_vprintk: traceVprintk,
  snprintf,
  strncmp,
  strtol: stringToNumber(true),
  strtoul: stringToNumber(false),
  perf_event_output: perfOutput,
  skb_output: perfOutput,
  xdp_output: perfOutput,
  ringbuf_output: ringOutput,
  ringbuf_reserve: ringReserve,
  ringbuf_submit: ringGiveBack(false),
  ringbuf_discard: ringGiveBack(true),
  ringbuf_query: ringQuery,
  skb_load_bytes: packets.loadBytes,
  skb_load_bytes_relative: packets.loadBytesRelative,
  skb_store_bytes: packets.storeBytes,
  skb_pull_data: packets.pullData,
  xdp_load_bytes: packets.loadBytes,
  xdp_store_bytes: packets.storeBytes,
  xdp_get_buff_len: packets.packetLength,
  xdp_adjust_head: packets.adjust("head"),
  xdp_adjust_tail: packets.adjust("tail"),
  csum_diff: packets.checksumDifference,
  timer_init: timerInit,
  timer_set_callback: timerCallback,
  timer_start: timerStart,
  timer_cancel: timerCancel,
};
