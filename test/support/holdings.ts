import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { bpfReply, errnoOf } from "../../framework/sys/bpf.ts";
import { findTracefs } from "../../framework/sys/tracefs.ts";
import { getNextId } from "../../framework/uapi/bpf-attr.ts";
import { eventually } from "./events.ts";

/** What a process holds of the kernel. */
export interface Holdings {
  /** What its descriptors are, sorted: paths, and "anon_inode:bpf-map" and the like. */
  readonly descriptors: readonly string[];
  /** Ids of BPF objects that its descriptors refer to. */
  readonly programs: readonly number[];
  readonly maps: readonly number[];
  readonly links: readonly number[];
  /** Lines of tracefs' kprobe_events that carry its process id. */
  readonly probes: readonly string[];
}

/** What a process holds now; this one by default. */
export function holdings(pid: number = process.pid): Holdings {
  const infos = numbersOf(pid).map((fd) =>
    readOr("", () => readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1")),
  );
  const ids = (field: string): readonly number[] =>
    infos.flatMap((info) => {
      const id = new RegExp(`^${field}:\\s*(\\d+)$`, "m").exec(info)?.[1];
      return id === undefined ? [] : [Number(id)];
    });
  return {
    descriptors: numbersOf(pid)
      .map((fd) => readOr("", () => readlinkSync(`/proc/${pid}/fd/${fd}`)))
      .filter((name) => name !== "")
      .map((name) => name.replace(/:\[\d+\]$/, ""))
      .sort(),
    programs: ids("prog_id"),
    maps: ids("map_id"),
    links: ids("link_id"),
    probes: probesOf(pid),
  };
}

/** Fails unless the kernel frees the BPF objects of `held`, except those of `kept`, a little after their last use. */
export async function expectFreed(held: Holdings, kept?: Holdings): Promise<void> {
  for (const kind of ["links", "programs", "maps"] as const) {
    const wanted = held[kind].filter((id) => kept === undefined || !kept[kind].includes(id));
    await eventually(`the kernel to free the ${kind} ${wanted.join(", ")}`, () => {
      const present = kernelIds(kind);
      return !wanted.some((id) => present.includes(id));
    });
  }
}

const LISTINGS = {
  programs: "BPF_PROG_GET_NEXT_ID",
  maps: "BPF_MAP_GET_NEXT_ID",
  links: "BPF_LINK_GET_NEXT_ID",
} as const;

/** Ids of all programs, maps or links that the kernel has now, whoever they belong to. */
export function kernelIds(kind: keyof typeof LISTINGS): readonly number[] {
  const ids: number[] = [];
  for (let id = 0; ; ) {
    try {
      id = bpfReply(LISTINGS[kind], getNextId, { start_id: id }).attr.next_id;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return ids;
      throw error;
    }
    ids.push(id);
  }
}

/** Lines of kprobe_events for probes that a process made; none where the kernel has no such file. */
export function probesOf(pid: number): readonly string[] {
  const root = findTracefs();
  if (root === undefined) return [];
  const text = readOr("", () => readFileSync(join(root, "kprobe_events"), "latin1"));
  return text.split("\n").filter((line) => line.includes(`:rxbpf_${pid}/`));
}

function numbersOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`);
}

/** A descriptor may be closed between listing and reading. */
function readOr<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
