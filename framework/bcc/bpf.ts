import type { Observable } from "rxjs";
import {
  type AnyTable,
  BufferGroup,
  type Enumeration,
  select,
  type Table,
  traceLines,
} from "../../maps/index.ts";
import type { TableDeclaration, VariableDeclaration } from "../../maps/tables/declaration.ts";
import type { Variable } from "../../maps/tables/variable.ts";
import type { CompileEnvironment } from "../compile/environment.ts";
import { gatherFiles, type Source } from "../compile/preprocess.ts";
import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { AttachError, type BpfError, UnsupportedError, UsageError, VerifierError } from "../core/errors.ts";
import { Scope } from "../core/scope.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { isOptionalSection, type ProgramKindName, programKinds } from "../programs/kinds.ts";
import type { Link, Program, RawMap } from "../runtime/types.ts";
import { type Host, openHost } from "../runtimes.ts";
import { Attachments } from "./attachments.ts";
import { attachesItself, BPF_OPTIONS, type BpfOptions, machineSettings, sourceOf } from "./bpf-options.ts";
import { DEBUG_PREPROCESSOR, kindOfType } from "./constants.ts";
import {
  type EventName,
  type EventOf,
  type FiredProgram,
  type FunctionInput,
  fireEvent,
  fireProgram,
  targetOfEvent,
} from "./fire.ts";
import { foreground } from "./foreground.ts";
import { NetworkHooks } from "./network-hooks.ts";
import { createMaps } from "./object-maps.ts";
import { ObjectTables, type TableTypes } from "./object-tables.ts";
import { checkOptions } from "./options.ts";
import {
  atUsersLine,
  type BuildOptions,
  type Built,
  buildObject,
  lower,
  type ProbedSource,
} from "./pipeline.ts";
import {
  countedSource,
  discardStaleLines,
  lineFormat,
  parseTraceLine,
  type TraceFields,
  type TraceLine,
  TracePipe,
  traceFields,
} from "./trace.ts";
import { planOf } from "./usdt.ts";
import { usdtSections } from "./usdt-sections.ts";

/** A loaded function: what `load_func` gives and prog arrays take. */
export interface BpfFunction {
  readonly name: string;
  readonly fd: number;
  readonly program: Program;
  /** The object it belongs to. */
  readonly bpf: BPF;
}

/** How long a wait lasts: BCC's timeout in milliseconds (-1 for ever), or a signal. */
export interface WaitOptions {
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/**
 * A compiled source with its tables, programs and attachments: BCC's class, with BCC's names.
 *
 * The constructor compiles (or takes the object from the cache), creates the tables, and attaches every function whose
 * name or section says where. Closing detaches and frees all of it; so does the end of the process. One that is killed
 * leaves pinned tables, and attachments that the kernel has no link for.
 */
export class BPF extends NetworkHooks implements Disposable {
  protected readonly scope = new Scope("this BPF object");
  protected readonly host: Host;
  readonly #source: ProbedSource;
  readonly #options: BuildOptions;
  readonly #built: Built;
  #forSyscalls: Built | undefined;
  readonly #maps: ReadonlyMap<string, RawMap>;
  readonly #tables: ObjectTables;
  readonly #programs = new Map<string, Program>();
  readonly #unattached = new Map<string, BpfError>();
  protected readonly attachments: Attachments;
  readonly #perfBuffers = this.scope.own(new BufferGroup("perf buffers"));
  readonly #ringBuffers = this.scope.own(new BufferGroup("ring buffers"));
  readonly #trace: TracePipe;

