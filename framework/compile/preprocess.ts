import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join, normalize, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { UsageError } from "../core/errors.ts";
import { type Clang, runClang } from "./clang.ts";
import { configurationText, definitions, type KernelFacts, targetFlags } from "./flags.ts";
import { kernelLengths, lengthNames } from "./kernel-sizes.ts";

/** Where the headers stand that this library ships. */
export const headersFolder = fileURLToPath(new URL("./headers", import.meta.url));

/** A user's source. */
export interface Source {
  /** What messages call it, for instance the path the user gave. */
  readonly file: string;
  readonly text: string;
  /** Folder for `#include "..."`. */
  readonly folder: string;
  /** The user's compiler arguments: -D, -U, -I. */
  readonly cflags: readonly string[];
}

/** A source with the user's own headers that it includes. */
export interface SourceFiles {
  /** Texts by the names that line markers give them; the source itself under its own. */
  readonly texts: ReadonlyMap<string, string>;
  /** Includes that are neither the user's nor shipped: kernel headers, which the kernel's types stand in for. */
  readonly absent: ReadonlySet<string>;
}

const INCLUDE = /^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")/gm;

/** What the kernel's types stand in for: every header in a folder. A header without one is the user's. */
const KERNEL = /^[a-z][\w-]*\//;
const KERNEL_FOLDERS = /^(?:linux|uapi|net|asm|asm-generic|bcc|bpf|generated|trace|rdma|scsi)\//;
const KERNEL_NAMES = new Set([
  "vmlinux.h",
  "stdint.h",
  "stddef.h",
  "stdbool.h",
  "stdarg.h",
  "string.h",
  "errno.h",
  "limits.h",
]);

/** What a kernel header that is not there holds: macros that the kernel's has, also through others that it includes. */
function standIn(name: string): string {
  if (isUserspaceHeader(name)) return "";
  return name.startsWith("net/") ? "#include <rxbpf/sock-members.h>\n" : "#include <rxbpf/inlines.h>\n";
}

/** Headers that user space has as well: without the kernel's inline functions, which a source may then define itself. */
function isUserspaceHeader(name: string): boolean {
  return USERSPACE.test(name) || KERNEL_NAMES.has(name);
}

const USERSPACE =
  /^(?:uapi|asm|asm-generic|bcc|bpf)\/|^linux\/(?:bpf|bpf_perf_event|types|if_ether|if_packet|if_vlan|if_arp|if|ip|in|icmp|pkt_cls|ptrace|version|stddef|perf_event|errno|limits|socket|un|netlink|filter)\.h$/;

/** Follows includes from a source and reads the user's own headers. Runs no compiler. */
export function gatherFiles(source: Source): SourceFiles {
  const texts = new Map([[source.file, source.text]]);
  const absent = new Set<string>();
  const folders = resolvedFlags(source.cflags).flatMap((flag) =>
    flag.startsWith("-I") ? [flag.slice(2)] : [],
  );
  const queue = [{ text: source.text, folder: source.folder }];
  for (const { text, folder } of queue) {
    for (const [, angled, quoted] of text.matchAll(INCLUDE)) {
      const name = (angled ?? quoted)!;
      const path = [...(quoted === undefined ? [] : [folder]), ...folders, `${headersFolder}/include`]
        .map((candidate) => join(candidate, name))
        .find(isFile);
      if (path === undefined) {
        if (
          (angled !== undefined && KERNEL.test(name)) ||
          KERNEL_FOLDERS.test(name) ||
          KERNEL_NAMES.has(name)
        )
          absent.add(normalize(name));
      } else if (!texts.has(path) && !path.startsWith(headersFolder)) {
        const header = readFileSync(path, "utf8");
        texts.set(path, header);
        queue.push({ text: header, folder: dirname(path) });
      }
    }
  }
  return { texts, absent };
}

