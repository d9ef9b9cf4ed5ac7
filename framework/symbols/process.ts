import { existsSync, readFileSync, statSync } from "node:fs";
import { BpfError, PermissionError } from "../core/errors.ts";
import { withWrittenName } from "./demangle.ts";
import { kernelNameAt } from "./kernel.ts";
import { ModuleSymbols } from "./module-symbols.ts";
import { PerfMap } from "./perf-map.ts";

/** What an address means. */
export interface ResolvedSymbol {
  /** undefined when the address lies in a module, and in none of its functions. */
  readonly name: string | undefined;
  /** Bytes into the function, or into the module when there is no name. */
  readonly offset: number;
  /** Path of the file, "kernel", the name of a kernel module, or a name such as "[heap]". */
  readonly module: string | undefined;
}

/** One line of /proc/PID/maps. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly isExecutable: boolean;
  readonly offset: number;
  readonly inode: number;
  /** A path, "[vdso]" and the like, or "". */
  readonly path: string;
}

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ (\d+) *(.*)$/gm;

/** The lines of /proc/PID/maps. */
export function parseMappings(text: string): readonly Mapping[] {
  return Array.from(text.matchAll(MAPPING), ([, start, end, access, offset, inode, path]) => ({
    start: Number.parseInt(start!, 16),
    end: Number.parseInt(end!, 16),
    isExecutable: access!.includes("x"),
    offset: Number.parseInt(offset!, 16),
    inode: Number(inode),
    path: path!,
  }));
}

/**
 * What a process has mapped; undefined when there is no such process.
 *
 * @throws PermissionError when this user may not know
 */
