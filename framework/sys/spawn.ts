import { SyscallError } from "../core/errors.ts";
import { F_DUPFD_CLOEXEC } from "../uapi/constants.ts";
import { type Arena, withArena } from "./arena.ts";
import { checked, errnoName, libc, pinned, processCalls } from "./libc.ts";
import { SIGSET_BYTES } from "./signals.ts";

/** Larger than the opaque types of spawn.h on any libc. */
const OPAQUE_BYTES = 512;
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;
/** Node ignores SIGPIPE and SIGXFSZ, which programs do not expect. What others ignored before it stays ignored. */
const TO_DEFAULT = (1n << 12n) | (1n << 24n);

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const MFD_CLOEXEC = 1;
const F_GETFL = 3;
const F_SETFL = 4;

/** What a new process is. */
export interface ProcessSpec {
  /** The program, as this process opens it. */
  readonly path: string;
  /** Arguments, beginning with the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string | undefined;
  /** Descriptors for 0, 1 and 2; null for /dev/null. */
  readonly stdio: readonly (number | null)[];
  /** Another descriptor that the process gets, by the same number. */
  readonly keep?: number;
}

/**
 * Starts a process that only this code waits for: libuv knows nothing about it.
 * @throws SyscallError
 */
export function startProcess(spec: ProcessSpec): number {
  return withArena((arena) => {
    const calls = processCalls();
    const [actions, attributes] = [arena.out(OPAQUE_BYTES), arena.out(OPAQUE_BYTES)].map(({ address }) =>
      Number(address),
    ) as [number, number];
    require0("posix_spawn_file_actions_init", calls.posix_spawn_file_actions_init(actions));
    require0("posix_spawnattr_init", calls.posix_spawnattr_init(attributes));
    const copies: number[] = [];
    try {
      addDescriptors(actions, spec, copies);
      setSignals(attributes, arena);
      const pid = arena.out(4);
      const { path } = spec;
      const environment = Object.entries(spec.env).flatMap(([name, value]) =>
        value === undefined ? [] : [`${name}=${value}`],
      );
      const error = calls.posix_spawn(
        Number(pid.address),
        path,
        actions,
        attributes,
        pointers(arena, spec.argv),
        pointers(arena, environment),
      );
      require0(`posix_spawn(${spec.argv[0] ?? path})`, error);
      return new DataView(pid.bytes.buffer, pid.bytes.byteOffset).getInt32(0, true);
    } finally {
      for (const fd of copies) libc().close(fd);
      calls.posix_spawn_file_actions_destroy(actions);
      calls.posix_spawnattr_destroy(attributes);
    }
  });
}

function addDescriptors(actions: number, { stdio, keep, cwd }: ProcessSpec, copies: number[]): void {
  const calls = processCalls();
  for (const [number, fd] of stdio.entries()) {
    if (fd === null) {
      const error = calls.posix_spawn_file_actions_addopen(actions, number, "/dev/null", O_RDWR, 0);
      require0("posix_spawn_file_actions_addopen", error);
    } else {
      if (number === fd) makeBlocking(fd);
      // One of the three under another's number may be overwritten before its turn: a copy is not.
      const isMoved = fd < stdio.length && number !== fd;
      const from = isMoved ? checked("fcntl", libc().fcntl(fd, F_DUPFD_CLOEXEC, stdio.length)) : fd;
      if (isMoved) copies.push(from);
      // Onto itself: such a descriptor is no longer closed on exec.
      require0(
        "posix_spawn_file_actions_adddup2",
        calls.posix_spawn_file_actions_adddup2(actions, from, number),
      );
    }
  }
  if (keep !== undefined) {
    require0("posix_spawn_file_actions_adddup2", calls.posix_spawn_file_actions_adddup2(actions, keep, keep));
  }
  if (cwd !== undefined) {
    require0(
      "posix_spawn_file_actions_addchdir_np",
      calls.posix_spawn_file_actions_addchdir_np(actions, cwd),
    );
  }
}

/** Node may have made standard descriptors non-blocking, which programs do not expect. */
function makeBlocking(fd: number): void {
  const flags = libc().fcntl(fd, F_GETFL, 0);
  if (flags >= 0 && (flags & O_NONBLOCK) !== 0) libc().fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

function setSignals(attributes: number, arena: Arena): void {
  const calls = processCalls();
  const signals = arena.out(SIGSET_BYTES);
  new DataView(signals.bytes.buffer, signals.bytes.byteOffset).setBigUint64(0, TO_DEFAULT, true);
  const none = arena.out(SIGSET_BYTES);
  require0(
    "posix_spawnattr_setsigdefault",
    calls.posix_spawnattr_setsigdefault(attributes, Number(signals.address)),
  );
  require0("posix_spawnattr_setsigmask", calls.posix_spawnattr_setsigmask(attributes, Number(none.address)));
  require0(
    "posix_spawnattr_setflags",
    calls.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK),
  );
}

/** The address of an array of texts as argv and envp are. */
function pointers(arena: Arena, texts: readonly string[]): number {
  const addresses = new BigUint64Array([...texts.map((text) => arena.text(text)), 0n]);
  return Number(arena.in(new Uint8Array(addresses.buffer)));
}

/** These functions give the errno itself. */
function require0(call: string, error: number): void {
  if (error !== 0) throw new SyscallError(call, errnoName(error));
}

/** Both ends of a pipe, closed on exec. */
export function makePipe(): { readonly read: number; readonly write: number } {
  const fds = pinned(8);
  checked("pipe2", processCalls().pipe2(fds.address, O_CLOEXEC));
  return { read: fds.view.getInt32(0, true), write: fds.view.getInt32(4, true) };
}

/** An empty file without a name, in memory, closed on exec. */
export function memoryFile(name: string): number {
  return checked("memfd_create", processCalls().memfd_create(name, MFD_CLOEXEC));
}
