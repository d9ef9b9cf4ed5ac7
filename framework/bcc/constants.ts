import { UsageError } from "../core/errors.ts";
import { type ProgramKindName, programKindNames, programKinds } from "../programs/kinds.ts";

/** The constants that BCC's users write as `BPF.NAME`: program types, and what XDP programs return and take. */
export class BpfConstants {
  static readonly SOCKET_FILTER = programKinds.socket_filter.type;
  static readonly KPROBE = programKinds.kprobe.type;
  static readonly SCHED_CLS = programKinds.sched_cls.type;
  static readonly SCHED_ACT = programKinds.sched_act.type;
  static readonly TRACEPOINT = programKinds.tracepoint.type;
  static readonly XDP = programKinds.xdp.type;
  static readonly PERF_EVENT = programKinds.perf_event.type;
  static readonly CGROUP_SKB = programKinds.cgroup_skb.type;
  static readonly CGROUP_SOCK = programKinds.cgroup_sock.type;
  static readonly LWT_IN = programKinds.lwt_in.type;
  static readonly LWT_OUT = programKinds.lwt_out.type;
  static readonly LWT_XMIT = programKinds.lwt_xmit.type;
  static readonly SOCK_OPS = programKinds.sock_ops.type;
  static readonly SK_SKB = programKinds.sk_skb.type;
  static readonly CGROUP_DEVICE = programKinds.cgroup_device.type;
  static readonly SK_MSG = programKinds.sk_msg.type;
  static readonly RAW_TRACEPOINT = programKinds.raw_tracepoint.type;
  static readonly CGROUP_SOCK_ADDR = programKinds.cgroup_sock_addr.type;

  static readonly XDP_ABORTED = 0;
  static readonly XDP_DROP = 1;
  static readonly XDP_PASS = 2;
  static readonly XDP_TX = 3;
  static readonly XDP_REDIRECT = 4;

  static readonly XDP_FLAGS_UPDATE_IF_NOEXIST = 1 << 0;
  static readonly XDP_FLAGS_SKB_MODE = 1 << 1;
  static readonly XDP_FLAGS_DRV_MODE = 1 << 2;
  static readonly XDP_FLAGS_HW_MODE = 1 << 3;
  static readonly XDP_FLAGS_REPLACE = 1 << 4;
}

/**
 * The kind that a number in `enum bpf_prog_type` means. Several kinds share a number (kprobe, kretprobe and uprobe are
 * one to the kernel); the first stands for all.
 *
 * @throws UsageError for a number no kind has
 */
export function kindOfType(type: number): ProgramKindName {
  const kind = programKindNames.find((name) => programKinds[name].type === type);
  if (kind === undefined) {
    throw new UsageError(`no program type ${type}`, {
      hint: "use BPF.KPROBE, BPF.RAW_TRACEPOINT, BPF.XDP, …",
    });
  }
  return kind;
}

/** BCC's `debug` flag for printing what the compiler is given: the lowered C. */
export const DEBUG_PREPROCESSOR = 0x4;
