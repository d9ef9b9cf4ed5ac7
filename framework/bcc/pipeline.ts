import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  type RewriteResult,
  rewrite,
  type TableDeclaration,
  tagsMacroOf,
  type UsdtProgram,
} from "../../rewriter/index.ts";
import { cacheEnabled, cacheKey, readCache, writeCache } from "../compile/cache.ts";
import { findClang } from "../compile/clang.ts";
import type { CompileEnvironment } from "../compile/environment.ts";
import { compileLowered, type LoweredSource } from "../compile/lower.ts";
import {
  AFTER_SOURCE,
  gatherFiles,
  headersFolder,
  preprocess,
  type Source,
  type SourceFiles,
} from "../compile/preprocess.ts";
import { tracepointStruct } from "../compile/tracepoint-types.ts";
import {
  didYouMean,
  formatDiagnostic,
  formatDiagnostics,
  linesOf,
  nearestNames,
} from "../core/diagnostics.ts";
import {
  CompileError,
  RewriteError,
  type SourceDiagnostic,
  type SourcePosition,
  VerifierError,
} from "../core/errors.ts";
import { ambiguousBuffers } from "../object/event-lengths.ts";
import type { ObjectSpec } from "../object/object-spec.ts";
import { readObject } from "../object/read-object.ts";
import { placeTracepoint } from "../programs/targets.ts";

export type { UsdtProgram };

/** What USDT probes give to a source: functions that read their arguments, and which of them a program may call. */
export interface UsdtReaders {
  readonly text: string;
  readonly programs: ReadonlyMap<string, UsdtProgram>;
}

/** A source with the readers of the USDT probes that its programs are enabled for. */
export interface ProbedSource extends Source {
  readonly usdt?: UsdtReaders | undefined;
}

/** What the rewriter found in a source, as far as it is needed after compiling. Kept in the cache beside the object. */
export interface SourceFacts {
  readonly tables: readonly TableDeclaration[];
  readonly functions: readonly {
    readonly name: string;
    readonly section: string | null;
    readonly position: SourcePosition;
  }[];
  /** Whether parameters or registers of the context are read through BCC's macros: the object depends on the hook. */
  readonly readsRegisters: boolean;
  /** Whether programs print to the trace pipe. */
  readonly prints: boolean;
  /** Functions that reach into `struct pt_regs` themselves. */
  readonly ownRegisters: readonly string[];
  readonly notes: readonly SourceDiagnostic[];
}

/** A compiled source. */
export interface Built {
  readonly object: ObjectSpec;
  readonly bytes: Uint8Array;
  readonly facts: SourceFacts;
  readonly files: SourceFiles;
  readonly seconds: { readonly rewrite: number; readonly compile: number };
  readonly fromCache: boolean;
}

/** What may differ between two compilations of one source. */
export interface BuildOptions {
  /** The programs will run on tracepoints of system calls, in place of probes of their functions. */
  readonly syscallTracepoint: boolean;
  /** Programs count what does not fit into a ring buffer; true unless said otherwise. */
  readonly countDrops?: boolean;
  /** Programs count updates of tables that the kernel refuses; false unless said otherwise. */
  readonly countFailedUpdates?: boolean;
}

/**
 * From a source to an object: preprocess, rewrite, compile, read. The same source gives the same object from the
 * cache, without a compiler.
 *
 * @throws RewriteError, CompileError, ObjectError
 */
export function buildObject(
  source: ProbedSource,
  environment: CompileEnvironment,
  options: BuildOptions,
): Built {
  const files = gatherFiles(source);
  const clang = findClang();
  const key = cacheKey([
    clang.identity,
    environment.identity,
    headersIdentity(),
    JSON.stringify([
      options.syscallTracepoint,
      options.countDrops ?? true,
      options.countFailedUpdates ?? false,
    ]),
    JSON.stringify(source.cflags),
    source.folder,
    ...(source.usdt === undefined ? [] : [source.usdt.text, JSON.stringify([...source.usdt.programs])]),
    ...[...files.texts].flat(),
  ]);
  const cached = cacheEnabled() ? readCache<SourceFacts>(key) : undefined;
  if (cached !== undefined) {
    const object = readObject(cached.object, readOptions(environment));
    return {
      object,
      bytes: cached.object,
      facts: cached.facts,
      files,
      seconds: { rewrite: 0, compile: 0 },
      fromCache: true,
    };
  }
  const started = performance.now();
  const lowered = lower(source, files, environment);
  const rewritten = performance.now();
  const compiled = (tags: readonly string[]): Compiled => {
    const bytes = compile(source, files, lowered, environment, { ...options, tags });
    return { bytes, object: readObject(bytes, readOptions(environment)) };
  };
  const { object, bytes, notes } = withTags(compiled([]), lowered, compiled);
  const seconds = { rewrite: (rewritten - started) / 1000, compile: (performance.now() - rewritten) / 1000 };
  const facts = factsOf(lowered, notes);
  if (cacheEnabled()) writeCache(key, { object: bytes, facts });
  return { object, bytes, facts, files, seconds, fromCache: false };
}

