import { existsSync, readFileSync } from "node:fs";
import { mapKinds } from "../../maps/kinds.ts";
import { UsageError } from "../core/errors.ts";
import { isAtLeast, versionCode } from "../core/version.ts";
import { type AttachTypeName, attachTypes } from "../programs/attach-types.ts";
import { type ProgramKindName, programKinds } from "../programs/kinds.ts";
import type { FeatureName, Support } from "../runtime/types.ts";
import { type Arena, withArena } from "../sys/arena.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { kernelVersion } from "../sys/proc.ts";
import { findTracefs, hasKprobeEvents } from "../sys/tracefs.ts";
import {
  linkCreate,
  linkCreateKprobeMulti,
  linkCreateUprobeMulti,
  mapCreate,
  progLoad,
  rawTracepointOpen,
} from "../uapi/bpf-attr.ts";
import { BPF_TRACE_KPROBE_MULTI, BPF_TRACE_UPROBE_MULTI } from "../uapi/constants.ts";
import { kernelBtf } from "./environment.ts";
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
  kprobe_multi: { since: programKinds.kprobe_multi.since, probe: kprobeMulti },
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
  fentry: { since: programKinds.fentry.since, probe: () => runsOnTypes("fentry", "bpf_fentry_test1") },
  fmod_ret: {
    since: programKinds.fmod_ret.since,
    probe: () => runsOnTypes("fmod_ret", "security_bpf"),
  },
  lsm: { since: programKinds.lsm.since, probe: () => isActiveLsm() && runsOnTypes("lsm", "bpf_lsm_bpf") },
  ringbuf: {
    since: mapKinds.ringbuf.since,
    probe: () => creates({ map_type: mapKinds.ringbuf.type, max_entries: 65536 }),
  },
  batch: { since: "5.6", probe: batches },
  link: { since: "5.7", probe: links },
  netns_link: { since: "5.8", probe: () => linksTo("flow_dissector", "flow_dissector", "EBADF") },
  xdp_link: { since: "5.9", probe: xdpLinks },
  tcx_link: { since: "6.6", probe: () => linksTo("sched_cls", "tcx_ingress", "ENODEV") },
};

/** Every feature that can be asked about, in table order. */
export const featureNames = Object.keys(features) as readonly FeatureName[];

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
    const { type: prog_type } = programKinds.uprobe_multi;
    using program = loadNothing({ prog_type, expected_attach_type: BPF_TRACE_UPROBE_MULTI }, arena);
    return knows(() => {
      bpf("BPF_LINK_CREATE", linkCreateUprobeMulti, {
        prog_fd: program.number,
        attach_type: BPF_TRACE_UPROBE_MULTI,
        path: arena.text("/"),
        offsets: arena.in(new Uint8Array(8)),
        cnt: 1,
      });
    });
  });
}

/** Links of the first generation: to cgroups, and what came later goes through the same command. */
function links(): boolean {
  return knows(() => {
    bpf("BPF_LINK_CREATE", linkCreate, { prog_fd: NO_FD, attach_type: attachTypes.xdp.type });
  });
}

/** Those for XDP came in 5.9; a kernel with patches from later ones says so in its own types. */
function xdpLinks(): boolean {
  if (!links() || isAtLeast(kernelVersion(), "5.9")) return links();
  const types = "/sys/kernel/btf/vmlinux";
  return existsSync(types) && readFileSync(types).includes("\0BPF_XDP\0");
}

/** `r0 = 0; exit`. */
const NOTHING = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);

/** Loads a program that does nothing; `values` are those of its kind. */
function loadNothing(values: Parameters<typeof progLoad.encode>[0], arena: Arena): Fd {
  const number = bpf("BPF_PROG_LOAD", progLoad, {
    ...values,
    insn_cnt: NOTHING.length / 8,
    insns: arena.in(NOTHING),
    license: arena.text("GPL"),
    kern_version: versionCode(kernelVersion()),
  });
  return new Fd(number, "a feature probe");
}

/** Whether a program that changes nothing can be attached to a function that all kernels have. */
function runsOnTypes(kind: "fentry" | "fmod_ret" | "lsm", name: string): boolean {
  const id = kernelBtf()?.find(name, "func") ?? 0;
  if (id === 0) return false;
  const { type: prog_type, attachType: expected_attach_type } = programKinds[kind];
  return withArena((arena) => {
    try {
      using program = loadNothing({ prog_type, expected_attach_type, attach_btf_id: id }, arena);
      const link = bpf("BPF_RAW_TRACEPOINT_OPEN", rawTracepointOpen, { prog_fd: program.number });
      new Fd(link, "a feature probe")[Symbol.dispose]();
      return true;
    } catch (error) {
      const errno = errnoOf(error);
      // ENOTSUPP: this machine has no trampolines.
      if (errno === "EINVAL" || errno === "ENOTSUPP" || errno === "EOPNOTSUPP") return false;
      throw error;
    }
  });
}

/** A program for a security hook attaches without it, and then never runs. */
function isActiveLsm(): boolean {
  return readFileSync("/sys/kernel/security/lsm", "latin1").trim().split(",").includes("bpf");
}

/** A function that no kernel has. */
const NO_FUNCTION = "rxbpf_no_such_function";

/** A kernel that knows the link looks for the function, and does not find it; one built without says so at once. */
function kprobeMulti(): boolean {
  return withArena((arena) => {
    const { type: prog_type } = programKinds.kprobe_multi;
    using program = loadNothing({ prog_type, expected_attach_type: BPF_TRACE_KPROBE_MULTI }, arena);
    const syms = new BigUint64Array([arena.text(NO_FUNCTION)]);
    try {
      const link = { prog_fd: program.number, attach_type: BPF_TRACE_KPROBE_MULTI, cnt: 1 };
      bpf("BPF_LINK_CREATE", linkCreateKprobeMulti, { ...link, syms: arena.in(new Uint8Array(syms.buffer)) });
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EINVAL" || errno === "EOPNOTSUPP" || errno === "ENOTSUPP") return false;
      if (errno === "ENOENT" || errno === "ESRCH") return true;
      throw error;
    }
    throw new Error(`the kernel attached a program to ${NO_FUNCTION}`);
  });
}

/** Whether a link to nothing fails for the nothing: a kernel without such links answers EINVAL before it looks. */
function linksTo(kind: ProgramKindName, type: AttachTypeName, expected: string): boolean {
  const program = loadSmallest(kind);
  try {
    const nowhere = expected === "ENODEV" ? 0 : NO_FD >>> 0;
    bpf("BPF_LINK_CREATE", linkCreate, {
      prog_fd: program.number,
      target: nowhere,
      attach_type: attachTypes[type].type,
    });
    throw new UsageError(`a link of ${type} to nothing was made`);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === expected) return true;
    if (errno === "EINVAL") return false;
    throw error;
  } finally {
    program[Symbol.dispose]();
  }
}

/**
 * The smallest program of a kind.
 *
 * @throws SyscallError to be wrapped by the caller: EINVAL for a kind that the kernel does not know
 */
export function loadSmallest(kind: ProgramKindName): Fd {
  return withArena((arena) => {
    const { type, attachType } = programKinds[kind];
    return loadNothing({ prog_type: type, expected_attach_type: attachType }, arena);
  });
}
