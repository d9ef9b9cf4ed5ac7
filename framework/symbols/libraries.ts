import { accessSync, constants, readdirSync, readFileSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { viewOf } from "../core/layout.ts";
import { textAt } from "./elf-file.ts";
import { mappingsOf, rootOf } from "./process.ts";

/** Folders of libraries where no cache lists them. */
const FOLDERS = [
  "/lib64",
  "/usr/lib64",
  "/lib/x86_64-linux-gnu",
  "/usr/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib",
  "/usr/lib",
  "/usr/local/lib",
];

/** The flags of a library for the machine, in ld.so.cache: FLAG_ELF_LIBC6 and the architecture. */
const CACHE_FLAGS: Readonly<Record<string, number>> = { x64: 0x0303, arm64: 0x0a03 };

const CACHE_MAGIC = "glibc-ld.so.cache1.1";
const CACHE_HEADER_BYTES = 48;
const CACHE_ENTRY_BYTES = 24;

/** The libraries of /etc/ld.so.cache: name to path, the first of each name. */
export function parseLibraryCache(bytes: Uint8Array, arch: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  // An older table may come first; names and paths are counted from the newer one.
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(CACHE_MAGIC);
  if (start < 0) return found;
  const cache = bytes.subarray(start);
  const view = viewOf(cache);
  const count = view.getUint32(20, true);
  for (let i = 0; i < count; i++) {
    const at = CACHE_HEADER_BYTES + i * CACHE_ENTRY_BYTES;
    if (at + CACHE_ENTRY_BYTES > cache.length) break;
    if ((view.getUint32(at, true) & 0xffff) !== CACHE_FLAGS[arch]) continue;
    const name = textAt(cache, view.getUint32(at + 4, true));
    if (!found.has(name)) found.set(name, textAt(cache, view.getUint32(at + 8, true)));
  }
  return found;
}

/** Whether a file name is that of a library: "libc.so.6" or "libc-2.31.so" for "c". */
function isLibrary(file: string, name: string): boolean {
  if (file === name) return true;
  const rest = file.startsWith(`lib${name}`) ? file.slice(name.length + 3) : undefined;
  return rest !== undefined && /^(?:-[\d.]+)?\.so(?:\.|$)/.test(rest);
}

/**
 * The path of a library by its short name ("c", "pthread"): what a process has mapped, else what the dynamic linker's
 * cache or the usual folders have. Inside of the process's own file system when one is given.
 */
export function findLibrary(name: string, pid = 0): string | undefined {
  const root = pid > 0 ? rootOf(pid) : "";
  const mapped = pid > 0 ? mappedLibrary(name, pid) : undefined;
  return mapped ?? cachedLibrary(name, root) ?? libraryInFolders(name, root);
}

function mappedLibrary(name: string, pid: number): string | undefined {
  const mapping = mappingsOf(pid)?.find(({ path, inode }) => {
    return inode !== 0 && isLibrary(path.slice(path.lastIndexOf("/") + 1), name);
  });
  return mapping?.path;
}

function cachedLibrary(name: string, root: string): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(`${root}/etc/ld.so.cache`);
  } catch {
    return undefined; // not every C library has one
  }
  for (const [file, path] of parseLibraryCache(bytes, process.arch)) {
    if (isLibrary(file, name) && isFile(root + path)) return path;
  }
  return undefined;
}

function libraryInFolders(name: string, root: string): string | undefined {
  for (const folder of FOLDERS) {
    const file = filesOf(root + folder).find((candidate) => isLibrary(candidate, name));
    if (file !== undefined) return join(folder, file);
  }
  return undefined;
}

/** The path of a program: as given when there is a slash in it, else from the folders of PATH. */
export function findProgram(name: string, root = ""): string | undefined {
  if (name.includes("/")) return isFile(root + name) ? name : undefined;
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, name);
    if (isAbsolute(folder) && isProgram(root + path)) return path;
  }
  return undefined;
}

function filesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // not every system has every folder
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return isFile(path);
  } catch {
    return false;
  }
}
