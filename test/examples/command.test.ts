import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { needsKernel } from "../support/skip.ts";
import { root, ScriptRun } from "./script-run.ts";

/** npm tells about itself on stderr, and about new versions of itself: not in tests. */
const quietNpm = {
  ...process.env,
  NO_COLOR: "1",
  npm_config_update_notifier: "false",
  npm_config_loglevel: "error",
};

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rxbpf-test-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** A script file outside of the checkout. */
function script(text: string): string {
  const path = join(folder, "script.ts");
  writeFileSync(path, text);
  return path;
}

/** A line of the trace pipe, or one in its form. */
const EVENT = /^ *\S.*-\d+ +\[\d{3}\] \S+ +\d+\.\d{6}: /;

describe("npm start", () => {
  test("starts something to see, prints events and a summary, and ends by itself with exit 0", async (context) => {
    needsKernel(context);
    using run = new ScriptRun(["npm", "start"], { env: quietNpm });
    expect(await run.ending(), run.stderr).toEqual({ status: 0, signal: null });
    const events = run.lines.filter((line) => EVENT.test(line));
    expect(events.join("\n")).toContain("Hello World!");
    expect(run.lines.at(-1)).toBe(`${events.length} events seen, runtime kernel`);
    expect(run.stderr).toContain("rxbpf: using the running kernel");
  });

  test("shows an ordinary user the same lines of the commands that it starts, and says why of those only", async (context) => {
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if (process.getuid?.() !== 0) context.skip("becoming an ordinary user takes root");
    using look = new ScriptRun([...nobody, "test", "-r", `${root}package.json`]);
    if ((await look.ending()).status !== 0) context.skip("other users cannot read this checkout");
    using run = new ScriptRun([...nobody, "npm", "start"], {
      env: { ...quietNpm, HOME: folder, npm_config_cache: join(folder, "npm") },
    });
    expect(await run.ending(), run.stderr).toEqual({ status: 0, signal: null });
    const events = run.lines.filter((line) => EVENT.test(line));
    expect(events.join("\n")).toContain("Hello World!");
    expect(run.lines.at(-1)).toBe(`${events.length} events seen, runtime machine`);
    expect(run.stderr).toMatch(
      /^rxbpf: using the machine in this process, because this process lacks CAP_BPF;/m,
    );
  });
});

describe("npx rxbpf", () => {
  const bin = join(root, "framework/cli/rxbpf.js");
  /** npx makes the command executable first, which only the owner of the checkout may. */
  const isOwner = statSync(bin).uid === process.getuid?.();
  const npx = isOwner ? ["npx", "--no-install", "rxbpf"] : [process.execPath, bin];

  test.each([
    { words: [], text: /^usage: rxbpf run SCRIPT\.ts/, status: 2 },
    { words: ["walk"], text: /^rxbpf: no command "walk"\nusage: rxbpf run/, status: 2 },
    { words: ["run"], text: /^usage: rxbpf run SCRIPT\.ts/, status: 2 },
    { words: ["run", "absent.ts"], text: /^rxbpf run: no file absent\.ts/, status: 2 },
  ])("with $words says how it is used and exits $status", async ({ words, text, status }) => {
    using run = new ScriptRun([...npx, ...words], { env: quietNpm });
    expect((await run.ending()).status).toBe(status);
    expect(run.stderr).toMatch(text);
    expect(run.stdout).toBe("");
  });

  test("--help prints the usage and exits 0", async () => {
    using run = new ScriptRun([...npx, "--help"], { env: quietNpm });
    expect((await run.ending()).status).toBe(0);
    expect(run.stdout).toMatch(/^usage: rxbpf run SCRIPT\.ts/);
  });

  test("runs a script that lies outside of the checkout, in a folder without package.json", async (context) => {
    needsKernel(context);
    const path = script(`
      import { BPF, KeyedTable } from "rxbpf";
      using b = new BPF({ text: "BPF_HASH(counts, u32);" });
      const counts = b.get_table<number, bigint>("counts");
      counts.set(7, 9n);
      console.log(counts instanceof KeyedTable, counts.get(7), process.argv.slice(2));
      await Promise.resolve();
    `);
    using run = new ScriptRun([...npx, "run", path, "one", "--two"], { env: quietNpm });
    expect(await run.ending(), run.stderr).toEqual({ status: 0, signal: null });
    expect(run.stdout).toBe("true 9n [ 'one', '--two' ]\n");
  });

  test("exits with the status that a script sets", async () => {
    using run = new ScriptRun([...npx, "run", script("process.exitCode = 3;")], { env: quietNpm });
    expect((await run.ending()).status).toBe(3);
  });

  test("a script that throws ends with exit 1, also when it left timers running", async () => {
    const path = script(`setInterval(() => {}, 1000);\nthrow new TypeError("no good");`);
    using run = new ScriptRun([...npx, "run", path], { env: quietNpm });
    expect((await run.ending()).status).toBe(1);
    expect(run.stderr).toMatch(/^TypeError: no good\n +at .*script\.ts/);
  });

  test("a mistake in the C text is shown at its line, without a stack", async (context) => {
    needsKernel(context);
    const path = script(
      'import { BPF } from "rxbpf";\nnew BPF({ text: "int f(void *ctx) {\\n  return missing;\\n}" });',
    );
    using run = new ScriptRun([...npx, "run", path], { env: quietNpm });
    expect((await run.ending()).status).toBe(1);
    expect(run.stderr).toContain("CompileError: main.c:2:10: error: use of undeclared identifier 'missing'");
    expect(run.stderr).toContain("    return missing;\n           ^");
    expect(run.stderr).not.toMatch(/^ +at /m);
  });
});
