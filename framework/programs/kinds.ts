import { type AttachTypeName, attachTypes } from "./attach-types.ts";
import type { AttachTarget, Hook } from "./targets.ts";

/** What one kind of BPF program is. */
export interface ProgramKind {
  /** Number in `enum bpf_prog_type`. */
  readonly type: number;
  /** Number in `enum bpf_attach_type` that loading must state; 0 where the kernel ignores it. */
  readonly attachType: number;
  /**
   * ELF section names of this kind, as libbpf spells them. One that ends in "/" takes the target behind it; one that
   * ends in "+" takes it optionally.
   */
  readonly sections: readonly string[];
  /** BCC's function-name prefix that attaches by itself, or null. */
  readonly prefix: string | null;
  /** How it attaches, or null when no attacher knows it. */
  readonly hook: Hook | null;
  /** What in the kernel's types the program is loaded for; null for kinds that BTF does not bind. */
  readonly btfTarget: "function" | "tracepoint" | "lsm" | "iterator" | null;
  /** The C type of the context. */
  readonly context: string;
  /** First mainline kernel that has it. */
  readonly since: `${number}.${number}`;
}

const none = { attachType: 0, sections: [], prefix: null, hook: null, btfTarget: null } as const;
const words = "unsigned long long";

/** The columns of kinds that attach to a cgroup, a socket map or a network namespace. */
const place = (name: AttachTypeName) =>
  ({ ...none, hook: "place", attachType: attachTypes[name].type }) as const;
const socketAddress = { type: 18, context: "struct bpf_sock_addr", since: "4.17" } as const;

