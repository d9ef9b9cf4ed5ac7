import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { UsageError } from "../core/errors.ts";
import type { ModuleSymbols } from "../symbols/module-symbols.ts";
import { fileOf, mappingsOf, openModule, rootOf } from "../symbols/process.ts";
import { type UsdtProbe, usdtProbes } from "../symbols/usdt-notes.ts";
import { argumentType } from "../symbols/usdt-readers.ts";
import { checkOptions } from "./options.ts";
import { type UsdtPlan, usdtPlan } from "./usdt-plan.ts";
import { USDTProbe } from "./usdt-probe.ts";
import { openUserFile } from "./user-functions.ts";

/** Where to look for probes; one of both, or a program in a process's own file system. */
export interface UsdtOptions {
  /** A process: the probes of all it has mapped, and only that process is probed. */
  readonly pid?: number;
  /** A program or library, or a library's short name. */
  readonly path?: string;
}

/** A probe to enable. */
interface ProbeOptions {
  readonly probe: string;
  readonly fn_name: string;
  readonly cookie?: bigint;
}

/** A file with probes. */
export interface ProbedFile {
  /** As this process opens it. */
  readonly path: string;
  /** As its own process or the user calls it. */
  readonly shownPath: string;
  readonly module: ModuleSymbols;
}

/** A probe of a file. */
export interface FoundProbe {
  readonly file: ProbedFile;
  readonly probe: UsdtProbe;
}

/** A probe, and the function that is to run at it. */
export interface EnabledProbe extends FoundProbe {
  readonly functionName: string;
  readonly pid: number;
  /** What `bpf_usdt_cookie` gives there. */
  readonly cookie: bigint;
}

let enabledIn: (usdt: USDT) => readonly EnabledProbe[];

/**
 * What the contexts given to a BPF object ask for.
 *
 * @param options.ignorePid attach for all processes, whichever the contexts name
 */
export function planOf(contexts: readonly USDT[], options: { readonly ignorePid: boolean }): UsdtPlan {
  if (!contexts.every((context) => context instanceof USDT))
    throw new UsageError('BPF: "usdt_contexts" must be an array of USDT objects');
  return usdtPlan(
    contexts.flatMap((context) => enabledIn(context)),
    options,
  );
}

/**
 * Static probes (USDT, `DTRACE_PROBE`) of a program or a process: BCC's class. Enable probes, then hand it to
 * `new BPF({ text, usdt_contexts: [usdt] })`, which attaches them.
 *
 * Probes that have a counter (semaphore) are switched on by the kernel (4.20) for as long as they are attached, in one
 * process as in all.
 */
export class USDT {
  readonly pid: number;
  readonly #found: readonly FoundProbe[];
  readonly #enabled: EnabledProbe[] = [];

  static {
    enabledIn = (usdt) => usdt.#enabled;
  }

  /** @throws UsageError without path and pid; AttachError for an unknown file or process; PermissionError */
  constructor(options: UsdtOptions) {
    checkOptions("USDT", options, { pid: "number?", path: "string?" });
    const { pid = -1, path } = options;
    this.pid = pid > 0 ? pid : -1;
    if (path === undefined && this.pid < 0)
      throw new UsageError("USDT takes a path or a pid", { hint: 'new USDT({ path: "/usr/bin/python3" })' });
    const files = path === undefined ? filesOf(pid) : [fileAt(path, this.pid)];
    this.#found = files.flatMap((file) => usdtProbes(file.module).map((probe) => ({ file, probe })));
  }

