import { readSync } from "node:fs";
import { MapError, UnsupportedError } from "../core/errors.ts";
import { u32, viewOf } from "../core/layout.ts";
import { Scope } from "../core/scope.ts";
import type { CounterOptions, Counters } from "../runtime/types.ts";
import { errnoOf } from "../sys/bpf.ts";
import type { Fd } from "../sys/fd.ts";
import { CpuEvents } from "./cpu-events.ts";
import type { KernelMap } from "./kernel-map.ts";
import { enable, openPerfEvent } from "./perf-events.ts";
import { isPermission, missingPrivilege } from "./permission.ts";

/** Counters in a perf event array, which programs read: one for each CPU, under its number. Since Linux 4.3. */
export class PerfCounters implements Counters {
  readonly #scope: Scope;
  readonly #counters: CpuEvents<Counter> | undefined;
  readonly #one: readonly [cpu: number, counter: Counter] | undefined;

  /**
   * @throws UnsupportedError for a counter that this machine lacks; PermissionError; MapError for what else is wrong
   */
  constructor(map: KernelMap, { type, config, pid, cpu }: CounterOptions) {
    const { name } = map.spec;
    this.#scope = new Scope(`the counters of "${name}"`);
    const attr = { type, config: BigInt(config) };
    const open = (on: number): Counter => new Counter(map, on, { attr, pid, cpu: on });
    try {
      if (cpu >= 0) this.#one = [cpu, this.#scope.own(open(cpu))];
      else this.#counters = this.#scope.own(new CpuEvents(open));
    } catch (error) {
      this.#scope[Symbol.dispose]();
      throw explain(error, `open counters of type ${type} and config ${config} in "${name}"`);
    }
  }

  values(): ReadonlyMap<number, bigint> {
    const counters = this.#one === undefined ? (this.#counters?.events ?? []) : [this.#one];
    return new Map([...counters].map(([cpu, counter]) => [cpu, counter.value] as const));
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** One event, in the map's slot of its CPU. */
class Counter implements Disposable {
  readonly #map: KernelMap;
  readonly #key = new Uint8Array(4);
  readonly #event: Fd;

  constructor(map: KernelMap, cpu: number, options: Parameters<typeof openPerfEvent>[1]) {
    this.#map = map;
    u32.write(viewOf(this.#key), 0, cpu);
    this.#event = openPerfEvent(`counter on CPU ${cpu} in "${map.spec.name}"`, options);
    try {
      enable(this.#event);
      const value = new Uint8Array(4);
      u32.write(viewOf(value), 0, this.#event.number);
      map.update(this.#key, value, "any");
    } catch (error) {
      this.#event[Symbol.dispose]();
      throw error;
    }
  }

  get value(): bigint {
    const bytes = new Uint8Array(8);
    readSync(this.#event.number, bytes, 0, bytes.length, null);
    return viewOf(bytes).getBigUint64(0, true);
  }

  [Symbol.dispose](): void {
    // The map holds the event, so only taking it out lets the kernel free it.
    if (!this.#map.closed) this.#map.delete(this.#key);
    this.#event[Symbol.dispose]();
  }
}

function explain(cause: unknown, doing: string): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  if (isPermission(errno)) return missingPrivilege(`opening perf counters`, "CAP_PERFMON", cause);
  if (["ENOENT", "EOPNOTSUPP", "ENODEV"].includes(errno)) {
    return new UnsupportedError(`cannot ${doing}: this machine has no such counter`, {
      hint: "virtual machines mostly have none; software events work there: PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK",
      cause,
    });
  }
  const why = errno === "ESRCH" ? "no such process" : errno;
  return new MapError("MAP_OPERATION", `cannot ${doing}: ${why}`, { cause });
}