  /**
   * @throws RewriteError, CompileError for mistakes in the source, at its lines
   * @throws VerifierError, MapError, AttachError, PermissionError, UnsupportedError
   */
  constructor(options: BpfOptions) {
    super();
    checkOptions("BPF", options, BPF_OPTIONS);
    const { usdt_contexts = [], attach_usdt_ignore_pid = false } = options;
    const source = sourceOf(options);
    const sections = usdtSections(source.text);
    const contexts = [...usdt_contexts, ...sections.contexts];
    const probes = planOf(contexts, { ignorePid: attach_usdt_ignore_pid });
    this.#source = { ...source, usdt: contexts.length === 0 ? undefined : probes.readers };
    const { countDrops = true, countFailedUpdates = false } = options;
    this.#options = { syscallTracepoint: false, countDrops, countFailedUpdates };
    try {
      this.host = openHost(options.runtime, machineSettings(options));
      this.scope.own(this.host.runtime);
      const closing = new AbortController();
      this.scope.defer(() => closing.abort());
      const openLines = () =>
        traceLines(() => countedSource(this.host.runtime.openTrace()), { signal: closing.signal });
      this.#trace = this.scope.own(new TracePipe(openLines));
      if (options.debug !== undefined) printLowered(options.debug, this.#source, this.host.environment);
      this.#built = buildObject(this.#source, this.host.environment, this.#options);
      this.#maps = createMaps(this.#built, {
        runtime: this.host.runtime,
        scope: this.scope,
        given: options.maps ?? {},
      });
      this.#tables = new ObjectTables({
        maps: this.#maps,
        btf: this.#built.object.btf,
        runtime: this.host.runtime,
        scope: this.scope,
        buffers: { perf: this.#perfBuffers, ring: this.#ringBuffers },
      });
      this.attachments = new Attachments({
        runtime: this.host.runtime,
        scope: this.scope,
        load: (name, kind) => this.#load(this.#built, name, kind),
        loadForSyscall: (name) => this.#loadForSyscall(name),
        hasTracepoint: (category, name) =>
          this.host.environment.tracepointFormat(category, name) !== undefined,
      });
      if (this.#built.facts.prints) discardStaleLines(() => this.host.runtime.openTrace());
      this.attachUsdt(probes, (name) => !sections.functionNames.has(name) || attachesItself(name, options));
      this.#attachAll(options);
      foreground.begin(this);
    } catch (error) {
      this.scope[Symbol.dispose]();
      throw error;
    }
  }

  /** The optional functions that did not attach, and why. */
  get unattached(): ReadonlyMap<string, BpfError> {
    return this.#unattached;
  }

  /** Which runtime the object lives in. */
  get runtime(): "kernel" | "machine" {
    return this.host.runtime.name;
  }

  /**
   * Loads a function as a program of a type (`BPF.KPROBE`, …), once; a second call gives the same program.
   *
   * @param options.attach_type what the kernel checks such a program for (`BPFAttachType.CGROUP_INET4_CONNECT`, …), where
   * neither the type nor the function's section says it
   */
  load_func(
    func_name: string,
    prog_type: number,
    options: { readonly attach_type?: number } = {},
  ): BpfFunction {
    checkOptions("load_func", options, { attach_type: "number?" });
    const { kind: said } = this.specOf(func_name);
    const kind = kindOfType(prog_type, { attachType: options.attach_type, said });
    const program = this.#load(this.#built, func_name, kind);
    return { name: func_name, program, bpf: this, fd: program.fd };
  }

  /** Loads every function as one type. */
  load_funcs(prog_type: number = BPF.KPROBE): readonly BpfFunction[] {
    return this.#built.object.programs.map((spec) => this.load_func(spec.name, prog_type));
  }

  /**
   * A table by its C name. Key and value types come from the object's BTF, unless given; the type parameters only tell
   * TypeScript.
   *
   * @throws UsageError for a name the source does not declare; LayoutError for types of another size than the map's
   */
  get_table<K = unknown, V = unknown>(name: string, types?: TableTypes): AnyTable<K, V>;
  /**
   * A table as `rxbpf types` wrote it down.
   * @throws MapError MAP_MISMATCH when the source has changed since, with both layouts
   */
  get_table<T extends Table>(declaration: TableDeclaration<T>): T;
  get_table(wanted: string | TableDeclaration, types?: TableTypes): AnyTable {
    return this.#tables.get(wanted, types);
  }

  /** Names of the tables that the source declares. */
  get tableNames(): readonly string[] {
    return this.#tables.names;
  }

  /**
   * A global variable of the source (5.2), by name or as `rxbpf types` wrote it down.
   *
   * @throws UsageError for a name that no data section has; MapError MAP_MISMATCH as in get_table
   */
  variable<T = unknown>(wanted: string | VariableDeclaration<T>): Variable<T> {
    // The caller, or the declaration, says which type it is.
    return this.#tables.variable(wanted) as Variable<T>;
  }

  /**
   * Names and numbers of an enum of the source, by its name. Values are read as numbers, and written as either.
   * @throws UsageError for an enum that no table, event or variable has
   */
  enumeration(name: string): Enumeration {
    return this.#tables.enumeration(name);
  }

