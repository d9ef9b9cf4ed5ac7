import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { afterAll, describe, expect, test, vi } from "vitest";
import { stateOf, tracerOf, until } from "../../support/commands.ts";

// Each test starts processes that start processes.
vi.setConfig({ testTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), "rxbpf-foreground-"));
afterAll(() => rmSync(folder, { recursive: true }));

const rxbpf = [process.execPath, fileURLToPath(new URL("../../../framework/cli/rxbpf.js", import.meta.url))];
const env = { ...process.env, RXBPF_RUNTIME: "machine" };

function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const SOURCE = `BPF_ARRAY(n, u64, 1);
  RAW_TRACEPOINT_PROBE(sys_enter) { n.increment(0); return 0; }`;

/** Has a stop signal, and tells at its end whether it saw anything. */
const stopping = script(
  "stopping.ts",
  `import { aborted, BPF, stopSignal } from "rxbpf";
  using b = new BPF({ text: ${JSON.stringify(SOURCE)} });
  await aborted(stopSignal());
  console.log("saw something:", b.get_table("n").get(0) > 0n);`,
);

/** Waits for events for ever, as scripts do that were written for Ctrl-C. */
const waiting = script(
  "waiting.ts",
  `import { BPF } from "rxbpf";
  const b = new BPF({ text: \`BPF_PERF_OUTPUT(out);
    TRACEPOINT_PROBE(sched, sched_process_exec) { u32 pid = args->pid; out.perf_submit(args, &pid, sizeof(pid)); return 0; }\` });
  b.get_table("out").open_perf_buffer(() => console.log("exec"));
  while (true) await b.perf_buffer_poll();`,
);

/** Starts a command that makes system calls for ever, says its id, and waits with it. */
const starting = script(
  "starting.ts",
  `import { BPF } from "rxbpf";
  const b = new BPF({ runtime: "machine", text: ${JSON.stringify(SOURCE)} });
  const command = b.spawn("sh", ["-c", process.argv[2]], { stdio: "ignore" });
  setInterval(() => b.get_table("n").get(0) > 1000n && console.log(command.pid), 50);
  process.on("SIGUSR1", () => process.exit(4));`,
);

function run(...words: readonly string[]) {
  const { status, signal, stdout, stderr } = spawnSync(rxbpf[0]!, [rxbpf[1]!, "run", ...words], {
    encoding: "utf8",
    env,
  });
  return { status, signal, stdout, stderr };
}

