import { UsageError } from "../core/errors.ts";
import { type ProgramKindName, programKindNames, programKinds } from "../programs/kinds.ts";

/** `enum bpf_prog_type`, by the names that BCC has for it. */
export class BPFProgType {
  static readonly SOCKET_FILTER = 1;
  static readonly KPROBE = 2;
  static readonly SCHED_CLS = 3;
  static readonly SCHED_ACT = 4;
  static readonly TRACEPOINT = 5;
  static readonly XDP = 6;
  static readonly PERF_EVENT = 7;
  static readonly CGROUP_SKB = 8;
  static readonly CGROUP_SOCK = 9;
  static readonly LWT_IN = 10;
  static readonly LWT_OUT = 11;
  static readonly LWT_XMIT = 12;
  static readonly SOCK_OPS = 13;
  static readonly SK_SKB = 14;
  static readonly CGROUP_DEVICE = 15;
  static readonly SK_MSG = 16;
  static readonly RAW_TRACEPOINT = 17;
  static readonly CGROUP_SOCK_ADDR = 18;
  static readonly SK_REUSEPORT = 21;
  static readonly FLOW_DISSECTOR = 22;
  static readonly CGROUP_SYSCTL = 23;
  static readonly CGROUP_SOCKOPT = 25;
  static readonly TRACING = 26;
  static readonly LSM = 29;
  static readonly SK_LOOKUP = 30;
}

/** `enum xdp_action`: what XDP programs return. */
export class XDPAction {
  static readonly XDP_ABORTED = 0;
  static readonly XDP_DROP = 1;
  static readonly XDP_PASS = 2;
  static readonly XDP_TX = 3;
  static readonly XDP_REDIRECT = 4;
}

/** `XDP_FLAGS_*` (linux/if_link.h): what `attach_xdp` and `remove_xdp` take. */
export class XDPFlags {
  static readonly UPDATE_IF_NOEXIST = 1 << 0;
  static readonly SKB_MODE = 1 << 1;
  static readonly DRV_MODE = 1 << 2;
  static readonly HW_MODE = 1 << 3;
  static readonly REPLACE = 1 << 4;
}

/** The constants that BCC's users write as `BPF.NAME`: program types, and what XDP programs return and take. */
export class BpfConstants {
  static readonly SOCKET_FILTER = BPFProgType.SOCKET_FILTER;
  static readonly KPROBE = BPFProgType.KPROBE;
  static readonly SCHED_CLS = BPFProgType.SCHED_CLS;
  static readonly SCHED_ACT = BPFProgType.SCHED_ACT;
  static readonly TRACEPOINT = BPFProgType.TRACEPOINT;
  static readonly XDP = BPFProgType.XDP;
  static readonly PERF_EVENT = BPFProgType.PERF_EVENT;
  static readonly CGROUP_SKB = BPFProgType.CGROUP_SKB;
  static readonly CGROUP_SOCK = BPFProgType.CGROUP_SOCK;
  static readonly LWT_IN = BPFProgType.LWT_IN;
  static readonly LWT_OUT = BPFProgType.LWT_OUT;
  static readonly LWT_XMIT = BPFProgType.LWT_XMIT;
  static readonly SOCK_OPS = BPFProgType.SOCK_OPS;
  static readonly SK_SKB = BPFProgType.SK_SKB;
  static readonly CGROUP_DEVICE = BPFProgType.CGROUP_DEVICE;
  static readonly SK_MSG = BPFProgType.SK_MSG;
  static readonly RAW_TRACEPOINT = BPFProgType.RAW_TRACEPOINT;
  static readonly CGROUP_SOCK_ADDR = BPFProgType.CGROUP_SOCK_ADDR;
  static readonly SK_REUSEPORT = BPFProgType.SK_REUSEPORT;
  static readonly FLOW_DISSECTOR = BPFProgType.FLOW_DISSECTOR;
  static readonly CGROUP_SYSCTL = BPFProgType.CGROUP_SYSCTL;
  static readonly CGROUP_SOCKOPT = BPFProgType.CGROUP_SOCKOPT;
  static readonly TRACING = BPFProgType.TRACING;
  static readonly LSM = BPFProgType.LSM;
  static readonly SK_LOOKUP = BPFProgType.SK_LOOKUP;

  static readonly XDP_ABORTED = XDPAction.XDP_ABORTED;
  static readonly XDP_DROP = XDPAction.XDP_DROP;
  static readonly XDP_PASS = XDPAction.XDP_PASS;
  static readonly XDP_TX = XDPAction.XDP_TX;
  static readonly XDP_REDIRECT = XDPAction.XDP_REDIRECT;

  static readonly XDP_FLAGS_UPDATE_IF_NOEXIST = XDPFlags.UPDATE_IF_NOEXIST;
  static readonly XDP_FLAGS_SKB_MODE = XDPFlags.SKB_MODE;
  static readonly XDP_FLAGS_DRV_MODE = XDPFlags.DRV_MODE;
  static readonly XDP_FLAGS_HW_MODE = XDPFlags.HW_MODE;
  static readonly XDP_FLAGS_REPLACE = XDPFlags.REPLACE;
}

/**
 * The kind that a number in `enum bpf_prog_type` means. Several kinds share a number (kprobe, kretprobe and uprobe are
 * one to the kernel): an attach type tells them apart, else the kind that the source says, else the first stands for all.
 *
 * @throws UsageError for a number no kind has
 */
export function kindOfType(
  type: number,
  known: { readonly attachType?: number | undefined; readonly said?: ProgramKindName | null } = {},
): ProgramKindName {
  const { attachType, said } = known;
  const kinds = programKindNames.filter((name) => programKinds[name].type === type);
  const [first] = kinds;
  if (first === undefined) {
    throw new UsageError(`no program type ${type}`, {
      hint: "use BPF.KPROBE, BPF.RAW_TRACEPOINT, BPF.XDP, …",
    });
  }
  if (attachType === undefined) return kinds.find((name) => name === said) ?? first;
  const kind = kinds.find((name) => programKinds[name].attachType === attachType);
  if (kind !== undefined) return kind;
  throw new UsageError(`${first} programs have no attach type ${attachType}`, {
    hint: "use BPFAttachType.CGROUP_INET4_CONNECT, …",
  });
}

/** BCC's `debug` flag for printing what the compiler is given: the lowered C. */
export const DEBUG_PREPROCESSOR = 0x4;