/** Numbers as in include/uapi/linux/bpf.h; section names as in libbpf's documentation of program types. */
// biome-ignore format: a table reads best with one row per line
export const programKinds = {
  socket_filter: { ...none, type: 1, sections: ["socket+"], hook: "socket_filter", context: "struct __sk_buff", since: "3.19" },
  kprobe: { ...none, type: 2, sections: ["kprobe+", "ksyscall+"], prefix: "kprobe__", hook: "kprobe", context: "struct pt_regs", since: "4.1" },
  kretprobe: { ...none, type: 2, sections: ["kretprobe+", "kretsyscall+"], prefix: "kretprobe__", hook: "kprobe", context: "struct pt_regs", since: "4.1" },
  kprobe_multi: { ...none, type: 2, attachType: 42, sections: ["kprobe.multi+"], hook: "kprobe_multi", context: "struct pt_regs", since: "5.18" },
  kretprobe_multi: { ...none, type: 2, attachType: 42, sections: ["kretprobe.multi+"], hook: "kprobe_multi", context: "struct pt_regs", since: "5.18" },
  uprobe: { ...none, type: 2, sections: ["uprobe+", "uretprobe+", "uprobe.s+", "uretprobe.s+", "usdt+"], hook: "uprobe", context: "struct pt_regs", since: "4.3" },
  uprobe_multi: { ...none, type: 2, attachType: 48, sections: ["uprobe.multi+", "uretprobe.multi+"], hook: "uprobe", context: "struct pt_regs", since: "6.6" },
  sched_cls: { ...none, type: 3, sections: ["tc", "classifier", "tc/ingress", "tc/egress", "tcx/ingress", "tcx/egress"], hook: "tc", context: "struct __sk_buff", since: "4.1" },
  sched_act: { ...none, type: 4, sections: ["action"], context: "struct __sk_buff", since: "4.1" },
  tracepoint: { ...none, type: 5, sections: ["tracepoint+", "tp+"], prefix: "tracepoint__", hook: "tracepoint", context: "void", since: "4.7" },
  xdp: { ...none, type: 6, attachType: 37, sections: ["xdp", "xdp.frags"], hook: "xdp", context: "struct xdp_md", since: "4.8" },
  perf_event: { ...none, type: 7, sections: ["perf_event"], hook: "perf_event", context: "struct bpf_perf_event_data", since: "4.9" },
  cgroup_skb: { ...none, type: 8, sections: ["cgroup/skb"], hook: "place", context: "struct __sk_buff", since: "4.10" },
  cgroup_inet_ingress: { ...place("cgroup_inet_ingress"), type: 8, sections: ["cgroup_skb/ingress"], context: "struct __sk_buff", since: "4.10" },
  cgroup_inet_egress: { ...place("cgroup_inet_egress"), type: 8, sections: ["cgroup_skb/egress"], context: "struct __sk_buff", since: "4.10" },
  cgroup_sock: { ...place("cgroup_inet_sock_create"), type: 9, sections: ["cgroup/sock", "cgroup/sock_create"], context: "struct bpf_sock", since: "4.10" },
  cgroup_inet_sock_release: { ...place("cgroup_inet_sock_release"), type: 9, sections: ["cgroup/sock_release"], context: "struct bpf_sock", since: "5.9" },
  cgroup_inet4_post_bind: { ...place("cgroup_inet4_post_bind"), type: 9, sections: ["cgroup/post_bind4"], context: "struct bpf_sock", since: "4.17" },
  cgroup_inet6_post_bind: { ...place("cgroup_inet6_post_bind"), type: 9, sections: ["cgroup/post_bind6"], context: "struct bpf_sock", since: "4.17" },
  lwt_in: { ...none, type: 10, sections: ["lwt_in"], context: "struct __sk_buff", since: "4.10" },
  lwt_out: { ...none, type: 11, sections: ["lwt_out"], context: "struct __sk_buff", since: "4.10" },
  lwt_xmit: { ...none, type: 12, sections: ["lwt_xmit"], context: "struct __sk_buff", since: "4.10" },
  sock_ops: { ...place("cgroup_sock_ops"), type: 13, sections: ["sockops"], context: "struct bpf_sock_ops", since: "4.13" },
  sk_skb: { ...none, type: 14, sections: ["sk_skb"], hook: "place", context: "struct __sk_buff", since: "4.14" },
  sk_skb_stream_parser: { ...place("sk_skb_stream_parser"), type: 14, sections: ["sk_skb/stream_parser"], context: "struct __sk_buff", since: "4.14" },
  sk_skb_stream_verdict: { ...place("sk_skb_stream_verdict"), type: 14, sections: ["sk_skb/stream_verdict"], context: "struct __sk_buff", since: "4.14" },
  sk_skb_verdict: { ...place("sk_skb_verdict"), type: 14, sections: ["sk_skb/verdict"], context: "struct __sk_buff", since: "5.13" },
  cgroup_device: { ...place("cgroup_device"), type: 15, sections: ["cgroup/dev"], context: "struct bpf_cgroup_dev_ctx", since: "4.15" },
  sk_msg: { ...place("sk_msg_verdict"), type: 16, sections: ["sk_msg"], context: "struct sk_msg_md", since: "4.17" },
  raw_tracepoint: { ...none, type: 17, sections: ["raw_tp+", "raw_tracepoint+"], prefix: "raw_tracepoint__", hook: "raw_tracepoint", context: "struct bpf_raw_tracepoint_args", since: "4.17" },
  cgroup_inet4_connect: { ...place("cgroup_inet4_connect"), ...socketAddress, sections: ["cgroup/connect4"] },
  cgroup_inet6_connect: { ...place("cgroup_inet6_connect"), ...socketAddress, sections: ["cgroup/connect6"] },
  cgroup_inet4_bind: { ...place("cgroup_inet4_bind"), ...socketAddress, sections: ["cgroup/bind4"] },
  cgroup_inet6_bind: { ...place("cgroup_inet6_bind"), ...socketAddress, sections: ["cgroup/bind6"] },
  cgroup_udp4_sendmsg: { ...place("cgroup_udp4_sendmsg"), ...socketAddress, sections: ["cgroup/sendmsg4"], since: "4.18" },
  cgroup_udp6_sendmsg: { ...place("cgroup_udp6_sendmsg"), ...socketAddress, sections: ["cgroup/sendmsg6"], since: "4.18" },
  cgroup_udp4_recvmsg: { ...place("cgroup_udp4_recvmsg"), ...socketAddress, sections: ["cgroup/recvmsg4"], since: "5.2" },
  cgroup_udp6_recvmsg: { ...place("cgroup_udp6_recvmsg"), ...socketAddress, sections: ["cgroup/recvmsg6"], since: "5.2" },
  cgroup_inet4_getpeername: { ...place("cgroup_inet4_getpeername"), ...socketAddress, sections: ["cgroup/getpeername4"], since: "5.8" },
  cgroup_inet6_getpeername: { ...place("cgroup_inet6_getpeername"), ...socketAddress, sections: ["cgroup/getpeername6"], since: "5.8" },
  cgroup_inet4_getsockname: { ...place("cgroup_inet4_getsockname"), ...socketAddress, sections: ["cgroup/getsockname4"], since: "5.8" },
  cgroup_inet6_getsockname: { ...place("cgroup_inet6_getsockname"), ...socketAddress, sections: ["cgroup/getsockname6"], since: "5.8" },
  cgroup_unix_connect: { ...place("cgroup_unix_connect"), ...socketAddress, sections: ["cgroup/connect_unix"], since: "6.7" },
  cgroup_unix_sendmsg: { ...place("cgroup_unix_sendmsg"), ...socketAddress, sections: ["cgroup/sendmsg_unix"], since: "6.7" },
  cgroup_unix_recvmsg: { ...place("cgroup_unix_recvmsg"), ...socketAddress, sections: ["cgroup/recvmsg_unix"], since: "6.7" },
  cgroup_unix_getpeername: { ...place("cgroup_unix_getpeername"), ...socketAddress, sections: ["cgroup/getpeername_unix"], since: "6.7" },
  cgroup_unix_getsockname: { ...place("cgroup_unix_getsockname"), ...socketAddress, sections: ["cgroup/getsockname_unix"], since: "6.7" },
  lwt_seg6local: { ...none, type: 19, sections: ["lwt_seg6local"], context: "struct __sk_buff", since: "4.18" },
  sk_reuseport: { ...none, type: 21, attachType: attachTypes.sk_reuseport_select.type, sections: ["sk_reuseport"], hook: "socket", context: "struct sk_reuseport_md", since: "4.19" },
  sk_reuseport_migrate: { ...none, type: 21, attachType: attachTypes.sk_reuseport_select_or_migrate.type, sections: ["sk_reuseport/migrate"], hook: "socket", context: "struct sk_reuseport_md", since: "5.14" },
  flow_dissector: { ...place("flow_dissector"), type: 22, sections: ["flow_dissector"], context: "struct __sk_buff", since: "4.20" },
  cgroup_sysctl: { ...place("cgroup_sysctl"), type: 23, sections: ["cgroup/sysctl"], context: "struct bpf_sysctl", since: "5.2" },
  raw_tracepoint_writable: { ...none, type: 24, sections: ["raw_tp.w+", "raw_tracepoint.w+"], hook: "raw_tracepoint", context: "struct bpf_raw_tracepoint_args", since: "5.2" },
  fentry: { ...none, type: 26, attachType: 24, sections: ["fentry+", "fentry.s+"], prefix: "kfunc__", hook: "btf", btfTarget: "function", context: words, since: "5.5" },
  fexit: { ...none, type: 26, attachType: 25, sections: ["fexit+", "fexit.s+"], prefix: "kretfunc__", hook: "btf", btfTarget: "function", context: words, since: "5.5" },
  fmod_ret: { ...none, type: 26, attachType: 26, sections: ["fmod_ret+", "fmod_ret.s+"], prefix: "kmod_ret__", hook: "btf", btfTarget: "function", context: words, since: "5.7" },
  tp_btf: { ...none, type: 26, attachType: 23, sections: ["tp_btf+"], hook: "btf", btfTarget: "tracepoint", context: words, since: "5.5" },
  iter: { ...none, type: 26, attachType: 28, sections: ["iter+", "iter.s+"], prefix: "bpf_iter__", hook: "iter", btfTarget: "iterator", context: words, since: "5.8" },
  lsm: { ...none, type: 29, attachType: 27, sections: ["lsm+", "lsm.s+"], prefix: "lsm__", hook: "btf", btfTarget: "lsm", context: words, since: "5.7" },
  lsm_cgroup: { ...place("lsm_cgroup"), type: 29, sections: ["lsm_cgroup+"], btfTarget: "lsm", context: words, since: "6.0" },
  cgroup_getsockopt: { ...place("cgroup_getsockopt"), type: 25, sections: ["cgroup/getsockopt"], context: "struct bpf_sockopt", since: "5.3" },
  cgroup_setsockopt: { ...place("cgroup_setsockopt"), type: 25, sections: ["cgroup/setsockopt"], context: "struct bpf_sockopt", since: "5.3" },
  sk_lookup: { ...place("sk_lookup"), type: 30, sections: ["sk_lookup"], context: "struct bpf_sk_lookup", since: "5.9" },
} as const satisfies Record<string, ProgramKind>;

