import { closeSync, readFileSync } from "node:fs";
import { type BpfError, PermissionError, SyscallError, UnsupportedError } from "../../core/errors.ts";
import { isAtLeast, type KernelVersion } from "../../core/version.ts";
import { kernelVersion } from "../../sys/proc.ts";
import { resume, seize, waitForOwn } from "../../sys/ptrace.ts";
import { makePipe } from "../../sys/spawn.ts";
import { startBehindGate } from "./gate.ts";

/** What decides whether commands can be traced; tests put another one in place of this machine. */
export interface TracingHost {
  /** As `process.platform`. */
  readonly platform: string;
  kernelVersion(): KernelVersion;
  /** Begins to trace a process that only waits, and lets it go; undefined, or the errno. */
  trySeize(): string | undefined;
  /** A setting's text; "" when the kernel has no such setting. */
  readSetting(path: string): string;
}

const thisHost: TracingHost = {
  get platform() {
    return process.platform;
  },
  kernelVersion,
  trySeize,
  readSetting,
};

/**
 * Says before there is a command whether one could be traced.
 * @throws UnsupportedError where ptrace cannot do what is needed; PermissionError where it is forbidden
 */
export function assertTraceable(host: TracingHost = thisHost): void {
  if (host.platform !== "linux") {
    throw new UnsupportedError(`commands are traced with Linux's ptrace, and this is ${host.platform}`, {
      hint: "make events by hand with b.fire(), or run this on Linux",
    });
  }
  if (!isAtLeast(host.kernelVersion(), "5.3")) {
    throw new UnsupportedError("tracing commands needs Linux 5.3 (PTRACE_GET_SYSCALL_INFO)", {
      hint: "make events by hand with b.fire()",
    });
  }
  const errno = host.trySeize();
  if (errno !== undefined) throw forbidden(errno, host);
}

function trySeize(): string | undefined {
  const pipe = makePipe();
  const pid = startBehindGate({
    pipe: pipe.read,
    candidates: [],
    argv: [],
    env: {},
    stdio: [null, null, null],
  });
  closeSync(pipe.read);
  const errno = seize(pid);
  closeSync(pipe.write);
  // It ends now; where it is traced, it stops once more on its way.
  for (let next = waitForOwn(pid); next?.state === "stopped"; next = waitForOwn(pid)) resume(pid, "free");
  return errno;
}

/** The error for a ptrace that was refused, with what refuses it. */
export function forbidden(errno: string, host: Pick<TracingHost, "readSetting"> = thisHost): BpfError {
  return new PermissionError(`commands cannot be traced here: ptrace is forbidden (${errno})`, {
    hint: `${whatForbids(host)}; or make events by hand with b.fire()`,
    cause: new SyscallError("ptrace(PTRACE_SEIZE)", errno),
  });
}

function whatForbids({ readSetting }: Pick<TracingHost, "readSetting">): string {
  const scope = readSetting("/proc/sys/kernel/yama/ptrace_scope");
  if (scope === "3") return "kernel.yama.ptrace_scope is 3, which forbids ptrace until the next boot";
  if (scope === "2") return "kernel.yama.ptrace_scope is 2, which allows it with CAP_SYS_PTRACE only";
  return "a seccomp filter or security module forbids it (in a container: --cap-add SYS_PTRACE, or --security-opt seccomp=unconfined)";
}

/** The text of a file below /proc, "" where there is none. */
export function readSetting(path: string): string {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return ""; // the kernel has no such setting
  }
}