function readOptions(environment: CompileEnvironment): Parameters<typeof readObject>[1] {
  return {
    kernelTypes: () => {
      const types = environment.types();
      if (types === null)
        throw new CompileError("this kernel offers no types (BTF), which CO-RE accesses need", NO_RUN);
      return types;
    },
  };
}

const NO_RUN = { diagnostics: [], command: [], stderr: "" } as const;

let headers: string | undefined;

/** Changes when a header that this library ships does. */
function headersIdentity(): string {
  headers ??= readdirSync(headersFolder, { recursive: true, encoding: "utf8" })
    .map((name) => {
      const { size, mtimeMs } = statSync(join(headersFolder, name));
      return `${name}:${size}:${mtimeMs}`;
    })
    .sort()
    .join("\n");
  return headers;
}

/**
 * Preprocesses and rewrites.
 *
 * @param sectionOf sections for functions of BCC's dialect, as `rewrite` takes them
 * @throws RewriteError with every error found
 */
export function lower(
  source: ProbedSource,
  files: SourceFiles,
  environment: CompileEnvironment,
  sectionOf?: (name: string) => string | null,
): RewriteResult {
  const show = linesOf(files.texts);
  const text = atSource(source, files, () => preprocess(findClang(), source, files, environment));
  const kernelTypes = (tags: Iterable<string>) => environment.types(tags);
  const result = rewrite({
    text,
    originals: files.texts,
    kernelTypes,
    sectionOf,
    usdtPrograms: source.usdt?.programs,
  });
  const findings = [...result.diagnostics, ...missingTracepoints(result, environment)];
  const errors = findings.filter((finding) => finding.severity === "error");
  if (errors.length > 0) throw new RewriteError(formatDiagnostics(errors, show), findings);
  return result;
}

/** Lowered C with all that it needs declared: what a compiler is given. */
export function withDeclarations(lowered: RewriteResult, environment: CompileEnvironment): LoweredSource {
  const tracepointStructs = lowered.tracepoints.map((use) => {
    const { category, name } = placeTracepoint(use, hasTracepoint(environment));
    const format = environment.tracepointFormat(category, name) ?? "";
    return tracepointStruct(`tracepoint__${category}__${name}`, format);
  });
  const tags = new Set([...lowered.mentions.tags].filter((tag) => !tag.startsWith("tracepoint__")));
  return { text: lowered.text, request: { ...lowered.mentions, tags }, tracepointStructs };
}

/** Compiles what `lower` gave. @throws CompileError with every finding at the user's lines */
export function compile(
  source: ProbedSource,
  files: SourceFiles,
  lowered: RewriteResult,
  environment: CompileEnvironment,
  options: BuildOptions & { readonly tags?: readonly string[] },
): Uint8Array {
  return atSource(source, files, () => {
    const declared = { ...withDeclarations(lowered, environment), readers: source.usdt?.text };
    const { stdout } = compileLowered(findClang(), declared, {
      environment,
      cflags: source.cflags,
      positionOf: lowered.positionOf,
      ...options,
    });
    return new Uint8Array(stdout);
  });
}

/** Shows a compiler's findings under the user's lines. */
function atSource<T>(source: Source, files: SourceFiles, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof CompileError) || error.diagnostics.length === 0) throw error;
    const { command, stderr } = error;
    const diagnostics = withoutEchoes(atEnd(source, error.diagnostics));
    const shown = diagnostics.filter((finding) => finding.severity === "error");
    const message = formatDiagnostics(shown, linesOf(files.texts));
    throw new CompileError(message, { diagnostics, command, stderr }, { cause: error });
  }
}

/** An expression with an error inside of a read has no type, and compilers say so once more for what it is used in. */
function withoutEchoes(findings: readonly SourceDiagnostic[]): readonly SourceDiagnostic[] {
  const wrong = new Set<string>();
  return findings.filter(({ file, line, severity, message }) => {
    const place = `${file}:${line}`;
    if (wrong.has(place) && /'void'/.test(message)) return false;
    if (severity === "error") wrong.add(place);
    return true;
  });
}

