import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { needsKernel } from "../support/skip.ts";
import { blocksOf, scriptsOf, typeErrors } from "./blocks.ts";
import { OwnProcesses } from "./own-events.ts";
import { runAsShown } from "./page-script.ts";
import { root } from "./script-run.ts";

const page = "README.md";
const text = readFileSync(`${root}${page}`, "utf8");
const scripts = scriptsOf(page);

test("its scripts compile against the public types", () => {
  expect(scripts.length).toBeGreaterThan(0);
  expect(typeErrors(page, scripts.map(({ block }) => block))).toEqual([]);
});

test("the first script has ten lines", () => {
  expect(scripts[0]!.block.text.trimEnd().split("\n")).toHaveLength(10);
});

test.each(scripts)("the script at line $block.line prints what the page shows", async (script) => {
  needsKernel(expect.getState() as never);
  await runAsShown(script, { cause: () => new OwnProcesses().exec() });
});
