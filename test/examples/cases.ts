import { supports } from "../../framework/kernel/features.ts";
import type { FeatureName } from "../../framework/runtime/types.ts";
import { Cable } from "./namespaces.ts";
import { callBpf, knockOnLoopback, OwnProcesses, umaskNumber } from "./own-events.ts";
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

/** How an example is tested. */
export interface ExampleCase {
  stage(): Stage | Promise<Stage>;
  /** The last line: totals. */
  readonly total: RegExp;
  /** What it has nothing to show without. */
  readonly needs?: readonly FeatureName[];
}

type StageParts = Pick<Stage, "cause" | "shows"> & Partial<Stage>;

function stage(parts: StageParts): Stage {
  return { command: [...rxbpf, "run"], args: [], [Symbol.dispose]: () => {}, ...parts };
}

/** A stage of processes of the test's own; every pattern must be found for one of them. */
function ofProcesses(
  cause: (own: OwnProcesses) => void,
  patterns: (own: OwnProcesses) => readonly ((pid: number) => RegExp)[],
  args: readonly string[] = [],
): Stage {
  const own = new OwnProcesses();
  return stage({
    args,
    cause: () => cause(own),
    shows: (stdout) => patterns(own).every((pattern) => own.shownIn(stdout, pattern)),
  });
}

/** A user that runs nothing else. */
const UNUSED_UID = 54321;

/** Every example by its file name. */
export const cases: Readonly<Record<string, ExampleCase>> = {
  "hello.ts": {
    stage: () =>
      ofProcesses(
        (own) => own.exec(),
        ({ name }) => [
          (pid) => new RegExp(`^ *\\S+-${pid} +\\[\\d{3}\\] \\S+ +\\d+\\.\\d{6}: Hello World!$`, "m"),
        ],
        ["--follow"],
      ),
    total: /^\d+ events seen, runtime kernel$/,
  },
  "hello_map.ts": {
    stage: () =>
      stage({
        cause: () => new OwnProcesses().execAs(UNUSED_UID),
        shows: (stdout) => new RegExp(`^.*\\bID ${UNUSED_UID}: [1-9]\\d*\\b`, "m").test(stdout),
      }),
    total: /^total: (?:(?:ID \d+: \d+\s*)+|nothing was started)$/,
  },
  "hello_buffer.ts": {
    stage: () =>
      ofProcesses(
        (own) => own.exec(),
        ({ name }) => [(pid) => new RegExp(`^${pid} 0 ${name} Hello World$`, "m")],
      ),
    total: /^total: \d+ events$/,
  },
  "hello_ring_buffer.ts": {
    stage: () =>
      ofProcesses(
        (own) => own.exec(),
        ({ name }) => [(pid) => new RegExp(`^${pid} 0 ${name} Hello World$`, "m")],
      ),
    total: /^total: \d+ events, 0 lost$/,
  },
  "hello_tail.ts": {
    // timeout(1) makes a timer, sets it, and makes a process group of its own, which is no ignored call.
    stage: () =>
      ofProcesses(
        (own) => own.exec("timeout 5 /bin/true"),
        ({ name }) => [
          (pid) => new RegExp(`^\\S+-${pid} +Executing a program$`, "m"),
          (pid) => new RegExp(`^\\S+-${pid} +Creating a timer$`, "m"),
          (pid) => new RegExp(`^\\S+-${pid} +Some other timer operation$`, "m"),
          (pid) => new RegExp(`^\\S+-${pid} +Another syscall: 109$`, "m"),
        ],
      ),
    total: /^total: \d+ lines, 78 slots filled$/,
  },
  "hello_open.ts": {
    stage: () =>
      ofProcesses(
        (own) => own.open(),
        ({ name }) => [
          (pid) =>
            new RegExp(
              `^ *\\S+-${pid} +\\[\\d{3}\\] \\S+ +[\\d.]+: (?:bpf_trace_printk: )?Hello, World!$`,
              "m",
            ),
        ],
      ),
    total: /^total: \d+ lines$/,
  },
  "bpf_syscalls.ts": {
    stage: () =>
      stage({ cause: callBpf, shows: (stdout) => new RegExp(`-${process.pid} 0$`, "m").test(stdout) }),
    total: /^total: \d+ calls of bpf\(2\)$/,
  },
  "hello_exec.ts": {
    stage: () =>
      ofProcesses(
        (own) => own.exec(),
        ({ name }) => [(pid) => new RegExp(`^\\d+\\.\\d{6} \\S+-${pid} Hello, BPF World!$`, "m")],
      ),
    total: /^total: \d+ lines$/,
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
  },
  "hello_func.ts": {
    stage: () =>
      stage({
        cause: () => new OwnProcesses().node("for (let i = 0; i < 50000; i++) process.umask();"),
        shows: (stdout) => new RegExp(`\\bsyscall ${umaskNumber}: \\d{3,}`).test(stdout),
      }),
    total: /^total: \d+ calls; syscall \d+: \d+/,
  },
  "sockex1.ts": {
    stage: () =>
      stage({
        cause: knockOnLoopback,
        shows: (stdout) => /^TCP [1-9]\d* UDP [1-9]\d* ICMP [1-9]\d* bytes$/m.test(stdout),
      }),
    total: /^total: TCP \d+ UDP \d+ ICMP \d+ bytes$/,
  },
  "nanosleep.ts": {
    stage: () =>
      ofProcesses(
        (own) => own.exec("sleep 0.01"),
        () => [(pid) => new RegExp(`^PID ${pid} sleeping\\.\\.\\.$`, "m")],
      ),
    total: supports("kprobe").state === "yes" ? /^total: \d+ sleeps$/ : /^\s+hint: .*CONFIG_KPROBES/,
    needs: ["kprobe"],
  },
};
