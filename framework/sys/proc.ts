import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { release, version } from "node:os";
import { gunzipSync } from "node:zlib";
import { type KernelVersion, parseVersion } from "../core/version.ts";
import { RLIMIT_MEMLOCK } from "../uapi/constants.ts";
import { libc, pinned } from "./libc.ts";

/** "0-3,8" to [0, 1, 2, 3, 8]. */
export function parseCpuList(text: string): readonly number[] {
  return text
    .trim()
    .split(",")
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // absent, or hidden from this user: the same to every caller here
  }
}

let possible: readonly number[] | undefined;

/**
 * Every CPU this machine may ever have: a per-CPU value has one slot for each, in this order. Never changes while a
 * kernel runs.
 */
export function possibleCpus(): readonly number[] {
  possible ??= parseCpuList(readText("/sys/devices/system/cpu/possible") ?? "0");
  return possible;
}

/** The CPUs that run now. */
export function onlineCpus(): readonly number[] {
  return parseCpuList(readText("/sys/devices/system/cpu/online") ?? "0");
}

/** As `uname -r` gives it, for instance "6.1.0-28-amd64". */
export function kernelRelease(): string {
  return release();
}

let running: KernelVersion | undefined;

/**
 * The mainline version the kernel is made from. Debian and Ubuntu keep the patch level out of the release, and kernels
 * before 5.0 compare all of it with what a kprobe program states.
 */
export function kernelVersion(): KernelVersion {
  running ??= parseVersion(readText("/proc/version_signature")?.split(" ")[2] ?? "") ??
    parseVersion(/Debian (\S+)/.exec(version())?.[1] ?? "") ??
    parseVersion(release()) ?? { major: 0, minor: 0, patch: 0 };
  return running;
}

const KALLSYMS = "/proc/kallsyms";

/**
 * The address of a kernel symbol, or undefined when there is none by that name. 0 when this user may not see
 * addresses (kernel.kptr_restrict).
 */
export function kernelSymbol(name: string): bigint | undefined {
  if (!/^[\w.$]+$/.test(name)) return undefined;
  const line = new RegExp(`^([0-9a-f]+) \\w ${name.replace(/[.$]/g, "\\$&")}(?:\\t|$)`, "m");
  for (const text of linesInChunks(KALLSYMS)) {
    if (!text.includes(` ${name}`)) continue;
    const match = line.exec(text);
    if (match !== null) return BigInt(`0x${match[1]}`);
  }
  return undefined;
}

/** A function of the kernel or of a module. */
export interface KernelFunction {
  readonly name: string;
  /** "" for the kernel itself. */
  readonly module: string;
}

/** All kernel functions, modules' too, in the order of kallsyms, repeats included; also marks of sections. */
export function* kernelFunctionSymbols(): Generator<KernelFunction> {
  for (const text of linesInChunks(KALLSYMS)) {
    for (const match of text.matchAll(/^[0-9a-f]+ [tTwW] ([^\t\n]+)(?:\t\[([^\]\n]+)\])?/gm)) {
      yield { name: match[1]!, module: match[2] ?? "" };
    }
  }
}

/** The names of all kernel functions, modules' too, in the order of kallsyms, repeats included. */
export function kernelFunctions(): readonly string[] {
  return Array.from(kernelFunctionSymbols(), ({ name }) => name);
}

/** One line of kallsyms. */
export interface KernelSymbol {
  /** 16 hexadecimal digits; all zero for users who may not see addresses. */
  readonly address: string;
  /** A letter as nm has it: "t" and "T" for functions, "d" and "D" for data. */
  readonly type: string;
  readonly name: string;
  /** The kernel module it is in; undefined for the kernel itself. */
  readonly module: string | undefined;
}

/** All symbols of the kernel and its modules, in the order of kallsyms. */
export function* kernelSymbols(): Generator<KernelSymbol> {
  for (const text of linesInChunks(KALLSYMS)) {
    for (const match of text.matchAll(/^([0-9a-f]+) (\w) ([^\t\n]+)(?:\t\[(\S+)\])?$/gm)) {
      yield { address: match[1]!, type: match[2]!, name: match[3]!, module: match[4] };
    }
  }
}

