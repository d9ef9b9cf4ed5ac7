/** What one number of `enum bpf_attach_type` stands for. */
export interface AttachType {
  readonly type: number;
  /** What a program attaches to by a descriptor; null for types that only other interfaces attach. */
  readonly at: "cgroup" | "map" | "netns" | null;
  /** First mainline kernel whose links take it; null for those without a link. */
  readonly link: `${number}.${number}` | null;
}

const cgroup = { at: "cgroup", link: "5.7" } as const;
const elsewhere = { at: null, link: null } as const;

/** The enumeration of include/uapi/linux/bpf.h, names in lower case and without BPF_. */
// biome-ignore format: a table reads best with one row per line
export const attachTypes = {
  cgroup_inet_ingress: { ...cgroup, type: 0 },
  cgroup_inet_egress: { ...cgroup, type: 1 },
  cgroup_inet_sock_create: { ...cgroup, type: 2 },
  cgroup_sock_ops: { ...cgroup, type: 3 },
  sk_skb_stream_parser: { at: "map", link: null, type: 4 },
  sk_skb_stream_verdict: { at: "map", link: null, type: 5 },
  cgroup_device: { ...cgroup, type: 6 },
  sk_msg_verdict: { at: "map", link: null, type: 7 },
  cgroup_inet4_bind: { ...cgroup, type: 8 },
  cgroup_inet6_bind: { ...cgroup, type: 9 },
  cgroup_inet4_connect: { ...cgroup, type: 10 },
  cgroup_inet6_connect: { ...cgroup, type: 11 },
  cgroup_inet4_post_bind: { ...cgroup, type: 12 },
  cgroup_inet6_post_bind: { ...cgroup, type: 13 },
  cgroup_udp4_sendmsg: { ...cgroup, type: 14 },
  cgroup_udp6_sendmsg: { ...cgroup, type: 15 },
  lirc_mode2: { ...elsewhere, type: 16 },
  flow_dissector: { at: "netns", link: "5.8", type: 17 },
  cgroup_sysctl: { ...cgroup, type: 18 },
  cgroup_udp4_recvmsg: { ...cgroup, type: 19 },
  cgroup_udp6_recvmsg: { ...cgroup, type: 20 },
  cgroup_getsockopt: { ...cgroup, type: 21 },
  cgroup_setsockopt: { ...cgroup, type: 22 },
  trace_raw_tp: { ...elsewhere, type: 23 },
  trace_fentry: { ...elsewhere, type: 24 },
  trace_fexit: { ...elsewhere, type: 25 },
  modify_return: { ...elsewhere, type: 26 },
  lsm_mac: { ...elsewhere, type: 27 },
  trace_iter: { ...elsewhere, type: 28 },
  cgroup_inet4_getpeername: { ...cgroup, type: 29 },
  cgroup_inet6_getpeername: { ...cgroup, type: 30 },
  cgroup_inet4_getsockname: { ...cgroup, type: 31 },
  cgroup_inet6_getsockname: { ...cgroup, type: 32 },
  xdp_devmap: { ...elsewhere, type: 33 },
  cgroup_inet_sock_release: { ...cgroup, type: 34 },
  xdp_cpumap: { ...elsewhere, type: 35 },
  sk_lookup: { at: "netns", link: "5.9", type: 36 },
  xdp: { ...elsewhere, type: 37 },
  sk_skb_verdict: { at: "map", link: null, type: 38 },
  sk_reuseport_select: { ...elsewhere, type: 39 },
  sk_reuseport_select_or_migrate: { ...elsewhere, type: 40 },
  perf_event: { ...elsewhere, type: 41 },
  trace_kprobe_multi: { ...elsewhere, type: 42 },
  lsm_cgroup: { at: "cgroup", link: "6.0", type: 43 },
  struct_ops: { ...elsewhere, type: 44 },
  netfilter: { ...elsewhere, type: 45 },
  tcx_ingress: { ...elsewhere, type: 46 },
  tcx_egress: { ...elsewhere, type: 47 },
  trace_uprobe_multi: { ...elsewhere, type: 48 },
  cgroup_unix_connect: { ...cgroup, link: "6.7", type: 49 },
  cgroup_unix_sendmsg: { ...cgroup, link: "6.7", type: 50 },
  cgroup_unix_recvmsg: { ...cgroup, link: "6.7", type: 51 },
  cgroup_unix_getpeername: { ...cgroup, link: "6.7", type: 52 },
  cgroup_unix_getsockname: { ...cgroup, link: "6.7", type: 53 },
} as const satisfies Record<string, AttachType>;

export type AttachTypeName = keyof typeof attachTypes;

const byNumber = new Map<number, AttachTypeName>(
  (Object.entries(attachTypes) as [AttachTypeName, AttachType][]).map(([name, { type }]) => [type, name]),
);

/** The name of a number in `enum bpf_attach_type`, or undefined for one newer than this table. */
export function attachTypeOf(type: number): AttachTypeName | undefined {
  return byNumber.get(type);
}
