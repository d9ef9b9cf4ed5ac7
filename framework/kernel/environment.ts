import { readFileSync } from "node:fs";
import { arch } from "node:os";
import { isAtLeast } from "../core/version.ts";
import { Btf } from "../object/btf.ts";
import { kernelBuildId, kernelConfig, kernelRelease, kernelVersion, onlineCpus } from "../sys/proc.ts";
import { tracepointCategories, tracepointFormat, tracepointNames } from "../sys/tracefs.ts";
import { moduleBtf, modulesNaming } from "./module-btf.ts";
import { orWritten, writtenFormat, writtenNames } from "./tracepoint-formats.ts";

const TYPES = "/sys/kernel/btf/vmlinux";

let types: Btf | null | undefined;

/** The running kernel's types, read once per process; null for a kernel built without BTF (CONFIG_DEBUG_INFO_BTF). */
export function kernelBtf(): Btf | null {
  if (types === undefined) {
    let bytes: Uint8Array | undefined;
    try {
      bytes = readFileSync(TYPES);
    } catch {
      // Absent before 5.4 and in kernels built without it.
    }
    types = bytes === undefined ? null : new Btf(bytes);
  }
  return types;
}

/**
 * The kernel's types; where it lacks the struct or union of a tag, on top of them those of the loaded module that has
 * the most of what is missing.
 */
export function typesWith(tags: Iterable<string>): Btf | null {
  const kernel = kernelBtf();
  if (kernel === null) return null;
  const missing = [...tags].filter(
    (tag) => !OWN_TAG.test(tag) && kernel.find(tag, "struct", "union", "enum", "enum64") === 0,
  );
  let best = { types: kernel, count: 0 };
  for (const module of new Set(missing.flatMap((tag) => modulesNaming(tag)))) {
    const types = moduleBtf(module, kernel);
    if (types === null) continue;
    const count = missing.filter((tag) => types.find(tag, "struct", "union") !== 0).length;
    if (count > best.count) best = { types, count };
  }
  return best.types;
}

/** Tags of this library's own, which no module has. */
const OWN_TAG = /^(?:tracepoint|bpf_iter)__/;

/**
 * How the functions of system calls begin: x86-64 has wrappers from 4.17 on, arm64 from 4.19 on; before, and
 * elsewhere, the plain name.
 */
export function syscallPrefix(): string {
  const version = kernelVersion();
  if (arch() === "x64" && isAtLeast(version, "4.17")) return "__x64_sys_";
  if (arch() === "arm64" && isAtLeast(version, "4.19")) return "__arm64_sys_";
  return "sys_";
}

/** Facts about the running kernel that decide what a source compiles to. */
export function kernelEnvironment() {
  return {
    identity: `${kernelRelease()} ${kernelBuildId() ?? ""}`,
    version: kernelVersion(),
    arch: arch(),
    pageSize: 4096,
    hasSyscallWrapper: syscallPrefix() !== "sys_",
    onlineCpus: onlineCpus().length,
    configuration: () => kernelConfig() ?? new Map<string, string>(),
    types: (tags: Iterable<string> = []) => typesWith(tags),
    tracepointFormat: (category: string, name: string) =>
      orWritten(
        () => tracepointFormat(category, name),
        () => writtenFormat(category, name, kernelBtf),
      ),
    tracepointNames: (category: string) =>
      orWritten(
        () => {
          const categories = tracepointCategories();
          return categories.includes(category) ? tracepointNames(category) : categories;
        },
        () => writtenNames(category),
      ),
  };
}
