import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { AttachError, UsageError } from "../core/errors.ts";
import { show } from "../core/layout.ts";
import {
  describePerfEvent,
  type PerfEventAttr,
  perfEventBits,
  perfEventFields,
} from "../programs/perf-event-attr.ts";
import type { Link } from "../runtime/types.ts";
import { checkOptions } from "./options.ts";
import { UserHooks } from "./user-hooks.ts";

/** The part of `BPF` that attaches to perf events: counters that run a function when they overflow. */
export abstract class PerfHooks extends UserHooks {
  /**
   * Runs a function every `sample_period` events or `sample_freq` times a second (4.9): give one of them. On all CPUs, or
   * on `cpu`; for everybody, or for `pid` and the threads and processes that it makes.
   */
  attach_perf_event(options: {
    readonly ev_type: number;
    readonly ev_config: number;
    readonly fn_name: string;
    readonly sample_period?: number;
    readonly sample_freq?: number;
    readonly pid?: number;
    readonly cpu?: number;
    readonly group_fd?: number;
  }): Link {
    checkOptions("attach_perf_event", options, {
      ev_type: "number",
      ev_config: "number",
      fn_name: "string",
      sample_period: "number?",
      sample_freq: "number?",
      pid: "number?",
      cpu: "number?",
      group_fd: "number?",
    });
    const { ev_type, ev_config, fn_name, sample_period = 0, sample_freq = 0, pid = -1, ...where } = options;
    if (sample_period > 0 === sample_freq > 0) {
      throw new UsageError("attach_perf_event takes either sample_period or sample_freq");
    }
    const rate = sample_freq > 0 ? { sample_freq } : { sample_period };
    const attr = { type: ev_type, config: ev_config, ...rate, inherit: pid >= 0 ? 1 : 0 };
    return this.#attach(fn_name, attr, { pid, cpu: where.cpu, group_fd: where.group_fd });
  }

  /**
   * The same with all members of `struct perf_event_attr`, by the kernel's names: precise_ip, exclude_kernel, config1, ….
   * `sample_freq` sets `freq` too.
   */
  attach_perf_event_raw(options: {
    readonly attr: PerfEventAttr;
    readonly fn_name: string;
    readonly pid?: number;
    readonly cpu?: number;
    readonly group_fd?: number;
  }): Link {
    checkOptions("attach_perf_event_raw", options, {
      attr: "object",
      fn_name: "string",
      pid: "number?",
      cpu: "number?",
      group_fd: "number?",
    });
    checkAttr(options.attr);
    return this.#attach(options.fn_name, options.attr, options);
  }

  /** Detaches every function from an event, for whichever processes and CPUs it was attached. */
  detach_perf_event(options: { readonly ev_type: number; readonly ev_config: number }): void {
    checkOptions("detach_perf_event", options, { ev_type: "number", ev_config: "number" });
    const { ev_type: type, ev_config: config } = options;
    const count = this.attachments.detachWhere(
      (target) =>
        target.hook === "perf_event" &&
        target.attr.type === type &&
        BigInt(target.attr.config) === BigInt(config),
    );
    if (count > 0) return;
    throw new AttachError(`nothing is attached to ${describePerfEvent({ type, config })}`);
  }

  #attach(
    functionName: string,
    attr: PerfEventAttr,
    where: {
      readonly pid?: number | undefined;
      readonly cpu?: number | undefined;
      readonly group_fd?: number | undefined;
    },
  ): Link {
    const { pid = -1, cpu = -1, group_fd: groupFd = -1 } = where;
    return this.attachments.attach(functionName, "perf_event", {
      hook: "perf_event",
      attr,
      pid,
      cpu,
      groupFd,
    });
  }
}

const ATTR_NAMES: readonly string[] = [...perfEventFields, ...Object.keys(perfEventBits)];

function checkAttr(attr: PerfEventAttr): void {
  for (const [name, value] of Object.entries(attr)) {
    if (!ATTR_NAMES.includes(name)) {
      throw new UsageError(`attach_perf_event_raw: struct perf_event_attr has no member "${name}"`, {
        hint: didYouMean(nearestNames(name, ATTR_NAMES)),
      });
    }
    const isWhole = typeof value === "bigint" || Number.isSafeInteger(value);
    if (!isWhole)
      throw new UsageError(`attach_perf_event_raw: "${name}" must be a whole number, not ${show(value)}`);
  }
  for (const name of ["type", "config"] as const) {
    if (attr[name] === undefined) throw new UsageError(`attach_perf_event_raw: "attr.${name}" is missing`);
  }
}