/** A text file in pieces of whole lines: kallsyms can have tens of megabytes. */
function* linesInChunks(path: string): Generator<string> {
  const file = openSync(path, "r");
  try {
    const chunk = Buffer.alloc(1 << 18);
    let rest = "";
    for (let length = fill(file, chunk); length > 0; length = fill(file, chunk)) {
      const text = rest + chunk.toString("latin1", 0, length);
      const end = text.lastIndexOf("\n") + 1;
      rest = text.slice(end);
      yield text.slice(0, end);
    }
    if (rest !== "") yield rest;
  } finally {
    closeSync(file);
  }
}

/** Reads until the chunk is full or the file ends: files of the kernel come at most a page at a time. */
function fill(file: number, chunk: Buffer): number {
  let filled = 0;
  for (;;) {
    const length = readSync(file, chunk, filled, chunk.length - filled, null);
    filled += length;
    if (length === 0 || filled === chunk.length) return filled;
  }
}

/** NT_GNU_BUILD_ID of linux/elf.h. */
const BUILD_ID_NOTE = 3;

/** The kernel's build id in hexadecimal, which names exactly this build; undefined when it has none. */
export function kernelBuildId(): string | undefined {
  try {
    return buildIdOf(readFileSync("/sys/kernel/notes"));
  } catch {
    return undefined; // no such file on kernels without notes
  }
}

/** The build id in ELF notes: each is name size, content size and type, then both padded to 4 bytes. */
export function buildIdOf(notes: Uint8Array): string | undefined {
  const view = new DataView(notes.buffer, notes.byteOffset, notes.byteLength);
  const padded = (size: number): number => Math.ceil(size / 4) * 4;
  for (let at = 0; at + 12 <= notes.length; ) {
    const nameSize = view.getUint32(at, true);
    const contentSize = view.getUint32(at + 4, true);
    const content = at + 12 + padded(nameSize);
    const name = Buffer.from(notes.subarray(at + 12, at + 12 + nameSize)).toString("latin1");
    if (name === "GNU\0" && view.getUint32(at + 8, true) === BUILD_ID_NOTE) {
      return Buffer.from(notes.subarray(content, content + contentSize)).toString("hex");
    }
    at = content + padded(contentSize);
  }
  return undefined;
}

/** The kernel's build configuration: "CONFIG_KPROBES" → "y". Undefined when the system does not tell. */
export function kernelConfig(): ReadonlyMap<string, string> | undefined {
  const text = compressedConfig() ?? readText(`/boot/config-${release()}`);
  if (text === undefined) return undefined;
  return new Map(
    Array.from(text.matchAll(/^(CONFIG_\w+)=(.*)$/gm), (match) => [
      match[1]!,
      match[2]!.replace(/^"|"$/g, ""),
    ]),
  );
}

function compressedConfig(): string | undefined {
  try {
    return gunzipSync(readFileSync("/proc/config.gz")).toString("latin1");
  } catch {
    return undefined; // CONFIG_IKCONFIG_PROC is off
  }
}

/** RLIM_INFINITY, and a generous amount for users who may not have that. */
const LOCK_LIMITS = [2n ** 64n - 1n, 2n ** 30n];

/**
 * Raises the limit on locked memory, which kernels before 5.11 count maps and programs against. Needs
 * CAP_SYS_RESOURCE, which even root may lack: then the limit stays.
 *
 * @returns whether it was raised
 */
export function raiseMemoryLock(): boolean {
  const limits = pinned(16);
  return LOCK_LIMITS.some((limit) => {
    limits.view.setBigUint64(0, limit, true);
    limits.view.setBigUint64(8, limit, true);
    return libc().setrlimit(RLIMIT_MEMLOCK, limits.address) === 0;
  });
}
