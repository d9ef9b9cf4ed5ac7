import { supports } from "../../framework/kernel/features.ts";
import type { FeatureName } from "../../framework/runtime/types.ts";
import { Cable } from "./namespaces.ts";
import { callBpf, knockOnLoopback, OwnProcesses, type ProcessPattern, umaskNumber } from "./own-events.ts";
import { rxbpf } from "./script-run.ts";

/** One run of an example: what the test does meanwhile, and what it looks for in the output. */
export interface Stage extends Disposable {
  /** The command that starts a script, for instance inside of a network namespace. */
  readonly command: readonly string[];
  /** Arguments of the script. */
  readonly args: readonly string[];
  /** Causes events that the script is to show. */
  cause(): void | Promise<void>;
  /** Whether the output shows them. */
  shows(stdout: string): boolean;
  /** Fails when something is left after the script's end. */
  checkAfter?(): void;
}

/** How an example is tested that makes its own events: it ends by itself, with the same output on both runtimes. */
export interface OwnCase {
  readonly prints: readonly string[];
}

/** How an example is tested that waits for events. */
export interface ExampleCase {
  stage(): Stage | Promise<Stage>;
  /** The last line: totals. */
  readonly total: RegExp;
  /** What it has nothing to show without. */
  readonly needs?: readonly FeatureName[];
  /** Whether it runs on a device, which the test makes in a network namespace. */
  readonly needsDevice?: true;
  /** How it runs in the machine: with a command to watch, and lines that must appear; or why it cannot. */
  readonly machine: MachineCase | { readonly cannot: string };
}

/** One run of an example in the machine. */
export interface MachineCase {
  readonly command: readonly string[];
  readonly args?: readonly string[];
  readonly shows: RegExp;
}

type StageParts = Pick<Stage, "cause" | "shows"> & Partial<Stage>;

function stage(parts: StageParts): Stage {
  return { command: [...rxbpf, "run"], args: [], [Symbol.dispose]: () => {}, ...parts };
}

/** A stage of processes of the test's own, with the lines that must appear about one of them. */
function ofProcesses(
  cause: (own: OwnProcesses) => void,
  patterns: readonly ProcessPattern[],
  args: readonly string[] = [],
): Stage {
  const own = new OwnProcesses();
  return stage({ args, cause: () => cause(own), shows: (stdout) => own.shownIn(stdout, patterns) });
}

/** A whole line. */
function line(pattern: string): RegExp {
  return new RegExp(`^${pattern}$`, "m");
}

/** A line of the trace pipe. The kernel looks up the task's name when the line is read: by then it may have another. */
function traced(pid: number, rest: string): RegExp {
  return line(String.raw` *\S+-${pid} +\[\d{3}\] \S+ +\d+\.\d{6}: ${rest}`);
}

/** A line of the machine's own trace pipe. */
function tracedInMachine(rest: string): RegExp {
  return line(String.raw` *\S+-\d+ +\[\d{3}\] \S+ +\d+\.\d{6}: ${rest}`);
}

const NEEDS_DEVICE = { cannot: "packets of a device do not come to a process" };

/** A user that runs nothing else. */
const UNUSED_UID = 54321;

/** Every example that makes its own events, by its file name. */
export const ownCases: Readonly<Record<string, OwnCase>> = {
  "xdp_replay.ts": {
    prints: [
      "192.0.2.44     passes",
      "198.51.100.7   is dropped",
      "203.0.113.8    passes",
      "203.0.113.9    is dropped",
      "total: 2 packets dropped",
    ],
  },
};

