import type { CompileEnvironment } from "../compile/environment.ts";
import type { Source } from "../compile/preprocess.ts";
import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import {
  BpfError,
  CompileError,
  RewriteError,
  type SourceDiagnostic,
  type SourcePosition,
  UsageError,
  VerifierError,
} from "../core/errors.ts";
import type { MapSpec, ProgramSpec } from "../object/object-spec.ts";
import type { ProgramKindName } from "../programs/kinds.ts";
import type { RawMap, Runtime } from "../runtime/types.ts";
import type { Roles } from "./emit.ts";
import { atUsersLine, type Built, buildObject } from "./pipeline.ts";
import { planOf } from "./usdt.ts";
import { usdtSections } from "./usdt-sections.ts";

/** What checking a source found. Names as the kernel spells them where it has them. */
export interface CheckReport {
  readonly ok: boolean;
  readonly programs: readonly ProgramReport[];
  readonly maps: readonly MapReport[];
  readonly diagnostics: readonly FindingReport[];
  /** Zero for what the object cache answered. */
  readonly seconds: { readonly rewrite: number; readonly compile: number; readonly load: number };
}

export interface ProgramReport {
  readonly name: string;
  /** null when neither name, section nor the caller says what it is. */
  readonly type: ProgramKindName | null;
  readonly ok: boolean;
  /** Instructions in the object, of the function and all it calls. */
  readonly insns: number;
  readonly error?: ErrorReport;
  /** The verifier's log of a rejection. */
  readonly log?: string;
}

export interface MapReport {
  readonly name: string;
  readonly type: string;
  readonly key_size: number;
  readonly value_size: number;
  readonly max_entries: number;
}

/** An error as data; where no line of the source is to blame, file, line and column are those of the function. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly hint: string | null;
}

/** A finding about the source. */
export interface FindingReport extends SourcePosition {
  readonly severity: SourceDiagnostic["severity"];
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** How to check. */
export interface CheckOptions {
  readonly environment: CompileEnvironment;
  /** Where to create the maps and load every function; null stops after compiling. */
  readonly runtime: Runtime | null;
  /** What functions are that nothing else gives a kind; they win over names and sections. */
  readonly roles: Roles;
}

/**
 * Rewrites and compiles a source and loads each of its functions, without attaching any. What is wrong with the source
 * is in the report; only what is wrong with this machine is thrown.
 *
 * @throws UsageError for a role of a function that the source does not have
 * @throws AttachError for a program with probes, named in a section, that this machine lacks
 */
export function checkSource(source: Source, options: CheckOptions): CheckReport {
  const { contexts } = usdtSections(source.text);
  const usdt = contexts.length === 0 ? undefined : planOf(contexts, { ignorePid: true }).readers;
  let built: Built;
  try {
    built = buildObject({ ...source, usdt }, options.environment, { syscallTracepoint: false });
  } catch (error) {
    return refused(error);
  }
  checkRoles(options.roles, built);
  const started = performance.now();
  const check = new Check(source, built, options);
  try {
    const maps = built.object.maps.map((spec) => check.map(spec));
    const programs = built.object.programs.map((spec) => check.program(spec));
    const load = options.runtime === null ? 0 : (performance.now() - started) / 1000;
    const ok = check.findings.length === 0 && programs.every((program) => program.ok);
    const diagnostics = [...built.facts.notes.map(finding), ...check.findings];
    return { ok, programs, maps, diagnostics, seconds: { ...built.seconds, load } };
  } finally {
    check[Symbol.dispose]();
  }
}

/** A source that does not compile: its findings are the report. */
function refused(error: unknown): CheckReport {
  if (!(error instanceof RewriteError || error instanceof CompileError) || error.diagnostics.length === 0)
    throw error;
  return {
    ok: false,
    programs: [],
    maps: [],
    diagnostics: error.diagnostics.map(finding),
    seconds: { rewrite: 0, compile: 0, load: 0 },
  };
}

function finding({ severity, code, message, file, line, column, hint }: SourceDiagnostic): FindingReport {
  return { severity, code, message, file, line, column, hint: hint ?? null };
}

function checkRoles(roles: Roles, { object }: Built): void {
  const names = object.programs.map(({ name }) => name);
  const unknown = [...roles.keys()].find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new UsageError(`the source has no program function "${unknown}"`, {
    hint: didYouMean(nearestNames(unknown, names)) ?? `it has ${names.join(", ") || "none"}`,
  });
}

/** One source on one kernel: the maps that its programs are loaded with, and what they were refused for. */
class Check implements Disposable {
  readonly findings: FindingReport[] = [];
  readonly #source: Source;
  readonly #built: Built;
  readonly #options: CheckOptions;
  readonly #maps = new Map<string, RawMap>();

