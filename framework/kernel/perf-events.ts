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
  /** Every process on this CPU. Events that only run programs count on all CPUs whichever is named. */
  readonly cpu: number;
  /** Only this process, on any CPU with `cpu` -1; all processes by default. */
  readonly pid?: number;
}

/**
 * Opens a perf event.
 *
 * @throws SyscallError to be wrapped by the caller
 */
export function openPerfEvent(label: string, options: PerfEventOptions): Fd {
  return withArena((arena) => {
    const attr = arena.in(perfEventAttr.encode({ ...options.attr, size: perfEventAttr.size }));
    const { syscall5, numbers } = libc();
    const fd = syscall5(
      numbers.perf_event_open,
      Number(attr),
      options.pid ?? -1,
      options.cpu,
      -1,
      PERF_FLAG_FD_CLOEXEC,
    );
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