export type ProgramKindName = keyof typeof programKinds;

/** Kind names in table order. */
export const programKindNames = Object.keys(programKinds) as ProgramKindName[];

/** What a section name or a function name says about a program. */
export interface ProgramRole {
  readonly kind: ProgramKindName;
  /** Where it attaches by itself, when the name says so. */
  readonly target: AttachTarget | null;
}

/**
 * The role a libbpf section name gives, for instance "tracepoint/sched/sched_switch" or "xdp". A number at the end
 * ("socket1") is ignored, as older loaders did, and so is a question mark at the start. Null for a name no kind has.
 */
export function roleOfSection(section: string): ProgramRole | null {
  if (isOptionalSection(section)) return roleOfSection(section.slice(1));
  for (const kind of programKindNames) {
    for (const pattern of programKinds[kind].sections) {
      const rest = matchSection(section, pattern);
      if (rest === null) continue;
      // "ksyscall/openat" names the call, whose function's name the kernel decides.
      const isCall = rest !== "" && /^k(?:ret)?syscall/.test(pattern);
      return { kind, target: targetOf(kind, isCall ? `sys_${rest}` : rest) };
    }
  }
  const unnumbered = section.replace(/\d+$/, "");
  return unnumbered === section || unnumbered === "" ? null : roleOfSection(unnumbered);
}

