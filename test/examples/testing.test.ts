import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf, scriptsOf, typeErrors } from "./blocks.ts";
import { root } from "./script-run.ts";

const page = "docs/testing.md";
const scripts = scriptsOf(page);

/** A user without privileges, for when the tests have them. */
const NOBODY = 65534;

let folder: string;
let printed: string;

/** Runs all test files of the page as a reader would: outside of the checkout, as a user without privileges. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "rxbpf-testing-"));
  chmodSync(folder, 0o755);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const rxbpf = JSON.stringify(join(root, "framework/index.ts"));
  writeFileSync(
    join(folder, "vitest.config.ts"),
    `export default { resolve: { alias: { rxbpf: ${rxbpf} } } };\n`,
  );
  for (const [index, { block }] of scripts.entries())
    writeFileSync(join(folder, `page-${index}.test.ts`), block.text);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(folder, NOBODY, NOBODY);
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const run = spawnSync(
    process.execPath,
    [vitest, "run", "--configLoader", "runner", "--reporter", "verbose", "--no-file-parallelism"],
    {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, HOME: folder, XDG_CACHE_HOME: folder, RXBPF_RUNTIME: undefined, NO_COLOR: "1" },
      ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    },
  );
  printed = run.stdout + run.stderr;
}, 180_000);

afterAll(() => rmSync(folder, { recursive: true }));

test("its tests compile against the public types", () => {
  expect(
    typeErrors(
      page,
      scripts.map(({ block }) => block),
    ),
  ).toEqual([]);
});

test("its first test has ten lines", () => {
  expect(scripts[0]!.block.text.trimEnd().split("\n")).toHaveLength(10);
});

test("every block is a test file or what it prints", () => {
  expect(blocksOf(page).length).toBe(2 * scripts.length);
});

test.for(scripts)("the tests at line $block.line pass without privileges", ({ output }) => {
  for (const line of output.text.trimEnd().split("\n")) {
    const name = line.replace(/^✓ /, "");
    expect(printed).toMatch(new RegExp(`✓ .*${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`));
  }
});
