import { MapError, UsageError } from "../../core/errors.ts";
import { u32, viewOf } from "../../core/layout.ts";
import { Scope } from "../../core/scope.ts";
import type { EventOptions, EventSource, LostCallback, RecordCallback } from "../../runtime/types.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { watchReadable } from "../../sys/poller.ts";
import { onlineCpus } from "../../sys/proc.ts";
import type { KernelMap } from "../kernel-map.ts";
import { isPermission, missingPrivilege } from "../permission.ts";
import { PerfRing } from "./perf-ring.ts";

/** Records of one CPU before the next one's turn, so that a busy CPU does not keep others waiting. */
const RECORDS_PER_TURN = 128;

/** One perf ring per CPU that runs now; the map gives programs the ring of the CPU they run on. */
export class PerfBuffer implements EventSource {
  readonly #map: KernelMap;
  readonly #scope: Scope;
  readonly #rings: PerfRing[] = [];
  #turn = 0;
  #closed = false;

  /**
   * @throws UsageError for a number of pages that is not a power of two
   * @throws PermissionError without CAP_PERFMON; MapError when pages cannot be had
   */
  constructor(map: KernelMap, options: EventOptions) {
    const { pages, wakeupEvents } = options;
    if (!Number.isInteger(pages) || pages < 1 || (pages & (pages - 1)) !== 0) {
      throw new UsageError(`the perf buffer "${map.spec.name}" takes a power of two of pages, not ${pages}`);
    }
    this.#map = map;
    this.#scope = new Scope(`the perf buffer "${map.spec.name}"`);
    try {
      for (const cpu of onlineCpus()) this.#open({ cpu, pages, wakeupEvents });
    } catch (error) {
      this.#scope[Symbol.dispose]();
      throw this.#explain(error, pages);
    }
  }

  #open(options: { readonly cpu: number; readonly pages: number; readonly wakeupEvents: number }): void {
    const key = numberBytes(options.cpu);
    let ring: PerfRing;
    try {
      ring = this.#scope.own(
        new PerfRing(`perf buffer "${this.#map.spec.name}" on CPU ${options.cpu}`, options),
      );
    } catch (error) {
      // The CPU went offline meanwhile, and so nothing runs on it.
      if (errnoOf(error) === "ENODEV") return;
      throw error;
    }
    this.#map.update(key, numberBytes(ring.fd), "any");
    // The map holds the event, so taking the ring out of it is what lets the kernel free it.
    this.#scope.defer(() => this.#remove(key));
    this.#rings.push(ring);
  }

  #remove(key: Uint8Array): void {
    if (!this.#map.closed) this.#map.delete(key);
  }

  #explain(error: unknown, pages: number): unknown {
    const errno = errnoOf(error);
    if (errno === undefined) return error;
    const { name } = this.#map.spec;
    // Mapping answers EPERM when the pages go beyond kernel.perf_event_mlock_kb.
    if (isPermission(errno)) return missingPrivilege(`opening perf buffer "${name}"`, "CAP_PERFMON", error);
    const why = errno === "ENOMEM" ? `no memory for ${pages} pages per CPU` : errno;
    return new MapError("MAP_OPERATION", `cannot open perf buffer "${name}": ${why}`, { cause: error });
  }

  drain(onRecord: RecordCallback, onLost: LostCallback, most = Number.POSITIVE_INFINITY): number {
    let total = 0;
    // Ends when every ring in a row had nothing.
    for (let idle = 0; idle < this.#rings.length && total < most && !this.#closed; ) {
      const ring = this.#rings[this.#turn % this.#rings.length]!;
      const count = ring.drain(onRecord, onLost, Math.min(most - total, RECORDS_PER_TURN));
      total += count;
      idle = count === 0 ? idle + 1 : 0;
      this.#turn++;
    }
    return total;
  }

  watch(onReady: () => void): () => void {
    const watching = new Scope(`watching perf buffer "${this.#map.spec.name}"`);
    const ready = (): void => {
      onReady();
      again();
    };
    // A perf event is readable once per wake-up, whatever the reader leaves behind.
    let scheduled: NodeJS.Immediate | undefined;
    const again = (): void => {
      if (watching.closed || scheduled !== undefined || !this.#hasData) return;
      scheduled = setImmediate(() => {
        scheduled = undefined;
        ready();
      });
    };
    for (const ring of this.#rings) watching.defer(watchReadable(ring.fd, ready));
    watching.defer(() => clearImmediate(scheduled));
    // The event loop starts waiting for a new descriptor in its next turn, and that takes away a wake-up that came
    // before: so look once more after that turn.
    watching.defer(afterTwoTurns(again));
    this.#scope.own(watching);
    return () => {
      this.#scope.disown(watching);
      watching[Symbol.dispose]();
    };
  }

  get #hasData(): boolean {
    return this.#rings.some((ring) => ring.hasData);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#scope[Symbol.dispose]();
  }
}

/** Runs an action once the event loop has waited for events at least once. Returns how to cancel it. */
function afterTwoTurns(action: () => void): () => void {
  let pending = setImmediate(() => {
    pending = setImmediate(action);
  });
  return () => clearImmediate(pending);
}

function numberBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  u32.write(viewOf(bytes), 0, value);
  return bytes;
}
