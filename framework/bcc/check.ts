import type { CompileEnvironment } from "../compile/environment.ts";
import type { Source } from "../compile/preprocess.ts";
import {
  BpfError,
  CompileError,
  RewriteError,
  type SourceDiagnostic,
  VerifierError,
} from "../core/errors.ts";
import type { MapSpec, ProgramSpec } from "../object/object-spec.ts";
import type { ProgramKindName } from "../programs/kinds.ts";
import type { RawMap, Runtime } from "../runtime/types.ts";
import { atUsersLine, type Built, buildObject } from "./pipeline.ts";

/** What checking a source found. Names as the kernel spells them where it has them. */
export interface CheckReport {
  readonly ok: boolean;
  readonly programs: readonly ProgramReport[];
  readonly maps: readonly MapReport[];
  readonly diagnostics: readonly SourceDiagnostic[];
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
  readonly error?: ErrorReport;
}

/** An error as data; file, line and column are null where no place in the source is to blame. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly hint: string | null;
}

/** How to check. */
export interface CheckOptions {
  readonly environment: CompileEnvironment;
  /** Where to create the maps and load every function; null stops after compiling. */
  readonly runtime: Runtime | null;
  /** Kinds of functions that nothing else gives one. */
  readonly kinds: ReadonlyMap<string, ProgramKindName>;
}

/** A report, and the object when there is one. */
export interface Checked {
  readonly report: CheckReport;
  readonly built: Built | undefined;
}

/**
 * Rewrites and compiles a source and loads each of its functions, without attaching any. What is wrong with the source
 * is in the report; only what is wrong with this machine is thrown.
 */
export function checkSource(source: Source, options: CheckOptions): Checked {
  const { environment, runtime } = options;
  let built: Built;
  try {
    built = buildObject(source, environment, { syscallTracepoint: false });
  } catch (error) {
    return { report: refused(error), built: undefined };
  }
  const started = performance.now();
  const created = new Map<string, RawMap>();
  try {
    const maps = built.object.maps.map((spec) => checkMap(spec, runtime, created));
    const isComplete = maps.every((map) => map.error === undefined);
    const programs = built.object.programs.map((spec) =>
      checkProgram(spec, source, isComplete ? options : { ...options, runtime: null }, created),
    );
    const load = runtime === null ? 0 : (performance.now() - started) / 1000;
    const ok = isComplete && programs.every((program) => program.ok);
    return {
      report: { ok, programs, maps, diagnostics: built.facts.notes, seconds: { ...built.seconds, load } },
      built,
    };
  } finally {
    for (const map of created.values()) map[Symbol.dispose]();
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
    diagnostics: error.diagnostics,
    seconds: { rewrite: 0, compile: 0, load: 0 },
  };
}

function checkMap(spec: MapSpec, runtime: Runtime | null, created: Map<string, RawMap>): MapReport {
  const { name, kind, keySize, valueSize, maxEntries } = spec;
  const slots = maxEntries === 0 && kind === "perf_event_array" ? runtime?.cpuCount : undefined;
  const report = {
    name,
    type: kind,
    key_size: keySize,
    value_size: valueSize,
    max_entries: slots ?? maxEntries,
  };
  if (runtime === null) return report;
  try {
    created.set(name, runtime.createMap(spec));
    return report;
  } catch (error) {
    return { ...report, error: errorReport(error) };
  }
}

function checkProgram(
  spec: ProgramSpec,
  source: Source,
  { environment, runtime, kinds }: CheckOptions,
  maps: ReadonlyMap<string, RawMap>,
): ProgramReport {
  const kind = kinds.get(spec.name) ?? spec.kind;
  const report = { name: spec.name, type: kind, insns: spec.insns.length / 8 };
  if (runtime === null) return { ...report, ok: true };
  if (kind === null) return { ...report, ok: false, error: unknownKind(spec.name) };
  try {
    runtime.loadProgram({ ...spec, kind }, maps)[Symbol.dispose]();
    return { ...report, ok: true };
  } catch (error) {
    if (!(error instanceof VerifierError)) return { ...report, ok: false, error: errorReport(error) };
    const placed = atUsersLine(error, source, environment);
    return { ...report, ok: false, error: errorReport(placed), log: placed.log };
  }
}

function unknownKind(name: string): ErrorReport {
  return {
    code: "UNKNOWN_KIND",
    message: `nothing says what kind of program "${name}" is`,
    file: null,
    line: null,
    column: null,
    hint: `say so with --prog ${name}=kprobe, or give it a name or section that does`,
  };
}

function errorReport(error: unknown): ErrorReport {
  if (!(error instanceof BpfError)) throw error;
  const at = error instanceof VerifierError ? error.at : undefined;
  return {
    code: error.code,
    message: error.message,
    file: at?.file ?? null,
    line: at?.line ?? null,
    column: at?.column ?? null,
    hint: error.hint ?? null,
  };
}
