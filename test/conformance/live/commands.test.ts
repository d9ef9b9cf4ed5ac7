import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BPF, type CommandOptions, UsageError } from "../../../framework/index.ts";
import { stateOf, tracerOf, until } from "../../support/commands.ts";

const folder = mkdtempSync(join(tmpdir(), "rxbpf-live-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Something is attached to every system call, so that every one of them is handed over. */
const COUNTING = `
  BPF_HASH(calls, u64, u64);
  RAW_TRACEPOINT_PROBE(sys_enter) { u64 number = ctx->args[1]; calls.increment(number); return 0; }`;

function open(): BPF {
  return new BPF({ runtime: "machine", text: COUNTING });
}

/** What a command prints, and how it ends. */
async function outputOf(b: BPF, words: readonly string[], options: CommandOptions = {}) {
  const path = join(folder, "output");
  const fd = openSync(path, "w");
  try {
    const [name = "", ...args] = words;
    const end = await b.spawn(name, args, { stdio: ["ignore", fd, fd], ...options }).exited;
    return { ...end, output: readFileSync(path, "utf8") };
  } finally {
    closeSync(fd);
  }
}

/** The only child of a process. */
function childOf(pid: number): number {
  return Number(spawnSync("ps", ["-o", "pid=", "--ppid", String(pid)], { encoding: "utf8" }).stdout);
}

function failure(act: () => unknown): UsageError {
  try {
    act();
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a command under the machine", () => {
  test("ends with its own status", async () => {
    using b = open();
    expect(await b.spawn("sh", ["-c", "exit 7"]).exited).toEqual({ code: 7, signal: null });
    expect(await b.spawn("true").exited).toEqual({ code: 0, signal: null });
  });

  test("dies by its own signal, and by one from outside", async () => {
    using b = open();
    expect(await b.spawn("sh", ["-c", "kill -SEGV $$"]).exited).toEqual({ code: null, signal: "SIGSEGV" });
    const command = b.spawn("sleep", ["1000"]);
    expect(command.kill("SIGKILL")).toBe(true);
    expect(await command.exited).toEqual({ code: null, signal: "SIGKILL" });
    expect(command.kill()).toBe(false);
  });

  test("dies by kill -9 in the middle of its calls, and leaves nothing that keeps the next from running", async () => {
    using b = open();
    const calls = (): bigint =>
      [...b.get_table<bigint, bigint>("calls").values()].reduce((a, n) => a + n, 0n);
    for (let i = 0; i < 5; i++) {
      const before = calls();
      const command = b.spawn("sh", ["-c", "(while :; do umask 077; done) & while :; do umask 022; done"]);
      await until("its calls are seen", () => calls() > before + 200n);
      const child = childOf(command.pid);
      process.kill(command.pid, "SIGKILL");
      const end = await command.exited;
      process.kill(child, "SIGKILL");
      expect([end, stateOf(command.pid)]).toEqual([{ code: null, signal: "SIGKILL" }, ""]);
      await until("its child has ended", () => "Z".includes(stateOf(child)));
    }
    expect(await b.spawn("sh", ["-c", "exit 4"]).exited).toEqual({ code: 4, signal: null });
  });

  test("has the environment, folder and descriptors that it is given, and no others", async () => {
    using b = open();
    const env = { PATH: process.env["PATH"], "odd-name%%": "a b\nc" };
    const seen = await outputOf(b, ["/usr/bin/env"], { env });
    expect(seen.output).toBe(`PATH=${env.PATH}\nodd-name%%=a b\nc\n`);
    expect((await outputOf(b, ["pwd"], { cwd: folder, env: { PATH: env.PATH } })).output).toBe(`${folder}\n`);
    const fds = await outputOf(b, ["sh", "-c", "echo /proc/self/fd/*; echo errors >&2"]);
    expect(fds.output).toMatch(/^\/proc\/self\/fd\/0 \/proc\/self\/fd\/1 \/proc\/self\/fd\/2 .*\nerrors\n$/);
  });

  test("has signals as a command alone has: none blocked, none ignored that was not before", async () => {
    using b = open();
    const { output } = await outputOf(b, ["cat", "/proc/self/status"]);
    const mask = (name: string): string => new RegExp(`^${name}:\\s*(\\w+)`, "m").exec(output)?.[1] ?? "";
    const pipes = BigInt(1 << (constants.signals.SIGPIPE - 1));
    expect(mask("SigBlk")).toMatch(/^0+$/);
    expect(BigInt(`0x${mask("SigIgn")}`) & pipes).toBe(0n);
  });

  test("is looked for as execvp does; one that cannot be run is a UsageError", async () => {
    using b = open();
    expect(failure(() => b.spawn("no-such-program")).message).toBe(
      'cannot run "no-such-program": no such program',
    );
    expect(failure(() => b.spawn("ls", [], { env: { PATH: folder } })).hint).toContain(folder);
    expect(failure(() => b.spawn(folder)).message).toContain("no such program");
    const script = join(folder, "no-magic");
    writeFileSync(script, "no program at all", { mode: 0o755 });
    await expect(b.spawn(script).exited).rejects.toThrow(`cannot run ${script}: ENOEXEC`);
  });

  test("stops and goes on as job control says, and is seen doing so by its parent", async () => {
    using b = open();
    // The outer shell waits for a change of the inner one, and is told of the stop and of the end.
    const script = "sh -c 'kill -STOP $$; exit 5' & sleep 0.1; kill -CONT $!; wait $!; echo $?";
    expect((await outputOf(b, ["sh", "-c", script])).output).toBe("5\n");
    const command = b.spawn("sleep", ["1000"]);
    await until("it sleeps", () => stateOf(command.pid) === "S");
    command.kill("SIGSTOP");
    await until("it is stopped", () => "Tt".includes(stateOf(command.pid) || "-"));
    command.kill("SIGCONT");
    await until("it goes on", () => stateOf(command.pid) === "S");
    command.kill("SIGTERM");
    expect(await command.exited).toEqual({ code: null, signal: "SIGTERM" });
  });

  test("handles signals itself, and hears of its children", async () => {
    using b = open();
    const script = `trap 'echo hup' HUP; trap 'echo child' CHLD; kill -HUP $$; true & wait; echo end`;
    const { output } = await outputOf(b, ["sh", "-c", script]);
    expect(output.split("\n").filter(Boolean).sort()).toEqual(["child", "end", "hup"]);
  });

  test("may start many processes, and each is seen", async () => {
    using b = new BPF({
      runtime: "machine",
      text: "BPF_HASH(exits, u32, u64); TRACEPOINT_PROBE(sched, sched_process_exit) { exits.increment(args->pid); return 0; }",
    });
    await b.spawn("sh", ["-c", "i=0; while [ $i -lt 100 ]; do (exit 0) & i=$((i+1)); done; wait"]).exited;
    expect(b.get_table("exits").size).toBe(101);
  });

  test("runs on, untraced by anybody's programs, when the object is closed", async () => {
    const b = open();
    const command = b.spawn("sh", [
      "-c",
      "i=0; while [ $i -lt 1000 ]; do umask 077; i=$((i+1)); done; exit 3",
    ]);
    b.close();
    expect(await command.exited).toEqual({ code: 3, signal: null });
  });

  test("several run at the same time", async () => {
    using b = open();
    const commands = [1, 2, 3].map((code) => b.spawn("sh", ["-c", `cat /dev/null; exit ${code}`]));
    const ends = await Promise.all(commands.map(({ exited }) => exited));
    expect(ends.map(({ code }) => code)).toEqual([1, 2, 3]);
  });

  test("disposing it ends it", async () => {
    using b = open();
    let exited: Promise<unknown>;
    {
      using command = b.spawn("sleep", ["1000"]);
      exited = command.exited;
      await until("it is traced", () => tracerOf(command.pid) !== 0);
    }
    expect(await exited).toEqual({ code: null, signal: "SIGTERM" });
  });

  test("wrong options are UsageErrors", () => {
    using b = open();
    expect(failure(() => b.spawn("true", [], { stdio: ["inherit"] })).message).toContain("stdio");
    expect(failure(() => b.spawn("true", [], { stdio: ["ignore", -1, "ignore"] })).message).toContain(
      "stdio",
    );
    failure(() => b.spawn("true", [], { shell: true } as CommandOptions));
  });
});
