import type { AttachTypeName } from "./attach-types.ts";
import { describePerfEvent, type PerfEventAttr } from "./perf-event-attr.ts";

/** A place where a program can run. Plain data; a runtime turns it into a link. */
export type AttachTarget =
  | {
      readonly hook: "kprobe";
      /** The kernel function. */
      readonly symbol: string;
      /** Bytes into the function; only 0 at return. */
      readonly offset: number;
      readonly atReturn: boolean;
      /** Most instances of a return probe at one time; 0 lets the kernel choose. Needs tracefs and 4.12. */
      readonly maxActive: number;
    }
  | {
      readonly hook: "kprobe_multi";
      /** What was asked for: a regular expression or a pattern with stars. */
      readonly pattern: string;
      /** The kernel functions; none when only the pattern is known yet. */
      readonly symbols: readonly string[];
      readonly atReturn: boolean;
    }
  | {
      readonly hook: "uprobe";
      /** A program or library, as this process opens it. */
      readonly path: string;
      /** What messages call the places: a function, "malloc+0x4", "/regular expression/", or a USDT probe. */
      readonly name: string;
      readonly places: readonly UprobePlace[];
      /** When the function returns, in place of when it is entered. */
      readonly atReturn: boolean;
      /** Only while this process runs it; -1 for all processes. */
      readonly pid: number;
    }
  | { readonly hook: "tracepoint"; readonly category: string; readonly name: string }
  | { readonly hook: "raw_tracepoint"; readonly name: string }
  | {
      readonly hook: "btf";
      /** A kernel function, tracepoint or LSM hook: the program's kind says which. */
      readonly name: string;
      /** Whose types describe it: "vmlinux", or a kernel module. */
      readonly module: string;
    }
  | {
      readonly hook: "iter";
      /** What the kernel walks over: "task", "bpf_map_elem". */
      readonly name: string;
      /** The table whose entries it walks over, for iterators that need one; else "". */
      readonly map: string;
      /** Only this process's threads, and only this thread, for iterators over tasks; 0 for all. */
      readonly pid: number;
      readonly tid: number;
    }
  | {
      readonly hook: "xdp";
      readonly device: string;
      /** XDP_FLAGS_* of linux/if_link.h. */
      readonly flags: number;
      /** Through a link, which dies with the process, or netlink, which does not. Links where there are any by default. */
      readonly through?: "link" | "netlink" | undefined;
      /** With XDP_FLAGS_REPLACE: the descriptor of the program that is there now. */
      readonly expected?: number | undefined;
    }
  | {
      readonly hook: "tc";
      readonly device: string;
      readonly direction: "ingress" | "egress";
      /** Lower runs first; 0 runs last. */
      readonly priority: number;
      /** As for XDP. */
      readonly through?: "link" | "netlink" | undefined;
    }
  | {
      readonly hook: "place";
      /** A descriptor of the cgroup, socket map or network namespace, only used while attaching. */
      readonly fd: number;
      /** What it is, as messages name it: a path, or a table. One name is one place. */
      readonly place: string;
      readonly attachType: AttachTypeName;
      /** BPF_F_ALLOW_OVERRIDE and BPF_F_ALLOW_MULTI, for cgroups. */
      readonly flags: number;
    }
  | {
      readonly hook: "socket";
      /** A user's own socket. */
      readonly fd: number;
      /** Which socket it is, as messages name it. */
      readonly place: string;
    }
  | {
      readonly hook: "perf_event";
      readonly attr: PerfEventAttr;
      /** Of this process and its later children; -1 for all. */
      readonly pid: number;
      /** On this CPU; -1 for all. */
      readonly cpu: number;
      /** The leader of the event's group; -1 for none. */
      readonly groupFd: number;
    }
  | {
      readonly hook: "socket_filter";
      /** The device to receive from; "" receives from all. */
      readonly device: string;
    };

/** One instruction of a program or library. */
export interface UprobePlace {
  /** Where it is in the file. */
  readonly offset: number;
  /** Where in the file a 16-bit counter is that the kernel raises while the probe is there; 0 for none. Since Linux 4.20. */
  readonly refCounter: number;
  /** What `bpf_get_attach_cookie` gives there; 0 by itself. Since Linux 5.15. */
  readonly cookie: bigint;
}

export type Hook = AttachTarget["hook"];

/** A target as messages name it: "kprobe do_sys_open+0x8", "tracepoint sched:sched_switch". */
export function describeTarget(target: AttachTarget): string {
  switch (target.hook) {
    case "kprobe": {
      const offset = target.offset === 0 ? "" : `+0x${target.offset.toString(16)}`;
      return `${target.atReturn ? "kretprobe" : "kprobe"} ${target.symbol}${offset}`;
    }
    case "kprobe_multi":
      return `${target.atReturn ? "kretprobes" : "kprobes"} ${target.pattern}`;
    case "uprobe": {
      const process = target.pid < 0 ? "" : ` of process ${target.pid}`;
      return `${target.atReturn ? "uretprobe" : "uprobe"} ${target.path}:${target.name}${process}`;
    }
    case "tracepoint":
      return `tracepoint ${target.category}:${target.name}`;
    case "raw_tracepoint":
      return `raw tracepoint ${target.name}`;
    case "btf":
      return target.module === "vmlinux" ? target.name : `${target.module}:${target.name}`;
    case "iter":
      return `iterator ${target.name}${narrowed(target)}`;
    case "xdp":
      return `XDP on ${target.device}`;
    case "tc":
      return `tc ${target.direction} of ${target.device}`;
    case "place":
      return `${target.attachType} of ${target.place}`;
    case "socket":
      return target.place;
    case "perf_event": {
      const process = target.pid < 0 ? "" : ` of process ${target.pid}`;
      return `${describePerfEvent(target.attr)}${process}${target.cpu < 0 ? "" : ` on CPU ${target.cpu}`}`;
    }
    case "socket_filter":
      return target.device === "" ? "a raw socket on all devices" : `a raw socket on ${target.device}`;
  }
}

/** The same for targets that are the same place, however they were named. */
export function targetKey(target: AttachTarget): string {
  if (target.hook !== "uprobe") return describeTarget(target);
  const { path, atReturn, pid, places } = target;
  return JSON.stringify([path, atReturn, pid, places.map(({ offset }) => offset)]);
}

function narrowed({ map, pid, tid }: AttachTarget & { readonly hook: "iter" }): string {
  if (map !== "") return ` over table ${map}`;
  if (tid !== 0) return ` over thread ${tid}`;
  return pid === 0 ? "" : ` over process ${pid}`;
}

/** A tracepoint's category and name. */
export interface TracepointPlace {
  readonly category: string;
  readonly name: string;
}

/**
 * Where BCC's "category__event" is cut: at the first double underscore behind which there is such a tracepoint, since
 * both may hold some themselves. As given when there is none.
 */
export function placeTracepoint<P extends TracepointPlace>(
  place: P,
  exists: (category: string, name: string) => boolean,
): P {
  if (exists(place.category, place.name)) return place;
  const words = `${place.category}__${place.name}`;
  for (let at = words.indexOf("__"); at >= 0; at = words.indexOf("__", at + 1)) {
    const [category, name] = [words.slice(0, at), words.slice(at + 2)];
    if (exists(category, name)) return { ...place, category, name };
  }
  return place;
}
