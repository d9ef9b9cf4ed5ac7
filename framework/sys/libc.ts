import { createRequire } from "node:module";
import { constants } from "node:os";
import { SyscallError, UnsupportedError } from "../core/errors.ts";
import { littleEndian } from "../core/layout.ts";
import { syscallNumbers } from "../uapi/constants.ts";

/** Addresses and sizes are numbers here: user space ends below 2^53 on every machine this runs on. */
type Address = number;

/** `long syscall(long, ...)` with three arguments; -1 on failure, and then `lastErrno()` says why. */
export type NativeSyscall = (number: number, a: number, b: number, c: number) => number;

/** The functions of libc that this library calls. All return -1 on failure (`if_nametoindex` 0). */
export interface Libc {
  readonly numbers: { readonly bpf: number; readonly perf_event_open: number };
  /** For bpf(2): fewer arguments are converted faster, and its callers count nanoseconds. */
  readonly syscall3: NativeSyscall;
  readonly syscall5: (number: number, a: number, b: number, c: number, d: number, e: number) => number;
  readonly close: (fd: number) => number;
  readonly fcntl: (fd: number, command: number, argument: number) => number;
  readonly ioctl: (fd: number, request: number, argument: number) => number;
  /** Returns -1 for MAP_FAILED. */
  readonly mmap: (
    at: Address,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ) => Address;
  readonly munmap: (at: Address, length: number) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Address, length: number) => number;
  /** As recv(2) and send(2); addresses as numbers. */
  readonly recv: (fd: number, into: Address, length: number, flags: number) => number;
  readonly send: (fd: number, from: Address, length: number, flags: number) => number;
  readonly setsockopt: (fd: number, level: number, option: number, value: Address, length: number) => number;
  readonly if_nametoindex: (name: string) => number;
  readonly mount: (source: string, target: string, type: string, flags: number, data: Address) => number;
  readonly setrlimit: (resource: number, limits: Address) => number;
  readonly getpagesize: () => number;
}

/** The functions of libc for starting, waiting for and tracing processes, and for signals. -1 on failure, but `posix_*` give the errno. */
export interface ProcessCalls {
  readonly posix_spawn: (
    pid: Address,
    path: string,
    actions: Address,
    attributes: Address,
    argv: Address,
    envp: Address,
  ) => number;
  readonly posix_spawn_file_actions_init: (actions: Address) => number;
  readonly posix_spawn_file_actions_adddup2: (actions: Address, from: number, to: number) => number;
  readonly posix_spawn_file_actions_addopen: (
    actions: Address,
    fd: number,
    path: string,
    flags: number,
    mode: number,
  ) => number;
  /** glibc 2.29, musl 1.1.24. */
  readonly posix_spawn_file_actions_addchdir_np: (actions: Address, path: string) => number;
  readonly posix_spawn_file_actions_destroy: (actions: Address) => number;
  readonly posix_spawnattr_init: (attributes: Address) => number;
  readonly posix_spawnattr_setflags: (attributes: Address, flags: number) => number;
  readonly posix_spawnattr_setsigdefault: (attributes: Address, signals: Address) => number;
  readonly posix_spawnattr_setsigmask: (attributes: Address, signals: Address) => number;
  readonly posix_spawnattr_destroy: (attributes: Address) => number;
  readonly waitpid: (pid: number, status: Address, options: number) => number;
  readonly ptrace: (request: number, pid: number, address: number, data: number) => number;
  /** From and to memory of another process: pid, own iovecs, how many, its iovecs, how many, flags. */
  readonly process_vm_readv: ProcessMemoryCall;
  readonly process_vm_writev: ProcessMemoryCall;
  readonly memfd_create: (name: string, flags: number) => number;
  readonly pipe2: (fds: Address, flags: number) => number;
  /** For the calling thread; gives the errno. */
  readonly pthread_sigmask: (how: number, signals: Address, before: Address) => number;
}

type ProcessMemoryCall = (
  pid: number,
  own: Address,
  ownCount: number,
  its: Address,
  itsCount: number,
  flags: number,
) => number;

