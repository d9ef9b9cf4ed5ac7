import { readFileSync } from "node:fs";
import { join } from "node:path";
import { declareHelper, helpers } from "../isa/helpers.ts";
import type { Btf } from "../object/btf.ts";
import { type Clang, type ClangOutput, OWN_TEXT, type PositionOf, runClang } from "./clang.ts";
import type { CompileEnvironment } from "./environment.ts";
import { compileFlags, loweringDefinitions, type Meanings, targetFlags } from "./flags.ts";
import { kernelTypes, type TypeRequest } from "./kernel-types.ts";
import { headersFolder } from "./preprocess.ts";
import { uapiEnumerators } from "./uapi-enumerators.ts";

/** Lowered C, and what it needs declared. */
export interface LoweredSource {
  readonly text: string;
  readonly request: TypeRequest;
  /** Structs of tracepoint records, complete. */
  readonly tracepointStructs: readonly string[];
  /** Functions that the lowered text calls; they need what the headers declare. */
  readonly readers?: string | undefined;
}

/** The headers that stand around every source, and what they define. */
interface Shipped {
  readonly base: string;
  readonly lower: string;
  /** What reading and writing packets means: for sources that do. */
  readonly packet: string;
  readonly tags: ReadonlySet<string>;
  /** Typedefs and macros. */
  readonly names: ReadonlySet<string>;
  /** Macros whose meaning a source may give itself, by a function or another name of file scope. */
  readonly macros: ReadonlySet<string>;
}

let headers: Shipped | undefined;

const TYPEDEF = /^typedef .*?(\w+);\n/gm;
const STRUCT = /^struct (\w+) \{[^}]*\};\n/gm;

