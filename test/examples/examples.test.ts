import { readdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { expectFreed, holdings, probesOf } from "../support/leaks.ts";
import { needsKernel } from "../support/skip.ts";
import { cases, ownCases } from "./cases.ts";
import { needsNamespaces } from "./namespaces.ts";
import { root, rxbpf, ScriptRun } from "./script-run.ts";

const examples = readdirSync(`${root}examples`).filter((name) => name.endsWith(".ts"));

test("every example has a row in the table, and every row an example", () => {
  expect(Object.keys({ ...cases, ...ownCases }).sort()).toEqual(examples.sort());
});

describe.each(Object.entries(ownCases))("%s", (name, { prints }) => {
  for (const runtime of ["kernel", "machine"]) {
    test(`makes its events on the ${runtime}, says what came of them, and ends`, async (context) => {
      if (runtime === "kernel") needsKernel(context);
      const env = { ...process.env, RXBPF_RUNTIME: runtime };
      using run = new ScriptRun([...rxbpf, "run", `examples/${name}`], { env });
      expect(await run.ending(), run.stderr).toEqual({ status: 0, signal: null });
      expect(run.stderr).toBe("");
      expect(run.stdout).toBe(prints.map((line) => `${line}\n`).join(""));
    });
  }
});

describe.each(Object.entries(cases))("%s", (name, { stage, total, needs = [], needsDevice }) => {
  beforeEach((context) => {
    needsKernel(context);
    if (needsDevice) needsNamespaces(context);
  });

  test("shows what happens; Ctrl-C detaches it, prints the totals and exits 0", async (context) => {
    needsKernel(context, ...needs);
    using scene = await stage();
    using run = new ScriptRun([...scene.command, `examples/${name}`, ...scene.args]);
    await run.until("its output", () => scene.shows(run.stdout), scene.cause);
    const held = holdings(run.pid);
    expect(held.programs).not.toEqual([]);
    run.interrupt();
    expect(await run.ending(), run.stderr).toEqual({ status: 0, signal: null });
    expect(run.lines.at(-1)).toMatch(total);
    await expectFreed(held);
    expect(probesOf(run.pid), "probes left in tracefs").toEqual([]);
    scene.checkAfter?.();
  });

  test("ends by itself after --seconds, prints the totals and exits 0", async () => {
    using scene = await stage();
    const args = scene.args.filter((word) => word !== "--follow");
    using run = new ScriptRun([...scene.command, `examples/${name}`, ...args, "--seconds", "1"]);
    expect(await run.ending(), run.stderr).toEqual({ status: 0, signal: null });
    expect(run.lines.at(-1)).toMatch(total);
    expect(run.stderr).not.toMatch(/Error|Warning/);
    scene.checkAfter?.();
  });
});

describe.each(Object.entries(cases))("%s in the machine", (name, { machine, total }) => {
  const onMachine = (total: RegExp): RegExp =>
    new RegExp(total.source.replace("runtime kernel", "runtime machine"));

  test("shows what a command does, and ends with it", async (context) => {
    if ("cannot" in machine) return context.skip(machine.cannot);
    const { command, args = [], shows } = machine;
    const env = { ...process.env, RXBPF_RUNTIME: "machine" };
    using run = new ScriptRun([...rxbpf, "run", `examples/${name}`, ...args, "--", ...command], { env });
    const { signal } = await run.ending();
    expect(signal, run.stderr).toBe(null);
    expect(run.stderr).not.toMatch(/Error|Warning/);
    expect(run.stdout).toMatch(shows);
    expect(run.lines.at(-1)).toMatch(onMachine(total));
  });
});
