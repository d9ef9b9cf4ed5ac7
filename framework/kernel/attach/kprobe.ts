import { existsSync, readFileSync } from "node:fs";
import { didYouMean, nearestNames } from "../../core/diagnostics.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { withArena } from "../../sys/arena.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { kprobeBlacklist, tracedFunctions } from "../../sys/kernel-functions.ts";
import { kernelConfig, kernelFunctionSymbols, kernelRelease } from "../../sys/proc.ts";
import { hasKprobeEvents, tracefs, tracepointId, writeKprobeEvents } from "../../sys/tracefs.ts";
import { EVENT_SOURCES } from "../features.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import { openPerfEvent, runOnEvent } from "../perf-events.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach, explainAttach } from "./attach-error.ts";
import { LastingLink } from "./lasting-link.ts";
import { groupOf, removeOrphans } from "./orphans.ts";
import { attachTraceEvent } from "./tracepoint.ts";

type Target = Extract<AttachTarget, { hook: "kprobe" }>;

/**
 * Runs a program at a kernel function: through the kprobe event source (since Linux 4.17), else through tracefs (since
 * 4.1), which return probes with `maxActive` need too.
 *
 * @throws UnsupportedError on a kernel without kprobes
 * @throws AttachError for a function this kernel lacks, with the nearest names, or one that may not be probed
 */
export function attachKprobe(program: KernelProgram, target: Target): Link {
  if (target.atReturn && target.offset !== 0) {
    throw cannotAttach(program, target, "a return probe has no offset");
  }
  const type = eventSourceType();
  try {
    if (type !== undefined && target.maxActive === 0) return attachEventSource(program, target, type);
    if (canUseTracefs()) return attachThroughTracefs(program, target);
  } catch (error) {
    throw explain(program, target, error);
  }
  throw noKprobes(program, target);
}

/** The number of the kprobe event source, or undefined when the kernel has none. */
function eventSourceType(): number | undefined {
  const path = `${EVENT_SOURCES}/kprobe/type`;
  return existsSync(path) ? Number(readFileSync(path, "latin1")) : undefined;
}

/** The bit of `config` that asks for a return probe, from "config:0". */
function returnBit(): bigint {
  const text = readFileSync(`${EVENT_SOURCES}/kprobe/format/retprobe`, "latin1");
  return 1n << BigInt(/config:(\d+)/.exec(text)?.[1] ?? 0);
}

function attachEventSource(program: KernelProgram, target: Target, type: number): Link {
  const label = `${target.atReturn ? "kretprobe" : "kprobe"} ${target.symbol}`;
  return buildLink(label, (parts) =>
    withArena((arena) => {
      const attr = {
        type,
        config: target.atReturn ? returnBit() : 0n,
        config1: arena.text(target.symbol),
        config2: BigInt(target.offset),
      };
      runOnEvent(parts.own(openPerfEvent(label, { attr, cpu: 0 })), program.fd);
      return new KernelLink(program, target, parts);
    }),
  );
}

function canUseTracefs(): boolean {
  tracefs();
  return hasKprobeEvents();
}

let probeCount = 0;

function attachThroughTracefs(program: KernelProgram, target: Target): Link {
  removeOrphans();
  const group = groupOf(process.pid);
  const name = `p${probeCount++}_${target.symbol.replace(/\W/g, "_")}`.slice(0, 60);
  const event = `${group}/${name}`;
  return buildLink(`probe ${event}`, (parts) => {
    writeKprobeEvents(definition(target, event));
    parts.defer(() => writeKprobeEvents(`-:${event}`));
    const id = tracepointId(group, name);
    if (id === undefined) throw cannotAttach(program, target, "the kernel made no event for the probe");
    // Owned after the probe, so closed before it: the kernel does not remove a probe in use.
    parts.own(attachTraceEvent(program, target, { id, label: `probe ${event}` }));
    return new LastingLink(program, target, parts);
  });
}

function definition(target: Target, event: string): string {
  if (!target.atReturn) return `p:${event} ${target.symbol}+${target.offset}`;
  return `r${target.maxActive === 0 ? "" : target.maxActive}:${event} ${target.symbol}`;
}

function explain(program: KernelProgram, target: Target, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno === "ENOENT" || errno === "EADDRNOTAVAIL" || errno === "EINVAL" || errno === "EOPNOTSUPP") {
    const { why, hint } = reasonFor(target, errno);
    return cannotAttach(program, target, `${why} (${errno})`, { hint, cause });
  }
  return explainAttach({ program, target, capability: "CAP_PERFMON" }, cause, {
    EILSEQ: "the offset is not the start of an instruction",
  });
}

/** Why, and what to do instead. Reads the kernel's lists of functions, so only after a failure. */
function reasonFor(
  { symbol, offset }: Target,
  errno: string,
): { readonly why: string; readonly hint?: string | undefined } {
  const [module, name] = symbol.includes(":") ? (symbol.split(":", 2) as [string, string]) : [null, symbol];
  const all = [...kernelFunctionSymbols()];
  const found = all.filter((one) => one.name === name);
  const here = module === null ? found : found.filter((one) => one.module === module);
  if (here.length === 0 && found.length > 0) {
    const other = found[0]!.module === "" ? "the kernel itself has it" : `module ${found[0]!.module} has it`;
    return { why: `module "${module}" has no such function`, hint: other };
  }
  if (here.length === 0) {
    const names = all.flatMap((one) =>
      module === null ? one.name : one.module === module ? `${module}:${one.name}` : [],
    );
    return { why: "no such kernel function", hint: renamedHint(name, names) ?? absentHint(symbol, names) };
  }
  if (errno === "EADDRNOTAVAIL") {
    const modules = here.map((one) => one.module).filter((one) => one !== "");
    const hint = modules.length > 0 ? `name the module: "${modules[0]}:${name}"` : undefined;
    return { why: "several functions have this name", hint };
  }
  if (kprobeBlacklist().has(name)) {
    return {
      why: "the kernel allows no probes in this function",
      hint: "it is on the kernel's blacklist (/sys/kernel/debug/kprobes/blacklist); probe one of its callers",
    };
  }
  if (tracedFunctions()?.has(name) === false) {
    return { why: "the function is not to be traced (notrace)", hint: "probe one of its callers" };
  }
  return {
    why:
      offset === 0
        ? "the kernel does not allow a probe there"
        : "no instruction that may be probed begins there",
  };
}

/** The compiler renames a function that it changed: "f.isra.0", "f.constprop.0", "f.part.0". */
function renamedHint(name: string, names: readonly string[]): string | undefined {
  const renamed = names.filter((other) => other.startsWith(`${name}.`) && !other.includes(".cold"));
  if (renamed.length === 0) return undefined;
  return `the compiler made it ${renamed.join(", ")}; probe that, whose parameters may differ`;
}

/** Near names may be there of a function that was inlined, too. */
function absentHint(symbol: string, names: readonly string[]): string {
  const inlined =
    "a function that the compiler inlined everywhere, or of a module that is not loaded, is not there to probe";
  const near = didYouMean(nearestNames(symbol, new Set(names)));
  return near === undefined ? inlined : `${near} (${inlined})`;
}

function noKprobes(program: KernelProgram, target: Target): Error {
  const without = kernelConfig()?.has("CONFIG_KPROBES") === false;
  return new UnsupportedError(
    `cannot attach "${program.spec.name}" to kprobe ${target.symbol}: this kernel (${kernelRelease()}) ` +
      `${without ? "is built without CONFIG_KPROBES" : "has no kprobes (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS)"}`,
    { hint: "tracepoints and raw tracepoints work here" },
  );
}
