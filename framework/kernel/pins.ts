import { mkdirSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { MapError, PermissionError, SyscallError } from "../core/errors.ts";
import { notify } from "../core/notify.ts";
import { withArena } from "../sys/arena.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { lastErrno, libc } from "../sys/libc.ts";
import { objPath } from "../uapi/bpf-attr.ts";
import { BPF_FS_MAGIC } from "../uapi/constants.ts";
import { isPermission, missingPrivilege } from "./permission.ts";

/** Where systems have their BPF file system. */
const USUAL_PLACE = "/sys/fs/bpf";

/**
 * Puts a map under a path of a BPF file system (4.4), making the folders it needs. In the usual place the file system
 * itself is mounted when nobody has; that is said once.
 *
 * @returns false when there is something under the path already
 * @throws MapError MAP_PIN, PermissionError
 */
export function pinAt(path: string, fd: number, table: string): boolean {
  prepareFolder(path, table);
  try {
    withArena((arena) => bpf("BPF_OBJ_PIN", objPath, { pathname: arena.text(path), bpf_fd: fd }));
    return true;
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    if (errno === "EEXIST") return false;
    if (isPermission(errno)) throw missingPrivilege(`pinning table "${table}" at ${path}`, "CAP_BPF", cause);
    // The file system takes no names with dots: they are its own.
    const hint = errno === "EINVAL" ? "names in a BPF file system have no dots" : undefined;
    throw new MapError("MAP_PIN", `cannot pin table "${table}" at ${path}: ${errno}`, { hint, cause });
  }
}

/**
 * Opens what is pinned under a path; null when there is nothing.
 * @throws MapError MAP_PIN, PermissionError
 */
export function openPin(path: string, label: string): Fd | null {
  try {
    return new Fd(
      withArena((arena) => bpf("BPF_OBJ_GET", objPath, { pathname: arena.text(path) })),
      label,
    );
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    if (errno === "ENOENT") return null;
    if (errno === "EPERM") throw missingPrivilege(`opening ${label} at ${path}`, "CAP_BPF", cause);
    // EACCES is also what the kernel says of files that are no BPF objects, to root too.
    const isForeign = errno === "EACCES" && !isOnBpfFs(dirname(path));
    const why = isForeign ? `it is not in a BPF file system` : errno;
    const hint = isForeign ? `paths below ${USUAL_PLACE} are` : undefined;
    throw new MapError("MAP_PIN", `cannot open ${label} at ${path}: ${why}`, { hint, cause });
  }
}

function prepareFolder(path: string, table: string): void {
  if (path.startsWith(`${USUAL_PLACE}/`) && !isOnBpfFs(USUAL_PLACE)) mountUsualPlace(table);
  const folder = dirname(path);
  const existing = nearestFolder(folder);
  if (!isOnBpfFs(existing)) {
    throw new MapError(
      "MAP_PIN",
      `cannot pin table "${table}" at ${path}: ${existing} is not in a BPF file system`,
      { hint: `use a path below ${USUAL_PLACE}, or mount one: mount -t bpf bpf FOLDER` },
    );
  }
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new MapError("MAP_PIN", `cannot pin table "${table}": the folder ${folder} cannot be made`, {
      cause,
    });
  }
}

/** The folder itself or the nearest above it that exists. */
function nearestFolder(folder: string): string {
  let at = folder;
  while (fileSystemOf(at) === undefined && at !== dirname(at)) at = dirname(at);
  return at;
}

function isOnBpfFs(folder: string): boolean {
  return fileSystemOf(folder) === BPF_FS_MAGIC;
}

function fileSystemOf(path: string): number | undefined {
  try {
    return statfsSync(path).type;
  } catch {
    return undefined; // absent, or not to be looked at
  }
}

function mountUsualPlace(table: string): void {
  if (libc().mount("bpf", USUAL_PLACE, "bpf", 0, 0) === 0) {
    notify(`rxbpf: mounted a BPF file system on ${USUAL_PLACE}, because there was none`);
    return;
  }
  const errno = lastErrno();
  const cause = new SyscallError(`mount(bpf, ${USUAL_PLACE})`, errno);
  const message = `cannot pin table "${table}": there is no BPF file system on ${USUAL_PLACE}`;
  const hint = `let root do "mount -t bpf bpf ${USUAL_PLACE}"`;
  if (isPermission(errno)) throw new PermissionError(message, { hint, cause });
  throw new MapError("MAP_PIN", `${message}, and it cannot be mounted (${errno})`, { hint, cause });
}
