import { existsSync, readFileSync } from "node:fs";
import { mapKinds } from "../../maps/kinds.ts";
import { isAtLeast } from "../core/version.ts";
import { programKinds } from "../programs/kinds.ts";
import type { FeatureName, Support } from "../runtime/types.ts";
import { withArena } from "../sys/arena.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { kernelVersion } from "../sys/proc.ts";
import { findTracefs, hasKprobeEvents } from "../sys/tracefs.ts";
import {
  linkCreate,
  linkCreateUprobeMulti,
  mapCreate,
  progLoad,
  rawTracepointOpen,
} from "../uapi/bpf-attr.ts";
import { BPF_TRACE_UPROBE_MULTI, BPF_XDP } from "../uapi/constants.ts";
import { takesBatches } from "./maps.ts";

/** How one feature is found out. */
interface Feature {
  /** First mainline kernel that has it; a configuration may still leave it out. */
  readonly since: `${number}.${number}`;
  /** True or false is certain; an error means that the probe could not tell. */
  readonly probe: () => boolean;
}

/** Where the kernel describes its perf event sources. */
export const EVENT_SOURCES = "/sys/bus/event_source/devices";

/** A descriptor that is certainly not open: a command that the kernel knows answers EBADF to it. */
const NO_FD = -1;

const features: Readonly<Record<FeatureName, Feature>> = {
  kprobe: { since: "4.1", probe: () => existsSync(`${EVENT_SOURCES}/kprobe/type`) || hasKprobeEvents() },
  tracepoint: {
    since: "4.7",
    probe: () => existsSync(`${EVENT_SOURCES}/tracepoint/type`) || findTracefs() !== undefined,
  },
  uprobe: { since: "4.17", probe: () => existsSync(`${EVENT_SOURCES}/uprobe/type`) },
  uprobe_multi: { since: "6.6", probe: manyUprobes },
  raw_tracepoint: {
    since: "4.17",
    probe: () =>
      knows(() =>
        withArena((arena) =>
          bpf("BPF_RAW_TRACEPOINT_OPEN", rawTracepointOpen, {
            name: arena.text("sys_enter"),
            prog_fd: NO_FD >>> 0,
          }),
        ),
      ),
  },
  ringbuf: {
    since: mapKinds.ringbuf.since,
    probe: () => creates({ map_type: mapKinds.ringbuf.type, max_entries: 65536 }),
  },
  batch: { since: "5.6", probe: batches },
  xdp_link: { since: "5.9", probe: xdpLinks },
};

const known = new Map<FeatureName, Support>();

/** Whether this kernel has a feature. Asked once when the answer is certain. */
export function supports(feature: FeatureName): Support {
  const before = known.get(feature);
  if (before !== undefined) return before;
  const answer = ask(features[feature]);
  if (answer.state !== "unknown") known.set(feature, answer);
  return answer;
}

function ask({ since, probe }: Feature): Support {
  try {
    return probe() ? { state: "yes" } : { state: "no", since };
  } catch (error) {
    return { state: "unknown", cause: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** Whether the kernel knows a command that was given a bad descriptor: EBADF, not EINVAL. */
function knows(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EBADF") return true;
    if (errno === "EINVAL") return false;
    throw error;
  }
}

/** Whether a map can be created: EINVAL for a kind that the kernel does not know. */
function creates(values: Parameters<typeof mapCreate.encode>[0]): boolean {
  try {
    new Fd(bpf("BPF_MAP_CREATE", mapCreate, values), "a feature probe")[Symbol.dispose]();
    return true;
  } catch (error) {
    if (errnoOf(error) === "EINVAL") return false;
    throw error;
  }
}

function batches(): boolean {
  const array = { map_type: mapKinds.array.type, key_size: 4, value_size: 4, max_entries: 1 };
  const fd = new Fd(bpf("BPF_MAP_CREATE", mapCreate, array), "a feature probe");
  try {
    return takesBatches(fd.number);
  } finally {
    fd[Symbol.dispose]();
  }
}

/** The root folder is no file to probe, which only a kernel that knows these links gets to see. */
function manyUprobes(): boolean {
  return withArena((arena) => {
    // r0 = 0; exit
    const insns = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
    const program = new Fd(
      bpf("BPF_PROG_LOAD", progLoad, {
        prog_type: programKinds.uprobe_multi.type,
        expected_attach_type: BPF_TRACE_UPROBE_MULTI,
        insn_cnt: insns.length / 8,
        insns: arena.in(insns),
        license: arena.text("GPL"),
      }),
      "a feature probe",
    );
    try {
      return knows(() => {
        bpf("BPF_LINK_CREATE", linkCreateUprobeMulti, {
          prog_fd: program.number,
          attach_type: BPF_TRACE_UPROBE_MULTI,
          path: arena.text("/"),
          offsets: arena.in(new Uint8Array(8)),
          cnt: 1,
        });
      });
    } finally {
      program[Symbol.dispose]();
    }
  });
}

/** Links came in 5.7, those for XDP in 5.9; a kernel with patches from later ones says so in its own types. */
function xdpLinks(): boolean {
  const links = knows(() => {
    bpf("BPF_LINK_CREATE", linkCreate, { prog_fd: NO_FD, attach_type: BPF_XDP });
  });
  if (!links || isAtLeast(kernelVersion(), "5.9")) return links;
  const types = "/sys/kernel/btf/vmlinux";
  return existsSync(types) && readFileSync(types).includes("\0BPF_XDP\0");
}