  /**
   * Has a function run at a probe, once the context is given to a BPF object. A function may be enabled for several
   * probes, and a probe for several functions.
   *
   * @param probe "provider:name", or a name that only one provider has
   * @param options.cookie a 64-bit number that `bpf_usdt_cookie` gives at this probe (5.15 where it differs); else 0
   * @throws UsageError for a probe that is not there, with the nearest names, or that several providers have
   */
  enable_probe(probe: string, fn_name: string): void;
  enable_probe(options: ProbeOptions): void;
  enable_probe(first: string | ProbeOptions, second?: string): void {
    const options: Partial<ProbeOptions> =
      typeof first === "string" ? { probe: first, ...(second !== undefined && { fn_name: second }) } : first;
    checkOptions("enable_probe", options, { probe: "string", fn_name: "string", cookie: "bigint?" });
    const { probe, fn_name, cookie = 0n } = options;
    for (const found of this.#find("enable_probe", probe!)) {
      this.#enabled.push({
        ...found,
        functionName: fn_name!,
        pid: this.pid,
        cookie: BigInt.asIntN(64, cookie),
      });
    }
  }

  /** The same; in BCC it would end the process, here nothing does. */
  enable_probe_or_bail(probe: string, fn_name: string): void {
    this.enable_probe(probe, fn_name);
  }

  /** The C functions that the enabled probes' arguments are read with. */
  get_text(): string {
    return usdtPlan(this.#enabled, { ignorePid: false }).readers.text;
  }

  /** The C type of an argument, counted from 1: "int32_t" and the like, the widest that any place has. */
  get_probe_arg_ctype(probe_name: string, arg_index: number): string {
    const candidates = this.#find("get_probe_arg_ctype", probe_name).flatMap(({ probe }) =>
      probe.locations.flatMap((location) => location.arguments[arg_index - 1] ?? []),
    );
    const [widest] = candidates.toSorted((a, b) => b.size - a.size);
    if (widest === undefined) throw new UsageError(`${probe_name} has no argument ${arg_index}`);
    return argumentType(widest);
  }

  /** All probes, in the order of the files' notes. */
  enumerate_probes(): readonly USDTProbe[] {
    return this.#found.map(({ file, probe }) => new USDTProbe(file.shownPath, probe));
  }

  /** Where functions are enabled: file, function, address in the file, and the process or -1. */
  enumerate_active_probes(): readonly (readonly [
    bin_path: string,
    fn_name: string,
    addr: number,
    pid: number,
  ])[] {
    return this.#enabled.flatMap(({ file, probe, functionName, pid }) =>
      probe.locations.map(({ address }) => [file.shownPath, functionName, address, pid] as const),
    );
  }

  #find(method: string, spelled: string): readonly FoundProbe[] {
    const found = this.#found.filter(
      ({ probe }) => spelled === probe.name || spelled === `${probe.provider}:${probe.name}`,
    );
    const providers = new Set(found.map(({ probe }) => probe.provider));
    if (providers.size === 1) return found;
    if (providers.size > 1) {
      throw new UsageError(
        `${method}: several providers have a probe ${spelled}: ${[...providers].join(", ")}`,
        {
          hint: `write "${[...providers][0]}:${spelled}"`,
        },
      );
    }
    throw new UsageError(`${method}: there is no USDT probe ${spelled}`, { hint: this.#near(spelled) });
  }

  #near(spelled: string): string {
    const names = this.#found.map(({ probe }) =>
      spelled.includes(":") ? `${probe.provider}:${probe.name}` : probe.name,
    );
    const providers = new Set(this.#found.map(({ probe }) => probe.provider));
    if (providers.size === 0) return "the program was built without USDT probes, or is stripped of its notes";
    return (
      didYouMean(nearestNames(spelled, new Set(names))) ?? `providers here: ${[...providers].join(", ")}`
    );
  }
}

function fileAt(path: string, pid: number): ProbedFile {
  const file = openUserFile("USDT", path, pid);
  return { path: file.path, shownPath: path, module: file.symbols };
}

/** Everything that a process runs code of. */
function filesOf(pid: number): readonly ProbedFile[] {
  const mappings = mappingsOf(pid);
  if (mappings === undefined) throw new UsageError(`USDT: there is no process ${pid}`);
  const files = new Map<string, ProbedFile>();
  for (const mapping of mappings) {
    if (!mapping.isExecutable || mapping.inode === 0 || files.has(mapping.path)) continue;
    const path = fileOf(pid, mapping);
    const module = openModule(path, rootOf(pid));
    if (module !== null) files.set(mapping.path, { path, shownPath: mapping.path, module });
  }
  return [...files.values()];
}