describe("rxbpf run SCRIPT -- COMMAND", () => {
  test("runs both, ends with the command, and has its status", () => {
    const ended = run(stopping, "--", "sh", "-c", "echo hello; exit 7");
    expect(ended).toEqual({ status: 7, signal: null, stdout: "hello\nsaw something: true\n", stderr: "" });
  });

  test("tells a death by a signal as shells do", () => {
    expect(run(stopping, "--", "sh", "-c", "kill -TERM $$").status).toBe(128 + 15);
  });

  test("ends a script that only waits for events, after the last of them", () => {
    const ended = run(waiting, "--", "sh", "-c", "true; exec cat /dev/null");
    expect(ended).toEqual({ status: 0, signal: null, stdout: "exec\nexec\n", stderr: "" });
  });

  test("runs with a script that subscribes and is at its end at once", () => {
    const subscribing = script(
      "subscribing.ts",
      `import { BPF } from "rxbpf";
      const b = new BPF({ text: \`BPF_RINGBUF_OUTPUT(execs, 8);
        TRACEPOINT_PROBE(sched, sched_process_exec) { u32 pid = args->pid; return execs.ringbuf_output(&pid, sizeof(pid), 0); }\` });
      b.get_table("execs").events().subscribe((pid) => console.log("exec", pid > 0));`,
    );
    const ended = run(subscribing, "--", "sh", "-c", "cat /dev/null; exit 5");
    expect(ended).toEqual({ status: 5, signal: null, stdout: "exec true\nexec true\n", stderr: "" });
  });

  test("says so when there is no such command", () => {
    const missing = run(stopping, "--", "no-such-program");
    expect(missing.status).toBe(1);
    expect(missing.stderr).toMatch(/^UsageError: cannot run "no-such-program": no such program\n/);
  });

  test("says so when nothing would see the command, or none is given", () => {
    const blind = run(script("blind.ts", "console.log(1);"), "--", "true");
    expect([blind.status, blind.stdout]).toEqual([1, "1\n"]);
    expect(blind.stderr).toContain("without a BPF object");
    expect(run(stopping, "--").status).toBe(2);
  });

  test("gives the command its terminal: it reads from it, and Ctrl-C is its own", async (context) => {
    if (!existsSync("/usr/bin/script")) context.skip("no script(1) to make a terminal with");
    // In place of script's own shell: dash (its shell where SHELL is not set) would end by Ctrl-C as well, with 130.
    const command = `exec ${rxbpf.join(" ")} run ${stopping} -- sh -c '
      trap "echo interrupted; exit 9" INT
      test -t 0 && test -t 1 && echo terminal; read -r line; echo "read $line"; while :; do read -r line; done'`;
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    await until("the terminal", () => output.includes("terminal"));
    child.stdin.write("words\n");
    await until("the line", () => output.includes("read words"));
    child.stdin.write("\x03");
    const status = await ended;
    expect(stripVTControlCharacters(output)).toMatch(/interrupted\r\nsaw something: true\r\n$/);
    expect(status).toBe(9);
  });

  test("passes SIGTERM on to the command", async () => {
    const words = [
      rxbpf[1]!,
      "run",
      stopping,
      "--",
      "sh",
      "-c",
      "trap 'exit 6' TERM; echo ready; sleep 1000 & wait",
    ];
    const child = spawn(rxbpf[0]!, words, { env, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    await until("the command", () => output.includes("ready"));
    child.kill("SIGTERM");
    await until("both have ended", () => child.exitCode !== null);
    expect(child.exitCode).toBe(6);
    // The shell's own child keeps the pipe: nobody told it to end.
    const left = spawnSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" }).stdout;
    for (const line of left.split("\n")) {
      const [, pid] = /^\s*(\d+) sleep 1000$/.exec(line) ?? [];
      if (pid !== undefined && readFileSync(`/proc/${pid}/environ`, "latin1").includes(MARK))
        process.kill(Number(pid));
    }
    await ended;
  });
});

/** In the environment of everything that this test starts, to tell it from others' processes. */
const MARK = `RXBPF_TEST_MARK=${process.pid}`;
Object.assign(env, { RXBPF_TEST_MARK: String(process.pid) });

describe("when the tracing process ends first", () => {
  /** Starts the script that starts a command; gives both. */
  async function started(command = "while :; do umask 077; done") {
    const child = spawn(rxbpf[0]!, [rxbpf[1]!, "run", starting, command], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    await until("the command's events", () => output.includes("\n"));
    return { child, ended, command: Number.parseInt(output, 10) };
  }

  /** The command makes system calls all the time: where it hangs, its time stands still. */
  function timeOf(pid: number): number {
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
    return Number(fields[11]) + Number(fields[12]);
  }

  async function goesOn(pid: number): Promise<void> {
    const before = timeOf(pid);
    await until("the command goes on", () => timeOf(pid) > before);
    expect(tracerOf(pid)).toBe(0);
    expect(stateOf(pid)).toMatch(/[RS]/);
  }

  test("by kill -9, the command goes on untraced", async () => {
    const { child, ended, command } = await started();
    try {
      child.kill("SIGKILL");
      await ended;
      await goesOn(command);
    } finally {
      process.kill(command, "SIGKILL");
    }
  });

  test("by kill -9, all that the command started goes on untraced", async () => {
    const busy = "while :; do umask 077; done";
    const { child, ended, command } = await started(`(${busy}) & (${busy}) & (${busy}) & wait`);
    const children = (): readonly number[] =>
      spawnSync("ps", ["-o", "pid=", "--ppid", String(command)], { encoding: "utf8" })
        .stdout.split("\n")
        .filter((line) => line !== "")
        .map(Number);
    await until("its children", () => children().length === 3);
    const tree = children();
    try {
      await until("all are traced", () => tree.every((pid) => tracerOf(pid) !== 0));
      child.kill("SIGKILL");
      await ended;
      await Promise.all(tree.map(goesOn));
      expect([tracerOf(command), stateOf(command)]).toEqual([0, "S"]);
    } finally {
      for (const pid of [command, ...tree]) process.kill(pid, "SIGKILL");
    }
  });

  test("by process.exit, it ends at once, and the command goes on untraced", async () => {
    const { child, ended, command } = await started();
    try {
      child.kill("SIGUSR1");
      expect(await ended).toBe(4);
      await goesOn(command);
    } finally {
      process.kill(command, "SIGKILL");
    }
  });
});

describe("where ptrace is forbidden", () => {
  test("starting a command is a PermissionError that says what forbids it", (context) => {
    if (spawnSync("python3", ["-c", ""]).status !== 0)
      context.skip("no python3 to install a seccomp filter with");
    const path = script(
      "forbidden.ts",
      `import { BPF, PermissionError } from "rxbpf";
      using b = new BPF({ runtime: "machine", text: ${JSON.stringify(SOURCE)} });
      try { b.spawn("true"); } catch (error) {
        console.log(error instanceof PermissionError, error.code, error.message, error.hint);
      }`,
    );
    // A filter that answers ptrace(2) with EPERM: load the number, compare, refuse or allow.
    const filter = `
import ctypes, os, struct, sys
nr = 117 if os.uname().machine == "aarch64" else 101
code = b"".join(struct.pack("HBBI", *i) for i in [(0x20,0,0,0),(0x15,0,1,nr),(6,0,0,0x50001),(6,0,0,0x7fff0000)])
memory = ctypes.create_string_buffer(code)
libc = ctypes.CDLL(None)
program = struct.pack("HxxxxxxQ", 4, ctypes.addressof(memory))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])`;
    const child = spawnSync("python3", ["-c", filter, ...rxbpf, "run", path], { encoding: "utf8", env });
    expect(child.stderr).toBe("");
    expect(child.stdout).toMatch(
      /^true PERMISSION commands cannot be traced here: ptrace is forbidden \(EPERM\) /,
    );
    expect(child.stdout).toContain("seccomp");
  });
});

describe("on a system that is not Linux", () => {
  test("programs run, and starting a command is an UnsupportedError that says so", () => {
    const path = script(
      "elsewhere.ts",
      `import { BPF, UnsupportedError } from "rxbpf";
      using b = new BPF({ runtime: "machine", text: ${JSON.stringify(SOURCE)} });
      Object.defineProperty(process, "platform", { value: "darwin" });
      b.fire("raw_tp/sys_enter", {});
      try { b.spawn("true"); } catch (error) {
        console.log(b.get_table("n").get(0), error instanceof UnsupportedError, error.message);
      }`,
    );
    expect(run(path)).toEqual({
      status: 0,
      signal: null,
      stdout: "1n true commands are traced with Linux's ptrace, and this is darwin\n",
      stderr: "",
    });
  });
});