/** Whether there is a file to read; what may not be read is left to the compiler to complain about. */
function isFile(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The user's arguments with `-I folder` in one word and the folder's whole path, as messages then show it. */
function resolvedFlags(cflags: readonly string[]): readonly string[] {
  return cflags.flatMap((flag, index) => {
    if (cflags[index - 1] === "-I") return [];
    if (flag === "-I") return [`-I${resolve(cflags[index + 1] ?? ".")}`];
    return [flag.startsWith("-I") ? `-I${resolve(flag.slice(2))}` : flag];
  });
}

/**
 * Resolves includes, conditionals and macros with clang's own preprocessor. Kernel headers are empty or hold macros;
 * types come later, from BTF.
 *
 * @throws CompileError for what the preprocessor refuses, at the user's position
 * @throws UsageError for a licence that comes from cflags
 */
export function preprocess(clang: Clang, source: Source, files: SourceFiles, kernel: KernelFacts): string {
  if (source.cflags.some((flag) => /^(?:-D\s*)?BPF_LICENSE\b/.test(flag))) {
    throw new UsageError("cflags define BPF_LICENSE, and a source's licence stands in the source", {
      hint: "write #define BPF_LICENSE into the source",
    });
  }
  const scratch = mkdtempSync(join(tmpdir(), "rxbpf-"));
  try {
    for (const name of files.absent) {
      const path = join(scratch, "absent", name);
      if (!path.startsWith(join(scratch, "absent"))) continue;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, standIn(name));
    }
    const texts = [...files.texts.values()];
    const usesConfiguration = texts.some((text) => CONFIGURATION.test(text));
    const configuration = usesConfiguration ? ["-include", join(scratch, "configuration.h")] : [];
    if (usesConfiguration)
      writeFileSync(join(scratch, "configuration.h"), configurationText(kernel.configuration()));
    const mentioned = lengthNames.filter((name) => texts.some((text) => text.includes(name)));
    const types = mentioned.length > 0 ? kernel.types() : null;
    const own = ownFunctions(texts);
    const args = [
      ...targetFlags,
      "-E",
      "-x",
      "c",
      ...definitions(kernel),
      ...(types === null ? [] : kernelLengths(types, mentioned)),
      "-iquote",
      source.folder,
      ...resolvedFlags(source.cflags),
      ...inlinesWithout(own, scratch),
      "-isystem",
      join(headersFolder, "include"),
      "-isystem",
      join(scratch, "absent"),
      ...configuration,
      "-include",
      constantsWithout(own, scratch),
      "-include",
      join(headersFolder, "dialect.h"),
      "-",
    ];
    // A line without end would join the marker that follows it.
    const input = `# 1 ${JSON.stringify(source.file)}\n${source.text}\n# 1 "${AFTER_SOURCE}"\n${LICENCE}`;
    const nameOf = (file: string) => (file === source.file || !isAbsolute(file) ? file : normalize(file));
    const positionOf = (file: string, line: number, column: number) => ({ file: nameOf(file), line, column });
    const text = runClang(clang, args, input, positionOf).stdout.toString();
    // The compiler puts a header's name behind its includer's folder, with all its dots.
    return text
      .replace(QUOTED_LICENCE, '$1"$2";')
      .replace(MARKED_FILE, (_, line: string, file: string) => `# ${line} "${nameOf(file)}"`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What only the kernel's configuration tells. */
const CONFIGURATION = /CONFIG_|\bHZ\b|jiffies|clock_t\b|\b(?:NR_CPUS|MAX_NUMNODES|MAX_SKB_FRAGS)\b/;

/** A function's definition that begins a line: the last name before its brackets. */
const FUNCTION = /^[ \t]*(?:[A-Za-z_]\w*[ \t\n*]+)+?([a-z_]\w*)[ \t]*\([^;{}()#]*\)[ \t\n]*\{/gm;
const BEFORE_BLOCK = /^(?:if|for|while|switch)$/;

/** Functions that a source defines: where we have a macro of such a name, the source's own wins. */
function ownFunctions(texts: readonly string[]): ReadonlySet<string> {
  const names = texts.flatMap((text) => [...text.matchAll(FUNCTION)].map((match) => match[1]!));
  return new Set(names.filter((name) => !BEFORE_BLOCK.test(name)));
}

/** A header's text without macros of these names; undefined when it has none of them. */
function without(header: string, names: ReadonlySet<string>): string | undefined {
  const text = readFileSync(header, "utf8");
  const shorter = text.replace(/^#define (\w+)\((?:.*\\\n)*.*\n/gm, (macro, name: string) =>
    names.has(name) ? "" : macro,
  );
  return shorter === text ? undefined : shorter;
}

function constantsWithout(names: ReadonlySet<string>, scratch: string): string {
  const shipped = join(headersFolder, "constants.h");
  const text = names.size === 0 ? undefined : without(shipped, names);
  if (text === undefined) return shipped;
  const path = join(scratch, "constants.h");
  writeFileSync(path, text);
  return path;
}

/** A folder in front of our own headers with inlines.h as it must be for a source, where that differs. */
function inlinesWithout(names: ReadonlySet<string>, scratch: string): readonly string[] {
  const text = names.size === 0 ? undefined : without(join(headersFolder, "include/rxbpf/inlines.h"), names);
  if (text === undefined) return [];
  mkdirSync(join(scratch, "own/rxbpf"), { recursive: true });
  writeFileSync(join(scratch, "own/rxbpf/inlines.h"), text);
  return ["-isystem", join(scratch, "own")];
}

/** What line markers call the text behind the user's: nobody can look at it. */
export const AFTER_SOURCE = "<licence>";

const MARKED_FILE = /^# (\d+) "(\/(?:\\.|[^"\\])*)"/gm;

/** A licence whose macro has quotes of its own. */
const QUOTED_LICENCE = /^(char _license\[\] .* = )"\\"([^"\\]*)\\"";$/m;

/** BCC takes the licence as the words of a macro. */
const LICENCE = `#ifdef BPF_LICENSE
#define __rx_text(...) #__VA_ARGS__
#define __rx_string(...) __rx_text(__VA_ARGS__)
char _license[] __attribute__((section("license"), used)) = __rx_string(BPF_LICENSE);
#endif
`;
