import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Clang, findClang, runClang } from "../../../framework/compile/clang.ts";
import type { CompileEnvironment } from "../../../framework/compile/environment.ts";
import { compileLowered } from "../../../framework/compile/lower.ts";
import { gatherFiles, preprocess, type Source } from "../../../framework/compile/preprocess.ts";
import { tracepointStruct } from "../../../framework/compile/tracepoint-types.ts";
import { formatDiagnostics, linesOf } from "../../../framework/core/diagnostics.ts";
import { Btf } from "../../../framework/object/btf.ts";
import { Elf } from "../../../framework/object/elf.ts";
import { type RewriteResult, rewrite } from "../../../rewriter/index.ts";
import { fixturesFolder } from "../../support/fixtures.ts";

const folder = join(fixturesFolder, "rewriter");

let types: Btf | undefined;

/** BTF of the C file that stands for a kernel. */
function fixtureTypes(): Btf {
  if (types === undefined) {
    const text = readFileSync(join(folder, "kernel-types.c"), "utf8");
    const { stdout } = runClang(
      findClang(),
      ["-target", "bpf", "-g", "-O2", "-x", "c", "-c", "-o", "-", "-"],
      text,
      at,
    );
    types = new Btf(new Elf(new Uint8Array(stdout)).section(".BTF")!.data);
  }
  return types;
}

const at = (file: string, line: number, column: number) => ({ file, line, column });

const common = `
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;
`;

/** Format files of the tracepoints that fixtures use. */
const formats: Readonly<Record<string, string>> = {
  "syscalls:sys_enter_openat": `${common}
	field:int __syscall_nr;	offset:8;	size:4;	signed:1;
	field:const char * filename;	offset:24;	size:8;	signed:0;
	field:int flags;	offset:32;	size:8;	signed:0;`,
  "syscalls:sys_exit_openat": `${common}
	field:long ret;	offset:16;	size:8;	signed:1;`,
  "sched:sched_switch": `${common}
	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t prev_pid;	offset:24;	size:4;	signed:1;
	field:pid_t next_pid;	offset:60;	size:4;	signed:1;`,
};

/** An x86-64 kernel that is the same on every machine. */
export const fixtureKernel: CompileEnvironment = {
  identity: "fixtures",
  version: { major: 6, minor: 1, patch: 0 },
  arch: "x64",
  pageSize: 4096,
  hasSyscallWrapper: true,
  onlineCpus: 4,
  configuration: () => new Map([["CONFIG_NET_NS", "y"]]),
  types: fixtureTypes,
  tracepointFormat: (category, name) => formats[`${category}:${name}`],
  tracepointNames: () => [],
};

/** A source after preprocessing and rewriting. */
export interface Lowered extends RewriteResult {
  /** What the preprocessor gave. */
  readonly preprocessed: string;
  readonly source: Source;
  /** Findings as a command prints them. */
  readonly shown: string;
}

/** Preprocesses and rewrites a text of one file with the bundled clang. */
export function lowerText(text: string, place: Partial<Source> = {}): Lowered {
  const source = { file: "source.c", text, folder, cflags: [], ...place };
  const files = gatherFiles(source);
  const preprocessed = preprocess(findClang(), source, files, fixtureKernel);
  const result = rewrite({ text: preprocessed, originals: files.texts, kernelTypes: fixtureTypes });
  return {
    ...result,
    preprocessed,
    source,
    shown: formatDiagnostics(result.diagnostics, linesOf(files.texts)),
  };
}

/** Compiles what `lowerText` gave, for the fixtures' kernel. */
export function compileText(lowered: Lowered, clang: Clang = findClang()): Uint8Array {
  const tracepointStructs = lowered.tracepoints.map(({ category, name }) =>
    tracepointStruct(`tracepoint__${category}__${name}`, formats[`${category}:${name}`] ?? ""),
  );
  const tags = [...lowered.mentions.tags].filter((tag) => !tag.startsWith("tracepoint__"));
  const { stdout } = compileLowered(
    clang,
    { text: lowered.text, request: { ...lowered.mentions, tags: new Set(tags) }, tracepointStructs },
    {
      environment: fixtureKernel,
      syscallTracepoint: false,
      cflags: lowered.source.cflags,
      positionOf: lowered.positionOf,
    },
  );
  return new Uint8Array(stdout);
}