/** Whether a section says, with a question mark, that its program is neither loaded nor attached by itself. */
export function isOptionalSection(section: string): boolean {
  return section.startsWith("?");
}

/** Whether a section says that its program may sleep: "fentry.s/…", "lsm.s/…", "iter.s/…". */
export function isSleepableSection(section: string): boolean {
  return /^\??\w+\.s(?:\/|$)/.test(section);
}

/** What stands behind the slash ("" without one), or null when the section is not of this pattern. */
function matchSection(section: string, pattern: string): string | null {
  const last = pattern.at(-1);
  if (last !== "+" && last !== "/") return section === pattern ? "" : null;
  const base = pattern.slice(0, -1);
  if (section === base) return last === "/" ? null : "";
  return section.startsWith(`${base}/`) ? section.slice(base.length + 1) : null;
}

/**
 * The role BCC's function-name prefix gives, for instance "kprobe__do_nanosleep" or
 * "tracepoint__syscalls__sys_enter_openat". Null without one.
 */
export function roleOfFunction(name: string): ProgramRole | null {
  for (const kind of programKindNames) {
    const { prefix } = programKinds[kind];
    if (prefix === null || !name.startsWith(prefix) || name.length === prefix.length) continue;
    const rest = name.slice(prefix.length);
    // "kfunc__vmlinux__f" names a module as "tracepoint__category__event" does a category.
    const hasGroup = kind === "tracepoint" || kind === "fentry" || kind === "fexit";
    return { kind, target: targetOf(kind, hasGroup ? rest.replace("__", "/") : rest) };
  }
  return null;
}

/**
 * What a word for a kind of program means: a name of the table ("sched_cls", in any case), the beginning of one of BCC's
 * function names ("kfunc"), or a section as libbpf has it, with or without a target ("tc", "fentry/vfs_read"). Null for
 * other words.
 */
export function roleNamed(word: string): ProgramRole | null {
  const lower = word.toLowerCase();
  const kind = programKindNames.find((name) => name === lower || programKinds[name].prefix === `${lower}__`);
  return kind === undefined ? roleOfSection(word) : { kind, target: null };
}

/** The section that libbpf takes for a role, for instance "tracepoint/sched/sched_switch"; null where it knows none. */
export function sectionOfRole({ kind, target }: ProgramRole): string | null {
  const [pattern] = programKinds[kind].sections as readonly string[];
  if (pattern === undefined) return null;
  const base = pattern.replace(/[+/]$/, "");
  switch (target?.hook) {
    case "kprobe": {
      const call = target.symbol.startsWith("sys_") ? target.symbol.slice("sys_".length) : null;
      if (call !== null) return `${kind === "kretprobe" ? "kretsyscall" : "ksyscall"}/${call}`;
      return `${base}/${target.symbol}${target.offset === 0 ? "" : `+${target.offset}`}`;
    }
    case "tracepoint":
      return `${base}/${target.category}/${target.name}`;
    case "raw_tracepoint":
    case "btf":
      return `${base}/${target.name}`;
    default:
      return base;
  }
}

function targetOf(kind: ProgramKindName, rest: string): AttachTarget | null {
  if (rest === "") return null;
  switch (programKinds[kind].hook) {
    case "kprobe": {
      const [symbol = "", offset = "0"] = rest.split("+");
      return { hook: "kprobe", symbol, offset: Number(offset), atReturn: kind === "kretprobe", maxActive: 0 };
    }
    case "kprobe_multi":
      return { hook: "kprobe_multi", pattern: rest, symbols: [], atReturn: kind === "kretprobe_multi" };
    case "tracepoint": {
      const [category = "", name = ""] = rest.split("/");
      return { hook: "tracepoint", category, name };
    }
    case "raw_tracepoint":
      return { hook: "raw_tracepoint", name: rest };
    // Of what attaches to places only LSM programs have a target besides: the hook that they are loaded for.
    case "place":
    case "btf": {
      const [module = "", name] = rest.split(/[/:]/);
      return name === undefined
        ? { hook: "btf", name: rest, module: "vmlinux" }
        : { hook: "btf", name, module };
    }
    case "iter":
      return { hook: "iter", name: rest, map: "", pid: 0, tid: 0 };
    default:
      return null;
  }
}
