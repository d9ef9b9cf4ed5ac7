import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, SCRIPT_TIMEOUT_MS, SCRIPTS_TIMEOUT_MS, settle } from "../../support/events.ts";
import { expectFreed, type Holdings, holdings, probesOf } from "../../support/leaks.ts";
import { needsKernel } from "../../support/skip.ts";
import { OwnCgroup } from "./cgroup.ts";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const SCRIPT = [path("../../../framework/cli/rxbpf.js"), "run", path("held-child.ts")];

let cgroup: OwnCgroup | undefined;

/** unshare becomes the child, so the process has one id. */
const command = (...args: readonly string[]): readonly string[] => [
  "--net",
  process.execPath,
  ...SCRIPT,
  cgroup!.folder,
  ...args,
];

beforeEach((context) => {
  needsKernel(context, "ringbuf");
  cgroup = new OwnCgroup();
});
afterEach(() => {
  cgroup?.[Symbol.dispose]();
  cgroup = undefined;
});

/** Starts the child, and waits until it has attached. */
async function startHolder(
  ...args: readonly string[]
): Promise<{ readonly child: ChildProcess; readonly held: Holdings }> {
  const child = spawn("unshare", command(...args), { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout?.on("data", (data: Buffer) => {
    output += data.toString();
  });
  const hasAttached = () => output.includes("attached") || child.exitCode !== null;
  await eventually("the child to attach", hasAttached, SCRIPT_TIMEOUT_MS);
  expect(child.exitCode).toBeNull();
  return { child, held: holdings(child.pid!) };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
}

describe("a process that ends", { timeout: SCRIPTS_TIMEOUT_MS }, () => {
  test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
    "by %s leaves no program, map or link behind",
    async (signal) => {
      const { child, held } = await startHolder();
      expect(held.programs.length).toBeGreaterThanOrEqual(10);
      expect(held.maps.length).toBeGreaterThanOrEqual(4);
      expect(held.links.length).toBeGreaterThanOrEqual(5);
      await end(child, signal);
      await expectFreed(held);
      expect(probesOf(child.pid!)).toEqual([]);
    },
  );

  test("by an exception of the script, or process.exit, leaves no probe behind, and its status tells", () => {
    const thrown = spawnSync("unshare", command("--throw"), { encoding: "utf8" });
    expect([thrown.status, thrown.stderr]).toEqual([1, expect.stringContaining("RangeError: of the script")]);
    const left = spawnSync("unshare", command("--exit"), { encoding: "utf8" });
    expect(left.status).toBe(3);
    expect([...probesOf(thrown.pid), ...probesOf(left.pid)]).toEqual([]);
  });
});

describe("return probes in tracefs, which outlive a process", { timeout: SCRIPTS_TIMEOUT_MS }, () => {
  beforeEach((context) => needsKernel(context, "kprobe"));

  test("are removed when the script throws or exits", () => {
    for (const how of ["--throw", "--exit"]) {
      const { pid, status } = spawnSync("unshare", command("--maxactive", how), {
        stdio: "ignore",
      });
      expect(status).toBe(how === "--throw" ? 1 : 3);
      expect(probesOf(pid)).toEqual([]);
    }
  });

  test("run no program after kill -9, and are removed when the next process starts", async () => {
    const { child, held } = await startHolder("--maxactive");
    expect(held.probes).toHaveLength(1);
    await end(child, "SIGKILL");
    await expectFreed(held);
    await settle();
    expect(probesOf(child.pid!)).toHaveLength(1);
    const next = spawnSync("unshare", command("--exit"), { stdio: "ignore" });
    expect(next.status).toBe(3);
    expect(probesOf(child.pid!)).toEqual([]);
  });
});