/** What this file uses of koffi. */
interface Koffi {
  load(path: null): { func(name: string, result: unknown, parameters: readonly string[]): unknown };
  /** A type of results that are freed once they are copied. */
  disposable(type: string): unknown;
  address(buffer: ArrayBuffer): bigint;
  view(address: Address, length: number): ArrayBuffer;
  errno(): number;
  readonly node: {
    poll(
      fd: number,
      events: { readable: boolean },
      callback: (status: number) => void,
    ): { close(): void; unref(): void };
  };
}

let koffi: Koffi | undefined;
let table: Libc | undefined;
let processTable: ProcessCalls | undefined;

/**
 * The functions, loaded on first use, so that importing this module loads nothing native.
 *
 * @throws UnsupportedError on anything but 64-bit little-endian Linux, or when the native module does not load
 */
export function libc(): Libc {
  table ??= bindAll(native());
  return table;
}

/**
 * The functions about processes, loaded on first use: most scripts start none.
 *
 * @throws UnsupportedError as `libc` does
 */
export function processCalls(): ProcessCalls {
  processTable ??= bindProcessCalls(native());
  return processTable;
}

function native(): Koffi {
  koffi ??= loadKoffi();
  return koffi;
}

function loadKoffi(): Koffi {
  if (process.platform !== "linux" || !littleEndian || syscallNumbers[process.arch] === undefined) {
    throw new UnsupportedError(
      `this needs 64-bit little-endian Linux, and this is ${process.platform} on ${process.arch}`,
      { hint: "run it on Linux" },
    );
  }
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch (cause) {
    throw new UnsupportedError("cannot load koffi, which makes the system calls", {
      hint: 'install it with "npm install koffi"',
      cause,
    });
  }
}

function bindAll(from: Koffi): Libc {
  const library = from.load(null);
  const bind = <F>(name: string, result: string, parameters: readonly string[]): F =>
    library.func(name, result, parameters) as F;
  const words = (count: number): readonly string[] => new Array<string>(count).fill("int64");
  return {
    numbers: syscallNumbers[process.arch]!,
    syscall3: bind("syscall", "int64", words(4)),
    syscall5: bind("syscall", "int64", words(6)),
    close: bind("close", "int", ["int"]),
    fcntl: bind("fcntl", "int", ["int", "int", "int64"]),
    ioctl: bind("ioctl", "int", ["int", "uint64", "int64"]),
    mmap: bind("mmap", "int64", ["int64", "int64", "int", "int", "int", "int64"]),
    munmap: bind("munmap", "int", ["int64", "int64"]),
    socket: bind("socket", "int", ["int", "int", "int"]),
    bind: bind("bind", "int", ["int", "int64", "uint32"]),
    recv: bind("recv", "int64", ["int", "int64", "uint64", "int"]),
    send: bind("send", "int64", ["int", "int64", "uint64", "int"]),
    setsockopt: bind("setsockopt", "int", ["int", "int", "int", "int64", "uint32"]),
    if_nametoindex: bind("if_nametoindex", "uint32", ["str"]),
    mount: bind("mount", "int", ["str", "str", "str", "uint64", "int64"]),
    setrlimit: bind("setrlimit", "int", ["int", "int64"]),
    getpagesize: bind("getpagesize", "int", []),
  };
}

/** The name as people write it, or null; further arguments are for a buffer and a status, which nobody needs. */
type Demangler = (name: string, buffer: Address, length: Address, status: Address) => string | null;

let demangler: Demangler | null | undefined;

/**
 * The C++ name behind a symbol, as people write it: "shape::area(int)" for "_ZN5shape4areaEi". undefined for a symbol
 * that is none. Node's own C++ library knows; in a Node without a shared one every symbol stays as it is.
 */
export function demangled(symbol: string): string | undefined {
  if (!symbol.startsWith("_Z")) return undefined;
  if (demangler === undefined) demangler = bindDemangler(native());
  return demangler?.(symbol, 0, 0, 0) ?? undefined;
}

function bindDemangler(from: Koffi): Demangler | null {
  const words = ["str", "int64", "int64", "int64"];
  try {
    return from.load(null).func("__cxa_demangle", from.disposable("str"), words) as Demangler;
  } catch {
    return null; // linked statically, and not exported
  }
}