  /** Lines that programs print, parsed. The pipe is one for the whole system: lines of others come as well. */
  traceLines(): Observable<TraceLine> {
    return select(this.#trace.lines, parseTraceLine);
  }

  /** Prints what programs print until the object is closed or the signal aborts. `fmt` as in BCC: "{1} {5}". */
  async trace_print(fmt?: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const format = fmt === undefined ? undefined : lineFormat(fmt);
    for (;;) {
      const line = await this.#trace.next({ nonblocking: false, signal: options.signal });
      if (line === undefined) return;
      const parsed = format === undefined ? undefined : parseTraceLine(line);
      if (format === undefined) console.log(line);
      else if (parsed !== undefined) console.log(format(traceFields(parsed)));
    }
  }

  /** The next line of the trace pipe; null when there is none (with `nonblocking`) or the object was closed. */
  async trace_readline(
    nonblocking = false,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<string | null> {
    return (await this.#trace.next({ nonblocking, signal: options.signal })) ?? null;
  }

  /** The fields of the next line that a program printed; null as in trace_readline. */
  async trace_fields(
    nonblocking = false,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<TraceFields | null> {
    for (;;) {
      const line = await this.#trace.next({ nonblocking, signal: options.signal });
      if (line === undefined) return null;
      const parsed = parseTraceLine(line);
      if (parsed !== undefined) return traceFields(parsed);
    }
  }

  /** Waits for records of the opened perf buffers and hands them to their callbacks; resolves with how many. */
  perf_buffer_poll(timeout: number | WaitOptions = -1): Promise<number> {
    return poll("perf_buffer_poll", this.#perfBuffers, timeout);
  }

  /** As `perf_buffer_poll`: BCC's name for it before 0.6. */
  kprobe_poll(timeout: number | WaitOptions = -1): Promise<number> {
    return this.perf_buffer_poll(timeout);
  }

  /** Hands over what the opened perf buffers hold now, without waiting. */
  perf_buffer_consume(): number {
    return this.#perfBuffers.consume();
  }

  /** Waits for records of the opened ring buffers and hands them to their callbacks; resolves with how many. */
  ring_buffer_poll(timeout: number | WaitOptions = -1): Promise<number> {
    return poll("ring_buffer_poll", this.#ringBuffers, timeout);
  }

  /** Hands over what the opened ring buffers hold now, without waiting. */
  ring_buffer_consume(): number {
    return this.#ringBuffers.consume();
  }

  /**
   * Lets something happen in the machine, now, in the circumstances that the context names: runs every function that is
   * attached to an event, and gives what each returned. `"tracepoint/syscalls/sys_enter_openat"`, `"kprobe/vfs_read"`.
   *
   * @throws MachineFault of the first function that was stopped, after all have run
   * @throws UsageError when nothing is attached there; UnsupportedError on the running kernel
   */
  fire<E extends EventName>(event: E, context?: EventOf<E>): readonly bigint[];
  /**
   * Runs one function, attached or not, and gives what it returned: by its name, by what load_func gave, or by what
   * attaching gave. The kernel can do that for programs that take packets, and for raw tracepoints (`args` only).
   */
  fire<F extends string | BpfFunction | Link>(
    func: F extends EventName ? never : F,
    context?: FunctionInput,
  ): bigint;
  fire(subject: string | BpfFunction | Link, context: FunctionInput = {}): bigint | readonly bigint[] {
    this.scope.assertOpen();
    const { runtime } = this.host;
    if (typeof subject === "string" && subject.includes("/")) {
      const target = this.placed(targetOfEvent(subject));
      return fireEvent(runtime, target, context, this.attachments.targets());
    }
    return fireProgram(runtime, this.#fired(subject), context);
  }

  /** A function by name is what load_func loaded it as, else what its section or name says. */
  #fired(subject: string | BpfFunction | Link): FiredProgram {
    if (typeof subject !== "string") {
      const { program } = subject;
      return {
        program,
        kind: kindOf(program),
        target: "target" in subject ? subject.target : program.spec.target,
      };
    }
    const spec = this.specOf(subject);
    const loaded = [...this.#programs.values()].find((program) => program.spec.name === subject);
    if (loaded === undefined && spec.kind === null) {
      throw new UsageError(`cannot fire "${subject}": nothing says what kind of program it is`, {
        hint: `load it first: fire(b.load_func("${subject}", BPF.XDP), ...)`,
      });
    }
    const program = loaded ?? this.#load(this.#built, subject, spec.kind!);
    return { program, kind: kindOf(program), target: spec.target };
  }

  /** Detaches every program, ends streams, and frees tables and programs. A second call does nothing. */
  close(): void {
    this.scope[Symbol.dispose]();
  }

  /** BCC's name for `close`. */
  cleanup(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @throws UsageError for a name in the options that no function has */
  #attachAll({ autoAttach = true, optional = [] }: BpfOptions): void {
    const wanted = typeof autoAttach === "boolean" ? undefined : autoAttach;
    for (const name of [...(wanted ?? []), ...optional]) this.specOf(name);
    if (autoAttach === false) return;
    for (const spec of this.#built.object.programs) {
      if (wanted === undefined ? isOptionalSection(spec.section) : !wanted.includes(spec.name)) continue;
      try {
        if (spec.kind === "uprobe" || spec.kind === "uprobe_multi")
          this.attachUserSection(spec.name, spec.section);
        else this.attachByName(spec);
      } catch (error) {
        if (!optional.includes(spec.name) || !isMissing(error)) throw error;
        this.#unattached.set(spec.name, error);
      }
    }
  }

  protected hasFunction(name: string): boolean {
    return this.#built.object.programs.some((candidate) => candidate.name === name);
  }

  protected rawMap(name: string): RawMap {
    return this.#tables.raw(name);
  }

  protected specOf(name: string, built: Built = this.#built): ProgramSpec {
    const spec = built.object.programs.find((candidate) => candidate.name === name);
    if (spec !== undefined) return spec;
    const names = built.object.programs.map((candidate) => candidate.name);
    throw new UsageError(`the source has no program function "${name}"`, {
      hint: didYouMean(nearestNames(name, names)) ?? `program functions are ${names.join(", ")}`,
    });
  }

  #load(built: Built, name: string, kind: ProgramKindName): Program {
    this.scope.assertOpen();
    const { type, attachType } = programKinds[kind];
    const key = `${name} ${type} ${attachType} ${built === this.#built}`;
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const spec = { ...this.specOf(name, built), kind };
    try {
      const program = this.scope.own(this.host.runtime.loadProgram(spec, this.#maps));
      this.#programs.set(key, program);
      return program;
    } catch (error) {
      throw error instanceof VerifierError ? atUsersLine(error, this.#source, this.host.environment) : error;
    }
  }

  /** A program that reads no registers serves as it is; others are compiled for the tracepoint's record. */
  #loadForSyscall(name: string): Program {
    this.specOf(name);
    const { readsRegisters, ownRegisters } = this.#built.facts;
    if (ownRegisters.includes(name)) {
      throw new UnsupportedError(
        `"${name}" reads members of struct pt_regs, which only a kprobe has, and this kernel was built without CONFIG_KPROBES`,
        {
          hint: "use PT_REGS_PARM1(ctx) and its relatives, or name the parameters: int f(struct pt_regs *ctx, int first)",
        },
      );
    }
    if (readsRegisters) {
      this.#forSyscalls ??= buildObject(this.#source, this.host.environment, {
        ...this.#options,
        syscallTracepoint: true,
      });
    }
    return this.#load(this.#forSyscalls ?? this.#built, name, "tracepoint");
  }
}

/** Programs are loaded with the kind in their spec. */
function kindOf({ spec }: Program): ProgramKindName {
  if (spec.kind === null) throw new TypeError(`program "${spec.name}" is loaded as no kind`);
  return spec.kind;
}

function printLowered(debug: number, source: Source, environment: CompileEnvironment): void {
  if ((debug & ~DEBUG_PREPROCESSOR) !== 0) {
    throw new UnsupportedError(`BPF: "debug" takes DEBUG_PREPROCESSOR, not ${debug}`, {
      hint: "a rejected program's whole verifier log is in the error's `log`",
    });
  }
  if (debug !== 0) process.stderr.write(lower(source, gatherFiles(source), environment).text);
}

/** Whether an attachment failed because of what the kernel lacks: neither the source's fault nor a privilege's. */
function isMissing(error: unknown): error is BpfError {
  return error instanceof AttachError || error instanceof UnsupportedError;
}

async function poll(method: string, group: BufferGroup, timeout: number | WaitOptions): Promise<number> {
  const options = typeof timeout === "number" ? { timeout } : timeout;
  checkOptions(method, options, { timeout: "number?", signal: "signal?" });
  return await group.poll({ timeoutMs: options.timeout, signal: options.signal });
}
