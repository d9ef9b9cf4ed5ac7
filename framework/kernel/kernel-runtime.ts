import { mapKinds } from "../../maps/kinds.ts";
import { UnsupportedError, UsageError } from "../core/errors.ts";
import { Scope } from "../core/scope.ts";
import type { MapSpec, ProgramSpec } from "../object/object-spec.ts";
import type { AttachTarget } from "../programs/targets.ts";
import type {
  CounterOptions,
  CounterRuntime,
  Counters,
  EventOptions,
  EventSource,
  FeatureName,
  Link,
  MapOrigin,
  OpenDescriptor,
  OpeningRuntime,
  ProcessRuntime,
  Program,
  RawMap,
  SharedMap,
  Support,
  TraceSource,
  UserRing,
  UserRingRuntime,
} from "../runtime/types.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { possibleCpus } from "../sys/proc.ts";
import { mapCreate } from "../uapi/bpf-attr.ts";
import { attach } from "./attach/index.ts";
import { sweepOrphans } from "./attach/orphans.ts";
import { evictXdp } from "./attach/xdp.ts";
import { BtfObjects } from "./btf-objects.ts";
import { openExisting } from "./existing-maps.ts";
import { supports } from "./features.ts";
import { createMap, kernelMap } from "./maps.ts";
import { PerfCounters } from "./perf-counters.ts";
import { isPermission } from "./permission.ts";
import { openProcess } from "./processes.ts";
import { kernelProgram, loadProgram } from "./programs.ts";
import { PerfBuffer } from "./rings/perf-buffer.ts";
import { RingBuffer } from "./rings/ringbuf.ts";
import { KernelUserRing } from "./rings/user-ring.ts";
import { type TestResult, testRun } from "./test-run.ts";
import { TracePipe } from "./trace-pipe.ts";

/** Whether the running kernel can be used, and if not, why. */
export type KernelAccess = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/**
 * The running kernel, through bpf(2).
 *
 * Owns the types it loaded. What it created and attached belongs to the caller, and lives on when the runtime is
 * disposed.
 */
export class KernelRuntime implements ProcessRuntime, OpeningRuntime, CounterRuntime, UserRingRuntime {
  readonly name = "kernel";
  readonly cpuCount: number;
  readonly #scope = new Scope("the kernel runtime");
  readonly #types: BtfObjects;

  /** @throws UnsupportedError on anything but 64-bit little-endian Linux, with the first use */
  constructor() {
    this.cpuCount = possibleCpus().length;
    this.#types = this.#scope.own(new BtfObjects());
    sweepOrphans();
  }

  /** Tells cheaply, by creating a tiny map, whether this process may use bpf(2) on this machine. */
  static probe(): KernelAccess {
    if (process.platform !== "linux") return { ok: false, reason: `${process.platform} has no bpf(2)` };
    try {
      const tiny = { map_type: mapKinds.array.type, key_size: 4, value_size: 4, max_entries: 1 };
      new Fd(bpf("BPF_MAP_CREATE", mapCreate, tiny), "the probe for bpf(2)")[Symbol.dispose]();
      return { ok: true };
    } catch (error) {
      return { ok: false, reason: whyNot(error) };
    }
  }

  supports(feature: FeatureName): Support {
    return supports(feature);
  }

  createMap(spec: MapSpec): RawMap {
    this.#scope.assertOpen();
    return createMap(spec, this.#types);
  }

  openMap(origin: MapOrigin): SharedMap {
    this.#scope.assertOpen();
    return openExisting(origin);
  }

  loadProgram(spec: ProgramSpec, maps: ReadonlyMap<string, RawMap>): Program {
    this.#scope.assertOpen();
    return loadProgram(spec, maps, this.#types);
  }

  attach(program: Program, target: AttachTarget, map?: RawMap): Link {
    this.#scope.assertOpen();
    return attach(kernelProgram(program), target, map);
  }

  evictXdp(device: string, flags: number): boolean {
    this.#scope.assertOpen();
    return evictXdp(device, flags);
  }

  testRun(program: Program, input: Uint8Array): TestResult {
    this.#scope.assertOpen();
    return testRun(kernelProgram(program), input);
  }

  openEvents(map: RawMap, options: EventOptions): EventSource {
    this.#scope.assertOpen();
    const { kind, name } = map.spec;
    if (kind === "ringbuf") return new RingBuffer(kernelMap(map));
    if (kind === "perf_event_array") return new PerfBuffer(kernelMap(map), options);
    throw new UsageError(
      `table "${name}" is a ${kind} map: only ring buffers and perf event arrays have records`,
    );
  }

  openCounters(map: RawMap, options: CounterOptions): Counters {
    this.#scope.assertOpen();
    return new PerfCounters(kernelMap(map), options);
  }

  openUserRing(map: RawMap): UserRing {
    this.#scope.assertOpen();
    return new KernelUserRing(kernelMap(map));
  }

  openProcess(pid: number): OpenDescriptor | null {
    this.#scope.assertOpen();
    return openProcess(pid);
  }

  openTrace(): TraceSource {
    this.#scope.assertOpen();
    return new TracePipe();
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

function whyNot(error: unknown): string {
  if (error instanceof UnsupportedError) return error.message;
  const errno = errnoOf(error);
  if (isPermission(errno)) return "this process lacks CAP_BPF";
  return errno === "ENOSYS" ? "this kernel has no bpf(2)" : `bpf(2) failed: ${errno ?? String(error)}`;
}