function bindProcessCalls(from: Koffi): ProcessCalls {
  const library = from.load(null);
  const bind = <F>(name: string, result: string, parameters: readonly string[]): F =>
    library.func(name, result, parameters) as F;
  const memory = ["int", "int64", "uint64", "int64", "uint64", "uint64"];
  return {
    posix_spawn: bind("posix_spawn", "int", ["int64", "str", "int64", "int64", "int64", "int64"]),
    posix_spawn_file_actions_init: bind("posix_spawn_file_actions_init", "int", ["int64"]),
    posix_spawn_file_actions_adddup2: bind("posix_spawn_file_actions_adddup2", "int", [
      "int64",
      "int",
      "int",
    ]),
    posix_spawn_file_actions_addopen: bind("posix_spawn_file_actions_addopen", "int", [
      "int64",
      "int",
      "str",
      "int",
      "uint32",
    ]),
    posix_spawn_file_actions_addchdir_np: bind("posix_spawn_file_actions_addchdir_np", "int", [
      "int64",
      "str",
    ]),
    posix_spawn_file_actions_destroy: bind("posix_spawn_file_actions_destroy", "int", ["int64"]),
    posix_spawnattr_init: bind("posix_spawnattr_init", "int", ["int64"]),
    posix_spawnattr_setflags: bind("posix_spawnattr_setflags", "int", ["int64", "int16"]),
    posix_spawnattr_setsigdefault: bind("posix_spawnattr_setsigdefault", "int", ["int64", "int64"]),
    posix_spawnattr_setsigmask: bind("posix_spawnattr_setsigmask", "int", ["int64", "int64"]),
    posix_spawnattr_destroy: bind("posix_spawnattr_destroy", "int", ["int64"]),
    waitpid: bind("waitpid", "int", ["int", "int64", "int"]),
    ptrace: bind("ptrace", "int64", ["int64", "int", "int64", "int64"]),
    process_vm_readv: bind("process_vm_readv", "int64", memory),
    process_vm_writev: bind("process_vm_writev", "int64", memory),
    memfd_create: bind("memfd_create", "int", ["str", "uint32"]),
    pipe2: bind("pipe2", "int", ["int64", "int"]),
    pthread_sigmask: bind("pthread_sigmask", "int", ["int", "int64", "int64"]),
  };
}

const errnoNames = new Map<number, string>(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);
// The kernel's own number leaks out of bpf(2); user space headers do not have it. EAGAIN shares 11 with EWOULDBLOCK.
errnoNames
  .set(524, "ENOTSUPP")
  .set(constants.errno.EAGAIN, "EAGAIN")
  .set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP");

/** Why the last call failed, for instance "EINVAL". Only meaningful right after a failure. */
export function lastErrno(): string {
  return errnoName(native().errno());
}

/** The name of an error number, for instance "EINVAL". */
export function errnoName(number: number): string {
  return errnoNames.get(number) ?? `errno ${number}`;
}

/** Passes a result through, or throws for -1. */
export function checked(call: string, result: number): number {
  if (result < 0) throw new SyscallError(call, lastErrno());
  return result;
}

/** Zeroed memory at an address that stays the same as long as the object is referenced. */
export interface PinnedMemory {
  readonly address: Address;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/**
 * Memory whose address may be handed to the kernel. An ArrayBuffer's bytes live outside the garbage-collected heap and
 * never move, unlike those of a small typed array; collecting the object frees them.
 */
export function pinned(size: number): PinnedMemory {
  const buffer = new ArrayBuffer(Math.max(size, 1));
  return {
    address: Number(native().address(buffer)),
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
  };
}

/** The address of a caller's bytes, for one call: the caller must keep them until it returns. */
export function addressOf(bytes: Uint8Array): bigint {
  // Touching `buffer` moves the bytes of a small typed array out of the garbage-collected heap, for good.
  return native().address(bytes.buffer as ArrayBuffer) + BigInt(bytes.byteOffset);
}

/** The bytes at an address, without a copy. Only for `mmap.ts`, which knows how long they stay mapped. */
export function memoryAt(address: Address, length: number): ArrayBuffer {
  return native().view(address, length);
}

/**
 * Asks libuv, Node's own event loop, to call back whenever a descriptor is readable. The callback runs outside of
 * Node's callback scope: it must only schedule.
 *
 * @param keepAlive whether the process stays alive until it is stopped
 * @returns stops it
 */
export function whenReadable(fd: number, callback: () => void, keepAlive = true): () => void {
  const handle = native().node.poll(fd, { readable: true }, callback);
  if (!keepAlive) handle.unref();
  return () => handle.close();
}
