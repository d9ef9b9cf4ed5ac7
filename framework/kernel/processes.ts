import { UnsupportedError, UsageError } from "../core/errors.ts";
import { isAtLeast } from "../core/version.ts";
import type { OpenDescriptor } from "../runtime/types.ts";
import { Fd } from "../sys/fd.ts";
import { lastErrno, libc } from "../sys/libc.ts";
import { kernelRelease, kernelVersion } from "../sys/proc.ts";
import { PIDFD_OPEN } from "../uapi/constants.ts";

/**
 * A descriptor of a thread group (pidfd_open), or null when there is no process of that number.
 *
 * @throws UnsupportedError before Linux 5.3
 */
export function openProcess(pid: number): OpenDescriptor | null {
  if (!Number.isInteger(pid) || pid < 1) throw new UsageError(`a process id is a number from 1, not ${pid}`);
  if (!isAtLeast(kernelVersion(), "5.3")) {
    throw new UnsupportedError(`descriptors of processes need Linux 5.3; this is ${kernelRelease()}`);
  }
  const number = libc().syscall3(PIDFD_OPEN, pid, 0, 0);
  if (number >= 0) return new Fd(number, `process ${pid}`);
  const errno = lastErrno();
  if (errno === "ESRCH") return null;
  const hint = errno === "EINVAL" ? `${pid} is a thread, and not the first of its process` : undefined;
  throw new UsageError(`cannot open process ${pid}: ${errno}`, { hint });
}