function shipped(): Shipped {
  if (headers === undefined) {
    const base = readFileSync(join(headersFolder, "base.h"), "utf8");
    const lower = readFileSync(join(headersFolder, "lower.h"), "utf8");
    const packet = readFileSync(join(headersFolder, "packet.h"), "utf8");
    const typedefs = [...base.matchAll(TYPEDEF)].map((match) => match[1]!);
    const macros = [...`${base}\n${lower}\n${packet}`.matchAll(/^#define (\w+)/gm)].map((match) => match[1]!);
    const tags = new Set([...base.matchAll(STRUCT)].map((match) => match[1]!));
    headers = {
      base,
      lower,
      packet,
      tags,
      names: new Set([...typedefs, ...macros]),
      macros: new Set(macros),
    };
  }
  return headers;
}

/**
 * The base header without what a source defines itself. Names in two underscores stay: the rest of the header stands
 * on them, and a source can only repeat them.
 */
function baseFor(base: string, { definedTags, definedNames }: TypeRequest): string {
  return base
    .replace(TYPEDEF, (line, name: string) => (definedNames.has(name) && !name.startsWith("__") ? "" : line))
    .replace(STRUCT, (lines, tag: string) => (definedTags.has(tag) ? "" : lines));
}

/** Words of C itself and of the compiler, which no kernel type is called: looking each up would cost a millisecond. */
const KEYWORDS = new Set(
  `auto break case char const continue default do double else enum extern float for goto if inline int long register
  restrict return short signed sizeof static struct switch typedef union unsigned void volatile while _Bool
  __attribute__ __typeof__ typeof asm volatile section used always_inline noinline`.split(/\s+/),
);

/** What sources say that touch packets, themselves or by what their packet headers became. */
const PACKETS =
  /\b(?:__rx_(?:packet|cksum)_\w+|MASK|MASK128|load_dword|bpf_d(?:ext|ins)_pkt|bpf_store_(?:byte|half|word|dword))\b/;

/** Everything that stands before the user's text: base types, the kernel's, helpers, the meaning of methods. */
export function preludeFor(source: LoweredSource, types: (tags: ReadonlySet<string>) => Btf | null): string {
  const { base, lower, packet, tags, names, macros } = shipped();
  const { definedTags, definedNames } = source.request;
  const wanted = [...source.request.words].filter(
    (word) => !names.has(word) && !definedNames.has(word) && !KEYWORDS.has(word),
  );
  // Also where a macro of ours has a helper's name: a source may use the name alone.
  const used = [...source.request.words].filter(
    (word) => !definedNames.has(word) && word.startsWith("bpf_") && Object.hasOwn(helpers, word.slice(4)),
  );
  const helperNames = new Set(used);
  const declarations = used.map((word) => declareHelper(word.slice(4) as keyof typeof helpers));
  const request = {
    ...source.request,
    words: new Set(wanted.filter((word) => !helperNames.has(word))),
    definedTags: new Set([...definedTags, ...tags]),
    definedNames: new Set([...definedNames, ...names]),
  };
  const needsTypes = request.words.size > 0 || request.tags.size > 0;
  const btf = needsTypes ? types(source.request.tags) : null;
  const older = wanted.filter(
    (word) => Object.hasOwn(uapiEnumerators, word) && btf?.findEnumerator(word) === undefined,
  );
  const structs = [...new Set(declarations.flatMap((line) => line.match(/\b(?:struct|union) \w+/g) ?? []))];
  return [
    baseFor(base, source.request),
    btf === null ? "" : kernelTypes(btf, request),
    ...older.map((word) => `enum { ${word} = ${uapiEnumerators[word]} };`),
    ...structs.map((tag) => `${tag};`),
    ...declarations,
    ...source.tracepointStructs,
    lower,
    source.readers ?? "",
    PACKETS.test(source.text) ? packet : "",
    ...[...definedNames].filter((name) => macros.has(name)).map((name) => `#undef ${name}`),
  ].join("\n");
}

/**
 * Compiles lowered C to an object.
 *
 * @throws CompileError with positions in the user's text
 */
export function compileLowered(
  clang: Clang,
  source: LoweredSource,
  options: Meanings & {
    readonly environment: CompileEnvironment;
    readonly cflags: readonly string[];
    readonly positionOf: PositionOf;
  },
): ClangOutput {
  const { environment } = options;
  const prelude = preludeFor(source, (tags) => environment.types(tags));
  const args = [
    ...targetFlags,
    ...compileFlags,
    ...definitionsFor(environment, options),
    ...options.cflags.filter((flag) => /^-(?:O|f|m|W)/.test(flag)),
    "-x",
    "c",
    "-c",
    "-o",
    "-",
    "-",
  ];
  return runClang(clang, args, `# 1 "${OWN_TEXT}"\n${prelude}\n${source.text}`, options.positionOf);
}

function definitionsFor(environment: CompileEnvironment, meanings: Meanings): readonly string[] {
  return [...loweringDefinitions(environment, meanings), `-D__RX_NUM_CPUS=${environment.onlineCpus}`];
}

/**
 * Lowered C as one text that any clang with a BPF back end compiles by itself: it includes nothing and needs no -D.
 * The user's part comes last.
 */
export function standaloneText(source: LoweredSource, environment: CompileEnvironment): string {
  const macros = definitionsFor(environment, { syscallTracepoint: false }).map((flag) => {
    const [name = "", value = "1"] = flag.slice("-D".length).split("=");
    return `#define ${name} ${value}`;
  });
  const { major, minor, patch } = environment.version;
  return [
    `/* Lowered for Linux ${major}.${minor}.${patch} (${environment.arch}).`,
    ` * Compile with: clang -target bpf ${compileFlags.join(" ")} -c FILE.c -o FILE.o */`,
    // Sources of BCC's dialect are not written for a compiler's taste, and some warnings are errors by default.
    '#pragma clang diagnostic ignored "-Weverything"',
    ...macros,
    "",
    preludeFor(source, () => environment.types()),
    "/* ---- the source, lowered ---- */",
    source.text,
  ].join("\n");
}