/** A bracket or quote that a source leaves open is missed in the text behind it; it is shown at the source's end. */
function atEnd(source: Source, findings: readonly SourceDiagnostic[]): readonly SourceDiagnostic[] {
  const lines = source.text.trimEnd().split("\n");
  const end = { file: source.file, line: lines.length, column: lines.at(-1)!.length + 1 };
  const own = findings.filter(({ file }) => file !== AFTER_SOURCE);
  const missing = findings.filter(
    ({ file, message }) => file === AFTER_SOURCE && message.startsWith("expected "),
  );
  return [...own, ...missing.map((finding) => ({ ...finding, ...end }))];
}

function hasTracepoint(environment: CompileEnvironment): (category: string, name: string) => boolean {
  return (category, name) => environment.tracepointFormat(category, name) !== undefined;
}

function missingTracepoints(
  result: RewriteResult,
  environment: CompileEnvironment,
): readonly SourceDiagnostic[] {
  const exists = hasTracepoint(environment);
  return result.tracepoints.flatMap((use) => {
    const { category, name, position } = placeTracepoint(use, exists);
    if (exists(category, name)) return [];
    const names = environment.tracepointNames(category);
    const near = nearestNames(name, names);
    const categories = nearestNames(category, names);
    const hint =
      didYouMean(near) ?? didYouMean(categories) ?? "ls /sys/kernel/tracing/events lists what there is";
    const finding: SourceDiagnostic = {
      ...position,
      severity: "error",
      code: "UNKNOWN_TRACEPOINT",
      message: `this kernel has no tracepoint ${category}:${name}`,
      hint,
    };
    return [finding];
  });
}

/**
 * A verifier's rejection with the place in the user's own text, shown with its line. The object's line records name
 * lowered lines and columns; lowering once more tells what they came from.
 */
export function atUsersLine(
  error: VerifierError,
  source: ProbedSource,
  environment: CompileEnvironment,
): VerifierError {
  const { at } = error;
  if (at === undefined) return error;
  const files = gatherFiles(source);
  const file = [...files.texts.keys()].find((name) => resolve(name) === resolve(at.file)) ?? at.file;
  const position = lower(source, files, environment).positionOf(file, at.line, at.column);
  const finding: SourceDiagnostic = {
    ...position,
    severity: "error",
    code: error.code,
    message: error.message.split("\n")[0]!,
  };
  const message = formatDiagnostic(finding, linesOf(files.texts));
  const { program, log, hint, cause } = error;
  return new VerifierError(message, { program, log, at: position }, { hint, cause });
}

const REGISTER_MACROS = /\b(?:PT_REGS_\w+|bcc_parm|bcc_syscall_parm)\s*\(/;

interface Compiled {
  readonly bytes: Uint8Array;
  readonly object: ObjectSpec;
}

/**
 * Compiles once more where a buffer has events of several types whose lengths do not tell them apart, so that records
 * say what they are. Where that cannot be, the object stays as it is, and a note says so.
 */
function withTags(
  plain: Compiled,
  lowered: RewriteResult,
  compileWith: (tags: readonly string[]) => Compiled,
): Compiled & { readonly notes: readonly SourceDiagnostic[] } {
  const tables = ambiguousBuffers(plain.object, lowered.text);
  const own = lowered.tables.filter(
    ({ name, isPublic, kind, pin }) =>
      tables.includes(name) && !isPublic && kind !== "extern" && pin === null,
  );
  if (own.length === 0) return { ...plain, notes: [] };
  try {
    return { ...compileWith(own.map(({ name }) => tagsMacroOf(name))), notes: [] };
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const notes = own.map(
      ({ name, position }): SourceDiagnostic => ({
        ...position,
        severity: "warning",
        code: "EVENT_TYPES",
        message: `events of several types share "${name}", and their records cannot say which they are: all are read as the last`,
        hint: error.diagnostics[0]?.message,
      }),
    );
    return { ...plain, notes };
  }
}

function factsOf(lowered: RewriteResult, notes: readonly SourceDiagnostic[]): SourceFacts {
  return {
    tables: lowered.tables,
    functions: lowered.functions,
    readsRegisters: REGISTER_MACROS.test(lowered.text),
    prints: /\btrace_v?printk\b|\bbcc_trace_printk\b|\bbpf_trace_v?printk\b/.test(lowered.text),
    ownRegisters: lowered.ownRegisters,
    notes: [...lowered.diagnostics, ...notes],
  };
}