  constructor(source: Source, built: Built, options: CheckOptions) {
    this.#source = source;
    this.#built = built;
    this.#options = options;
  }

  map(spec: MapSpec): MapReport {
    const { name, kind, keySize, valueSize, maxEntries } = spec;
    const { runtime } = this.#options;
    const slots = maxEntries === 0 && kind === "perf_event_array" ? runtime?.cpuCount : undefined;
    try {
      // Nothing of a check outlives it.
      if (runtime !== null) this.#maps.set(name, runtime.createMap({ ...spec, pin: undefined }));
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      const { code, message, hint } = error;
      this.findings.push(finding({ ...this.#mentionOf(name), severity: "error", code, message, hint }));
    }
    return { name, type: kind, key_size: keySize, value_size: valueSize, max_entries: slots ?? maxEntries };
  }

  program(spec: ProgramSpec): ProgramReport {
    const { runtime, roles, environment } = this.#options;
    const role = roles.get(spec.name);
    const kind = role?.kind ?? spec.kind;
    const report = { name: spec.name, type: kind, ok: true, insns: spec.insns.length / 8 };
    if (runtime === null) return report;
    const failed = (error: Failure, at: SourcePosition | undefined): ProgramReport => ({
      ...report,
      ok: false,
      error: errorReport(error, at ?? this.#functionNamed(spec.name)),
    });
    if (kind === null) return failed(unknownKind(spec.name), undefined);
    const [missing] = this.findings;
    if (missing !== undefined) {
      const message = `program "${spec.name}" was not loaded: ${missing.message}`;
      return failed({ code: missing.code, message, hint: missing.hint ?? undefined }, missing);
    }
    try {
      runtime
        .loadProgram({ ...spec, kind, target: role?.target ?? spec.target }, this.#maps)
        [Symbol.dispose]();
      return report;
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      if (!(error instanceof VerifierError)) return failed(error, undefined);
      const placed = atUsersLine(error, this.#source, environment);
      return { ...failed(placed, placed.at), log: placed.log };
    }
  }

  #functionNamed(name: string): SourcePosition | undefined {
    return this.#built.facts.functions.find((candidate) => candidate.name === name)?.position;
  }

  /** Where the user's text names a table first; the beginning for one that only the lowered text has. */
  #mentionOf(table: string): SourcePosition {
    const word = new RegExp(`\\b${table}\\b`);
    for (const [file, text] of this.#built.files.texts) {
      const at = text.search(word);
      if (at < 0) continue;
      const before = text.slice(0, at).split("\n");
      return { file, line: before.length, column: before.at(-1)!.length + 1 };
    }
    return { file: this.#source.file, line: 1, column: 1 };
  }

  [Symbol.dispose](): void {
    for (const map of this.#maps.values()) map[Symbol.dispose]();
  }
}

/** An error's own part of a report. */
type Failure = Pick<BpfError, "code" | "message" | "hint">;

function unknownKind(name: string): Failure {
  return {
    code: "UNKNOWN_KIND",
    message: `nothing says what kind of program "${name}" is`,
    hint: `say so with --prog ${name}=kprobe, or give it a name or section that does`,
  };
}

function errorReport(
  { code, message, hint }: Failure,
  { file, line, column }: Partial<SourcePosition> = {},
): ErrorReport {
  return {
    code,
    message,
    file: file ?? null,
    line: line ?? null,
    column: column ?? null,
    hint: hint ?? null,
  };
}
