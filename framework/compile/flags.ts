import { type KernelVersion, versionCode } from "../core/version.ts";
import type { Btf } from "../object/btf.ts";

/** What the compiler must know about the kernel the object is for. */
export interface KernelFacts {
  readonly version: KernelVersion;
  /** As Node spells it: "x64", "arm64". */
  readonly arch: string;
  readonly pageSize: number;
  /** Whether a system call's function gets the caller's registers as its one argument (x86-64 from 4.17 on). */
  readonly hasSyscallWrapper: boolean;
  /** "CONFIG_NAME" to "y", "m", a number or a quoted string; asked only when a source mentions CONFIG_. */
  configuration(): ReadonlyMap<string, string>;
  /**
   * The kernel's types; read on first use. Null where the kernel offers none. With tags, and when the kernel itself has
   * no struct or union of one of them, a loaded module's types that have, on top of the kernel's.
   */
  types(tags?: Iterable<string>): Btf | null;
}

/** Arguments of every run: the target, nothing of the host's headers, and no opinions on style. */
export const targetFlags: readonly string[] = [
  "-target",
  "bpf",
  "-nostdinc",
  "-fno-color-diagnostics",
  "-fno-caret-diagnostics",
  "-ferror-limit=50",
  "-Wno-everything",
  // There is no linker to find it: what nobody declares does not exist.
  "-Werror=implicit-function-declaration",
];

/**
 * Arguments of the compiling run. CPU v3 (5.1) has 32-bit jumps; its atomics with results need 5.12 and are only used
 * where the source asks for one.
 */
export const compileFlags: readonly string[] = [
  "-O2",
  "-g",
  "-mcpu=v3",
  "-fno-jump-tables",
  "-fno-asynchronous-unwind-tables",
];

/** Names of the machine that sources test, by Node's name for it. */
const archMacros: Readonly<Record<string, readonly string[]>> = {
  x64: ["__x86_64__", "__TARGET_ARCH_x86", "CONFIG_X86_64"],
  arm64: ["__aarch64__", "__TARGET_ARCH_arm64", "CONFIG_ARM64"],
};

/** `-D` arguments of the preprocessing run. */
export function definitions(kernel: KernelFacts): readonly string[] {
  const macros = archMacros[kernel.arch] ?? [];
  return [
    ...macros.map((macro) => `-D${macro}=1`),
    "-D__BPF_TRACING__",
    "-D__KERNEL__",
    '-DKBUILD_MODNAME="rxbpf"',
    `-DLINUX_VERSION_CODE=${versionCode(kernel.version)}`,
    `-DPAGE_SIZE=${kernel.pageSize}`,
    ...(kernel.hasSyscallWrapper ? ["-DCONFIG_ARCH_HAS_SYSCALL_WRAPPER=1"] : []),
  ];
}

/** What the lowered text's macros may mean. */
export interface Meanings {
  /** The programs will run on tracepoints of system calls, in place of probes of their functions. */
  readonly syscallTracepoint: boolean;
  /** Programs count what does not fit into a ring buffer; true unless said otherwise. */
  readonly countDrops?: boolean;
  /** Programs count updates of tables that the kernel refuses; false unless said otherwise. */
  readonly countFailedUpdates?: boolean;
  /** Macros that tell of buffers whose records carry the number of the call that submitted them. */
  readonly tags?: readonly string[];
}

/** `-D` arguments of the compiling run. */
export function loweringDefinitions(
  kernel: KernelFacts,
  { syscallTracepoint, countDrops = true, countFailedUpdates = false, tags = [] }: Meanings,
): readonly string[] {
  const macros = (archMacros[kernel.arch] ?? []).filter((macro) => macro.startsWith("__TARGET"));
  return [
    ...macros.map((macro) => `-D${macro}`),
    `-D__RX_PAGE_SIZE=${kernel.pageSize}`,
    ...(kernel.hasSyscallWrapper ? ["-DRX_SYSCALL_WRAPPER"] : []),
    ...(syscallTracepoint ? ["-DRX_SYSCALL_TRACEPOINT"] : []),
    ...(countDrops ? [] : ["-DRX_NO_DROP_COUNTS"]),
    ...(countFailedUpdates ? ["-DRX_COUNT_FAILED_UPDATES"] : []),
    ...tags.map((macro) => `-D${macro}=1`),
  ];
}

/** The kernel's configuration as C macros: `y` is 1, `m` also sets the _MODULE name, as the kernel's own header has it. */
export function configurationText(configuration: ReadonlyMap<string, string>): string {
  const lines: string[] = [];
  for (const [name, value] of configuration) {
    if (value === "m") lines.push(`#define ${name}_MODULE 1`);
    else lines.push(`#define ${name} ${value === "y" ? "1" : value}`);
  }
  return `${lines.join("\n")}\n`;
}
