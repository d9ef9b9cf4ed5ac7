import { type BpfError, SyscallError, UnsupportedError, UsageError, VerifierError } from "../core/errors.ts";
import { i32, viewOf } from "../core/layout.ts";
import { isAtLeast, versionCode } from "../core/version.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { isSleepableSection, type ProgramKindName, programKinds } from "../programs/kinds.ts";
import type { Program, RawMap } from "../runtime/types.ts";
import { type Arena, withArena } from "../sys/arena.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { kernelRelease, kernelVersion, raiseMemoryLock } from "../sys/proc.ts";
import { getInfo, progLoad } from "../uapi/bpf-attr.ts";
import { bpfProgInfo } from "../uapi/bpf-info.ts";
import { BPF_F_SLEEPABLE, BPF_LD_IMM64, BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE } from "../uapi/constants.ts";
import type { BtfObjects } from "./btf-objects.ts";
import { btfTarget } from "./btf-target.ts";
import { kernelMap } from "./maps.ts";
import { objectName } from "./object-name.ts";
import { isPermission, missingPrivilege } from "./permission.ts";
import { rejection } from "./verifier-log.ts";

/** A program of the running kernel. */
export class KernelProgram implements Program {
  readonly spec: ProgramSpec;
  readonly kind: ProgramKindName;
  readonly #fd: Fd;
  #id: number | undefined;

  /** Takes ownership of the descriptor. */
  constructor(spec: ProgramSpec, kind: ProgramKindName, fd: Fd) {
    this.spec = spec;
    this.kind = kind;
    this.#fd = fd;
  }

  /** @throws ClosedError after disposal */
  get fd(): number {
    return this.#fd.number;
  }

