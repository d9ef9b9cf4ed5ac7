import { SyscallError } from "../core/errors.ts";
import { withArena } from "../sys/arena.ts";
import { Fd } from "../sys/fd.ts";
import { checked, lastErrno, libc } from "../sys/libc.ts";
import {
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_SET_BPF,
  PERF_FLAG_FD_CLOEXEC,
  perfEventAttr,
} from "../uapi/perf-event.ts";

/** What to open: fields of perf_event_attr, and where it counts. */
export interface PerfEventOptions {
  readonly attr: Parameters<typeof perfEventAttr.encode>[0];
  /** On this CPU; -1 follows a process to all. Events that only run programs count on all CPUs whichever is named. */
  readonly cpu: number;
  /** Of this thread; of everybody by default. */
  readonly pid?: number;
  /** The leader of its group; none by default. */
  readonly groupFd?: number;
}

/**
 * Opens a perf event.
 *
 * @throws SyscallError to be wrapped by the caller
 */
export function openPerfEvent(label: string, options: PerfEventOptions): Fd {
  const { cpu, pid = -1, groupFd = -1 } = options;
  return withArena((arena) => {
    const attr = arena.in(perfEventAttr.encode({ ...options.attr, size: perfEventAttr.size }));
    const { syscall5, numbers } = libc();
    const fd = syscall5(numbers.perf_event_open, Number(attr), pid, cpu, groupFd, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) throw new SyscallError(`perf_event_open(${label})`, lastErrno());
    return new Fd(fd, label);
  });
}

/** Makes the event run a program, and turns it on. */
export function runOnEvent(event: Fd, programFd: number): void {
  const { ioctl } = libc();
  checked("ioctl(PERF_EVENT_IOC_SET_BPF)", ioctl(event.number, PERF_EVENT_IOC_SET_BPF, programFd));
  enable(event);
}

/** Turns an event on. */
export function enable(event: Fd): void {
  checked("ioctl(PERF_EVENT_IOC_ENABLE)", libc().ioctl(event.number, PERF_EVENT_IOC_ENABLE, 0));
}