/** Every other example by its file name. */
export const cases: Readonly<Record<string, ExampleCase>> = {
  "hello.ts": {
    stage: () => ofProcesses((own) => own.exec(), [(pid) => traced(pid, "Hello World!")], ["--follow"]),
    total: /^\d+ events seen, runtime kernel$/,
    machine: { command: ["true"], args: ["--follow"], shows: tracedInMachine("Hello World!") },
  },
  "hello_map.ts": {
    stage: () =>
      stage({
        cause: () => new OwnProcesses().execAs(UNUSED_UID),
        shows: (stdout) => new RegExp(`\\bID ${UNUSED_UID}: [1-9]`).test(stdout),
      }),
    total: /^total: (?:(?:ID \d+: \d+\s*)+|nothing was started)$/,
    machine: {
      command: ["sh", "-c", "true; /bin/true"],
      shows: line(String.raw`total: ID ${process.getuid!()}: [1-9]\d*`),
    },
  },
  "hello_buffer.ts": {
    stage: () => ofProcesses((own) => own.exec(), [(pid, name) => line(`${pid} 0 ${name} Hello World`)]),
    total: /^total: \d+ events$/,
    machine: { command: ["sh", "-c", "exec true"], shows: line(String.raw`\d+ \d+ sh Hello World`) },
  },
  "hello_ring_buffer.ts": {
    stage: () => ofProcesses((own) => own.exec(), [(pid, name) => line(`${pid} 0 ${name} Hello World`)]),
    total: /^total: \d+ events, 0 lost$/,
    machine: { command: ["sh", "-c", "exec true"], shows: line(String.raw`\d+ \d+ sh Hello World`) },
  },
  "hello_tail.ts": {
    // timeout(1) makes a timer, sets it, and makes a process group of its own, which is no ignored call.
    stage: () =>
      ofProcesses(
        (own) => own.exec("timeout 5 /bin/true"),
        ["Executing a program", "Creating a timer", "Some other timer operation", "Another syscall: 109"].map(
          (message) => (pid: number) => line(String.raw`\S+-${pid} +${message}`),
        ),
      ),
    total: /^total: \d+ lines, 78 slots filled$/,
    machine: {
      command: ["timeout", "5", "/bin/true"],
      shows: line(String.raw`timeout-\d+ +Creating a timer`),
    },
  },
  "hello_open.ts": {
    stage: () =>
      ofProcesses((own) => own.open(), [(pid) => traced(pid, "(?:bpf_trace_printk: )?Hello, World!")]),
    total: /^total: \d+ lines$/,
    machine: { command: ["cat", "/etc/passwd"], shows: tracedInMachine("bpf_trace_printk: Hello, World!") },
  },
  "bpf_syscalls.ts": {
    stage: () => stage({ cause: callBpf, shows: (stdout) => line(`.+-${process.pid} 0`).test(stdout) }),
    total: /^total: \d+ calls of bpf\(2\)$/,
    machine: { command: [...rxbpf, "doctor"], shows: line(String.raw`.+-\d+ \d+`) },
  },
  "hello_exec.ts": {
    stage: () =>
      ofProcesses((own) => own.exec(), [(pid) => line(String.raw`\d+\.\d{6} \S+-${pid} Hello, BPF World!`)]),
    total: /^total: \d+ lines$/,
    machine: {
      command: ["sh", "-c", "exec true"],
      shows: line(String.raw`\d+\.\d{6} sh-\d+ Hello, BPF World!`),
    },
  },
  "xdp_hello.ts": {
    async stage() {
      const cable = await Cable.make();
      return stage({
        command: [...cable.near.inside(...rxbpf), "run"],
        args: ["--device", cable.device],
        cause: () => cable.send(),
        shows: (stdout) => /^packets: [1-9]\d*$/m.test(stdout) && cable.hasXdp,
        checkAfter() {
          if (cable.hasXdp) throw new Error("the XDP program stayed on the device");
        },
        [Symbol.dispose]: () => cable[Symbol.dispose](),
      });
    },
    total: /^total: \d+ packets$/,
    needsDevice: true,
    machine: NEEDS_DEVICE,
  },
  "hello_func.ts": {
    stage: () =>
      stage({
        cause: () => new OwnProcesses().node("for (let i = 0; i < 50000; i++) process.umask();"),
        shows: (stdout) => new RegExp(`\\bsyscall ${umaskNumber}: \\d{3}`).test(stdout),
      }),
    total: /^total: \d+ calls; syscall \d+: \d+/,
    machine: { command: ["sh", "-c", "umask 077"], shows: new RegExp(`\\bsyscall ${umaskNumber}: \\d`) },
  },
  "sockex1.ts": {
    stage: () =>
      stage({
        cause: knockOnLoopback,
        shows: (stdout) => /^TCP [1-9]\d* UDP [1-9]\d* ICMP [1-9]\d* bytes$/m.test(stdout),
      }),
    total: /^total: TCP \d+ UDP \d+ ICMP \d+ bytes$/,
    machine: NEEDS_DEVICE,
  },
  "nanosleep.ts": {
    stage: () =>
      ofProcesses((own) => own.exec("sleep 0.01"), [(pid) => line(String.raw`PID ${pid} sleeping\.\.\.`)]),
    total: supports("kprobe").state === "yes" ? /^total: \d+ sleeps$/ : /^\s+hint: .*CONFIG_KPROBES/,
    needs: ["kprobe"],
    machine: { cannot: "do_nanosleep is inside of the kernel: only the system calls around it are seen" },
  },
};