  /** @throws UnsupportedError before Linux 4.13 */
  get id(): number {
    this.#id ??= readId(this.#fd);
    return this.#id;
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

function readId(fd: Fd): number {
  return withArena((arena) => {
    const info = arena.out(bpfProgInfo.size);
    try {
      bpf("BPF_OBJ_GET_INFO_BY_FD", getInfo, {
        bpf_fd: fd.number,
        info_len: bpfProgInfo.size,
        info: info.address,
      });
    } catch (cause) {
      if (errnoOf(cause) === undefined) throw cause;
      throw new UnsupportedError(
        `reading the id of ${fd.label} needs Linux 4.13; this is ${kernelRelease()}`,
        { cause },
      );
    }
    return bpfProgInfo.read(viewOf(info.bytes), 0).id;
  });
}

/** A kernel program, as the parts of this runtime need it. */
export function kernelProgram(program: Program): KernelProgram {
  if (program instanceof KernelProgram) return program;
  throw new UsageError(`program "${program.spec.name}" belongs to another runtime`);
}

/**
 * Loads a program.
 *
 * @throws UsageError when the spec names no kind or refers to a map that is not in `maps`
 * @throws VerifierError with the whole log; PermissionError; UnsupportedError for a kind this kernel lacks
 */
export function loadProgram(
  spec: ProgramSpec,
  maps: ReadonlyMap<string, RawMap>,
  types: BtfObjects,
): KernelProgram {
  const { kind } = spec;
  if (kind === null) {
    throw new UsageError(
      `cannot load program "${spec.name}": its section "${spec.section}" does not say its kind`,
      {
        hint: "state the kind when loading it",
      },
    );
  }
  return withArena((arena) => {
    const target = btfTarget(spec, kind);
    using _ = target.module;
    const plain = {
      ...plainValues(spec, kind, linkMaps(spec, maps), arena),
      attach_btf_id: target.id,
      attach_btf_obj_fd: target.module?.number ?? 0,
    };
    const debug = debugValues(spec, types, arena);
    const number = loadAny(spec, kind, debug === null ? [plain] : [{ ...plain, ...debug }, plain], arena);
    return new KernelProgram(spec, kind, new Fd(number, `program "${spec.name}"`));
  });
}

type LoadValues = Parameters<typeof progLoad.encode>[0];

function plainValues(spec: ProgramSpec, kind: ProgramKindName, insns: Uint8Array, arena: Arena): LoadValues {
  return {
    prog_type: programKinds[kind].type,
    expected_attach_type: programKinds[kind].attachType,
    prog_flags: isSleepableSection(spec.section) ? BPF_F_SLEEPABLE : 0,
    insn_cnt: insns.length / 8,
    insns: arena.in(insns),
    license: arena.text(spec.license),
    // Kernels before 5.0 want their own version from kprobe programs; later ones ignore it.
    kern_version: spec.kernelVersion === 0 ? versionCode(kernelVersion()) : spec.kernelVersion,
    prog_name: objectName(spec.name),
  };
}

/** Functions and lines for the verifier's log, when there are any and this kernel takes the types. Since Linux 5.0. */
function debugValues(spec: ProgramSpec, types: BtfObjects, arena: Arena): LoadValues | null {
  if (spec.btf === null || spec.funcInfo.length === 0) return null;
  const descriptor = types.descriptor(spec.btf);
  if (descriptor === null) return null;
  return {
    prog_btf_fd: descriptor,
    func_info_rec_size: FUNC_INFO_BYTES,
    func_info: arena.in(spec.funcInfo),
    func_info_cnt: spec.funcInfo.length / FUNC_INFO_BYTES,
    line_info_rec_size: LINE_INFO_BYTES,
    line_info: arena.in(spec.lineInfo),
    line_info_cnt: spec.lineInfo.length / LINE_INFO_BYTES,
  };
}

const FUNC_INFO_BYTES = 8;
const LINE_INFO_BYTES = 16;

/** A copy of the instructions with every map reference resolved to a descriptor. */
export function linkMaps(spec: ProgramSpec, maps: ReadonlyMap<string, RawMap>): Uint8Array {
  const insns = spec.insns.slice();
  const view = viewOf(insns);
  for (const { insn, map: name, valueOffset } of spec.mapReferences) {
    const map = maps.get(name);
    if (map === undefined) {
      throw new UsageError(
        `cannot load program "${spec.name}": it uses table "${name}", which was not given`,
      );
    }
    const at = insn * 8;
    if (insns[at] !== BPF_LD_IMM64 || at + 16 > insns.length) {
      throw new UsageError(
        `cannot load program "${spec.name}": instruction ${insn} does not load table "${name}"`,
      );
    }
    const pseudo = valueOffset === null ? BPF_PSEUDO_MAP_FD : BPF_PSEUDO_MAP_VALUE;
    insns[at + 1] = (insns[at + 1]! & 0x0f) | (pseudo << 4);
    i32.write(view, at + 4, kernelMap(map).fd);
    i32.write(view, at + 12, valueOffset ?? 0);
  }
  return insns;
}

/** Loads the first variant that the kernel takes: with debug information, else without. */
function loadAny(
  spec: ProgramSpec,
  kind: ProgramKindName,
  variants: readonly LoadValues[],
  arena: Arena,
): number {
  let refusal: Refusal | undefined;
  for (const values of variants) {
    const outcome = load(values, arena);
    if (typeof outcome === "number") return outcome;
    refusal ??= outcome;
    // The verifier came as far as instructions, so debug information was not the trouble.
    if (/^\d+: \(/m.test(outcome.log)) break;
  }
  throw explain(spec, kind, refusal!);
}

interface Refusal {
  readonly cause: SyscallError;
  readonly log: string;
}

/** Loads without a log, which is much faster; after a failure once more for the log. */
function load(values: LoadValues, arena: Arena): number | Refusal {
  const first = attempt(values);
  if (typeof first === "number") return first;
  if (first.errno === "EPERM" && !isAtLeast(kernelVersion(), "5.11") && raiseMemoryLock()) {
    const second = attempt(values);
    if (typeof second === "number") return second;
  }
  return withLog(values, first, arena);
}

function attempt(values: LoadValues): number | SyscallError {
  try {
    return bpf("BPF_PROG_LOAD", progLoad, values);
  } catch (error) {
    if (error instanceof SyscallError) return error;
    throw error;
  }
}

const LOG_SIZES = [256 << 10, 2 << 20, 16 << 20];

/** A log that does not fit makes the load fail with ENOSPC, which is not the reason: the first failure is. */
function withLog(values: LoadValues, cause: SyscallError, arena: Arena): number | Refusal {
  let log = "";
  for (const size of LOG_SIZES) {
    const buffer = arena.out(size);
    const outcome = attempt({ ...values, log_level: 1, log_size: size, log_buf: buffer.address });
    if (typeof outcome === "number") return outcome;
    const end = buffer.bytes.indexOf(0);
    log = Buffer.from(buffer.bytes.subarray(0, end < 0 ? size : end)).toString("utf8");
    if (outcome.errno !== "ENOSPC") break;
  }
  return { cause, log };
}

function explain(spec: ProgramSpec, kind: ProgramKindName, { cause, log }: Refusal): BpfError {
  if (log.trim() !== "") return rejection(spec, log, cause);
  const { since } = programKinds[kind];
  if (isPermission(cause.errno))
    return missingPrivilege(`loading program "${spec.name}"`, capability(kind), cause);
  if (cause.errno === "ENOSYS") return new UnsupportedError("this kernel has no bpf(2)", { cause });
  if (!isAtLeast(kernelVersion(), since)) {
    return new UnsupportedError(`${kind} programs need Linux ${since}; this is ${kernelRelease()}`, {
      cause,
    });
  }
  const count = spec.insns.length / 8;
  const why =
    cause.errno === "E2BIG"
      ? `the kernel does not take ${count} instructions (E2BIG)`
      : `the kernel refused it without a log (${cause.errno})`;
  return new VerifierError(
    `program "${spec.name}" was rejected: ${why}`,
    { program: spec.name, log },
    { cause },
  );
}

const NETWORK_KINDS: readonly ProgramKindName[] = ["xdp", "sched_cls", "sched_act", "cgroup_skb", "sk_skb"];
const TRACING_KINDS: readonly ProgramKindName[] = [
  "kprobe",
  "kretprobe",
  "uprobe",
  "uprobe_multi",
  "tracepoint",
  "perf_event",
  "raw_tracepoint",
  "raw_tracepoint_writable",
];

function capability(kind: ProgramKindName): string {
  if (TRACING_KINDS.includes(kind)) return "CAP_BPF and CAP_PERFMON";
  return NETWORK_KINDS.includes(kind) ? "CAP_BPF and CAP_NET_ADMIN" : "CAP_BPF";
}
