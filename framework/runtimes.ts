import type { CompileEnvironment } from "./compile/environment.ts";
import { PermissionError, UsageError } from "./core/errors.ts";
import { notify } from "./core/notify.ts";
import { attachable } from "./kernel/attachable.ts";
import { kernelEnvironment, syscallPrefix } from "./kernel/environment.ts";
import { examineKernel, type Finding } from "./kernel/health.ts";
import { KernelRuntime } from "./kernel/kernel-runtime.ts";
import { type Clock, realClock, VirtualClock } from "./machine/clock.ts";
import { LiveRuntime } from "./machine/live/live-runtime.ts";
import type { Task } from "./runtime/events.ts";
import type { Command, CommandOptions, Runtime } from "./runtime/types.ts";
import { type CommandSpec, startCommand } from "./sys/commands.ts";

export type { Finding };
export { attachable, type Clock, VirtualClock };

/** What the machine is like, where it is the runtime. What is left out is as this process sees it. */
export interface MachineSettings {
  /** What time it is; a `VirtualClock` for tests, where time passes when the test says so, and timers ring. */
  readonly clock?: Clock;
  /** CPUs that events can name: how many slots per-CPU tables have. */
  readonly cpus?: number;
  /** The task that events happen in when they do not say. */
  readonly task?: Partial<Task>;
  /** Instructions after which a program is stopped; about a second of them without it. */
  readonly budget?: number;
  /** 32 random bits each time, for bpf_get_prandom_u32. */
  readonly random?: () => number;
}

/** Which runtime a user asks for. "auto" takes the kernel when this process may use it. */
export type RuntimeChoice = "auto" | "kernel" | "machine";

const CHOICES: readonly RuntimeChoice[] = ["auto", "kernel", "machine"];

/** A runtime, and the kernel that sources for it are compiled for. */
export interface Host {
  readonly runtime: Runtime;
  readonly environment: CompileEnvironment;
  /** What comes before a system call's name in its kernel function's, for instance "__x64_sys_". */
  readonly syscallPrefix: string;
  /** Starts a command whose doings the runtime sees. */
  spawn(command: string, args: readonly string[], options: CommandOptions): Command;
}

/**
 * Opens the runtime a user asks for; `RXBPF_RUNTIME` overrides the choice. Says once on stderr which one "auto" took,
 * and why.
 *
 * @throws PermissionError when the kernel was asked for and is out of reach
 */
export function openHost(choice: RuntimeChoice = "auto", settings: MachineSettings = {}): Host {
  const wanted = process.env["RXBPF_RUNTIME"] ?? choice;
  if (!isChoice(wanted)) {
    throw new UsageError(`no runtime ${JSON.stringify(wanted)}`, {
      hint: `runtimes are ${CHOICES.join(", ")}`,
    });
  }
  if (wanted === "machine") return machineHost(settings);
  const access = KernelRuntime.probe();
  if (access.ok) {
    if (wanted === "auto") notify("rxbpf: using the running kernel, which this process may program");
    return kernelHost();
  }
  if (wanted === "kernel") {
    throw new PermissionError(`the running kernel cannot be used: ${access.reason}`, {
      hint: 'run as root, or give node CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: setcap cap_bpf,cap_perfmon,cap_net_admin+ep $(command -v node); or use { runtime: "machine" }, which sees the commands that it starts',
    });
  }
  notify(
    `rxbpf: using the machine in this process, because ${access.reason}; it sees the commands that it starts and nothing else`,
  );
  return machineHost(settings);
}

function kernelHost(): Host {
  return {
    runtime: new KernelRuntime(),
    environment: kernelEnvironment(),
    syscallPrefix: syscallPrefix(),
    spawn: (command, args, options) => startCommand(commandSpec(command, args, options)),
  };
}

/** The machine in place of the running kernel: sources are compiled as for it, and events happen in this process. */
function machineHost({ clock, cpus, task, ...rest }: MachineSettings): Host {
  const environment = kernelEnvironment();
  const { pid, ppid } = process;
  const prefix = syscallPrefix();
  const runtime = new LiveRuntime({
    syscallPrefix: prefix,
    cpuCount: cpus ?? environment.onlineCpus,
    clock: clock ?? realClock(() => process.hrtime.bigint()),
    task: {
      pid,
      tgid: pid,
      comm: process.title.slice(0, MOST_COMM),
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      parent: ppid,
      ...task,
    },
    arch: environment.arch === "arm64" ? "arm64" : "x64",
    types: environment.types,
    ...rest,
  });
  return {
    runtime,
    environment,
    syscallPrefix: prefix,
    spawn: (command, args, options) => runtime.spawn(commandSpec(command, args, options)),
  };
}

/** @throws UsageError for descriptors that are none */
function commandSpec(command: string, args: readonly string[], options: CommandOptions): CommandSpec {
  const { cwd, env = process.env, stdio = "inherit" } = options;
  const each = typeof stdio === "string" ? [stdio, stdio, stdio] : stdio;
  if (each.length !== 3 || each.some((fd) => typeof fd === "number" && !(Number.isInteger(fd) && fd >= 0))) {
    throw new UsageError('"stdio" is "inherit", "ignore", or three of these or descriptors');
  }
  const fds = each.map((fd, number) => (fd === "inherit" ? number : fd === "ignore" ? null : fd));
  return { command, args, cwd, env, stdio: fds };
}

/** Characters of a task's name. */
const MOST_COMM = 15;

/** What the running kernel and this process have and lack, for a person to read. */
export function examineHost(): readonly Finding[] {
  return examineKernel(KernelRuntime.probe());
}

/** The kernel that sources are compiled for, without a runtime: compiling needs no privileges. */
export function compileEnvironment(): CompileEnvironment {
  return kernelEnvironment();
}

function isChoice(word: string): word is RuntimeChoice {
  return (CHOICES as readonly string[]).includes(word);
}
