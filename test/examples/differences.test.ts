import { expect, test } from "vitest";
import { needsKernel } from "../support/skip.ts";
import { blocksOf, scriptsOf, typeErrors } from "./blocks.ts";
import { OwnProcesses } from "./own-events.ts";
import { runAsShown } from "./page-script.ts";

const page = "docs/differences.md";
const scripts = scriptsOf(page);

/** What happens while a section's scripts run, by heading. */
const causes: Readonly<Record<string, () => unknown>> = {
  Events: () => new OwnProcesses().exec(),
};

test("every section with a script has a row in the table, and every row a section", () => {
  expect([...new Set(scripts.map(({ block }) => block.heading))]).toEqual(Object.keys(causes));
});

test("its scripts compile against the public types", () => {
  const blocks = scripts.map(({ block }) => block);
  expect(blocks.length).toBe(blocksOf(page).filter(({ language }) => language === "ts").length);
  expect(typeErrors(page, blocks)).toEqual([]);
});

test.for(scripts)(
  "$block.heading, line $block.line: prints what stands under it",
  async (script, context) => {
    needsKernel(context);
    await runAsShown(script, { cause: causes[script.block.heading]! });
  },
);