export function mappingsOf(pid: number): readonly Mapping[] | undefined {
  try {
    return parseMappings(readFileSync(`/proc/${pid}/maps`, "utf8"));
  } catch (cause) {
    if (isDenied(cause)) {
      throw new PermissionError(`reading the mappings of process ${pid} needs CAP_SYS_PTRACE`, {
        hint: "run as root, or as the user of that process",
        cause,
      });
    }
    return undefined;
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM");
}

/** How a process's own file system looks from here. */
export function rootOf(pid: number): string {
  return pid === process.pid ? "" : `/proc/${pid}/root`;
}

/** A mapped file of a process as this process can open it: by its path, or through the mapping when that is gone. */
export function fileOf(pid: number, mapping: Mapping): string {
  const path = `${rootOf(pid)}${mapping.path}`;
  if (statSync(path, { throwIfNoEntry: false })?.ino === mapping.inode) return path;
  return `/proc/${pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
}

/** Changes when a process's id is given to another one. */
function birthOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")")).split(" ")[20];
  } catch {
    return undefined; // it has ended
  }
}

/** A process knows its own id by another number inside of a container, and writes that into names of files. */
function innerPid(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? pid);
  } catch {
    return pid; // it has ended
  }
}

/** How long what is known of a process may be out of date, in milliseconds. */
const FRESH_MS = 100;

/**
 * Names for addresses of one process, or of the kernel for -1: BCC's class.
 *
 * Files are read when an address in them is first asked for, and kept: a process that ends can still be resolved as far
 * as it was known. Mappings are read again when an address lies in none of them.
 */
export class SymbolCache {
  readonly pid: number;
  readonly #modules = new Map<string, ModuleSymbols | null>();
  #mappings: readonly Mapping[] = [];
  #birth: string | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #perfMap: PerfMap | undefined;

  /** @param pid a process id; -1 for the kernel */
  constructor(pid: number) {
    this.pid = pid;
  }

  /**
   * The function that an address lies in.
   *
   * @param demangle C++ names as people write them, not as symbols
   * @throws PermissionError when this user may see neither kernel addresses nor that process
   */
  resolve(addr: bigint | number, demangle = true): ResolvedSymbol {
    const found = this.#find(addr);
    return demangle ? withWrittenName(found) : found;
  }

  #find(addr: bigint | number): ResolvedSymbol {
    if (this.pid < 0) return kernelNameAt(BigInt.asUintN(64, BigInt(addr))) ?? UNKNOWN;
    const address = Number(addr);
    this.#refresh(false);
    let mapping = this.#mappingOf(address);
    if (mapping === undefined) {
      this.#refresh(true);
      mapping = this.#mappingOf(address);
    }
    if (mapping === undefined) return UNKNOWN;
    const found = mapping.inode === 0 ? undefined : this.#nameIn(mapping, address);
    return found ?? this.#generated(address) ?? nowhere(mapping, address);
  }

  /** The address of a function of a module that the process has mapped; -1 as in BCC when there is none. */
  resolve_name(module: string, name: string): bigint {
    this.#refresh(true);
    for (const mapping of this.#mappings) {
      if (mapping.inode === 0 || !isCalled(mapping.path, module)) continue;
      const symbols = this.#symbolsOf(mapping);
      const address = symbols?.find(name)[0]?.address;
      const offset = address === undefined ? undefined : symbols?.file.fileOffsetOf(address);
      if (offset === undefined) continue;
      const at = offset - mapping.offset + mapping.start;
      if (at >= mapping.start && at < mapping.end) return BigInt(at);
    }
    return -1n;
  }

  #mappingOf(address: number): Mapping | undefined {
    return this.#mappings.find(({ start, end }) => address >= start && address < end);
  }

  #nameIn(mapping: Mapping, address: number): ResolvedSymbol | undefined {
    const symbols = this.#symbolsOf(mapping);
    const before = symbols?.file.addressOf(address - mapping.start + mapping.offset);
    const found = before === undefined ? undefined : symbols?.nameAt(before);
    return found === undefined ? undefined : { ...found, module: mapping.path };
  }

  /** Null stays for files that are no programs, such as fonts and archives. */
  #symbolsOf(mapping: Mapping): ModuleSymbols | undefined {
    const key = `${mapping.inode} ${mapping.path}`;
    let symbols = this.#modules.get(key);
    if (symbols === undefined) {
      symbols = openModule(fileOf(this.pid, mapping), rootOf(this.pid));
      this.#modules.set(key, symbols);
    }
    return symbols ?? undefined;
  }

  #generated(address: number): ResolvedSymbol | undefined {
    const root = rootOf(this.pid);
    this.#perfMap ??= new PerfMap(`${existsSync(root) ? root : ""}/tmp/perf-${innerPid(this.pid)}.map`);
    const found = this.#perfMap.find(address);
    return found === undefined ? undefined : { ...found, module: `perf-${this.pid}.map` };
  }

  #refresh(mappingsToo: boolean): void {
    const now = performance.now();
    if (!mappingsToo && now - this.#readAt < FRESH_MS) return;
    const birth = birthOf(this.pid);
    const isSame = birth === this.#birth || birth === undefined;
    this.#readAt = now;
    if (isSame && !mappingsToo) return;
    if (!isSame) {
      this.#modules.clear();
      this.#perfMap = undefined;
      this.#birth = birth;
    }
    // What an ended process had mapped is still what its addresses meant.
    const mappings = mappingsOf(this.pid);
    if (mappings !== undefined && mappings.length > 0) this.#mappings = mappings;
  }
}

const UNKNOWN: ResolvedSymbol = { name: undefined, offset: 0, module: undefined };

function nowhere(mapping: Mapping, address: number): ResolvedSymbol {
  const module = mapping.path === "" ? undefined : mapping.path;
  return { name: undefined, offset: address - mapping.start + mapping.offset, module };
}

/** "c" and "libc.so.6" and the whole path all mean the C library. */
function isCalled(path: string, name: string): boolean {
  const file = path.slice(path.lastIndexOf("/") + 1);
  return path === name || file === name || file.startsWith(`lib${name}.so`) || file.startsWith(`lib${name}-`);
}

/** The symbols of a file; null when it is none that has any, or cannot be read. */
export function openModule(path: string, root: string): ModuleSymbols | null {
  try {
    return new ModuleSymbols(path, root);
  } catch (error) {
    if (error instanceof BpfError || (error instanceof Error && "syscall" in error)) return null;
    throw error;
  }
}
