import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PASSED, readRecords } from "../../guest/record.ts";
import { attachKinds } from "../../support/attach-kinds.ts";
import { expectGenerated } from "../../support/generated.ts";
import { kernelsPage } from "../../support/kernels-page.ts";

const records = readRecords();
const kernels = Object.keys(records);

test("docs/kernels.md shows what was recorded", () => {
  expectGenerated("docs/kernels.md", kernelsPage(records));
});

test("every way to attach was tried on every kernel, passed on at least one, and failed on none", () => {
  expect(kernels.length).toBeGreaterThanOrEqual(3);
  const outcomes = attachKinds.map(({ name }) => ({
    name,
    all: kernels.map((kernel) => records[kernel]?.[name]),
  }));
  const namesOf = (found: typeof outcomes): readonly string[] => found.map(({ name }) => name);
  expect(namesOf(outcomes.filter(({ all }) => all.includes(undefined)))).toEqual([]);
  expect(namesOf(outcomes.filter(({ all }) => !all.includes(PASSED)))).toEqual([]);
  const bad = outcomes.filter(({ all }) => all.some((outcome) => outcome?.startsWith("failed") === true));
  expect(bad).toEqual([]);
});

test("their names are different, and their tests' files have the tests", () => {
  expect(new Set(attachKinds.map(({ name }) => name)).size).toBe(attachKinds.length);
  const missing = attachKinds.filter(({ file, test: title }) => {
    const path = fileURLToPath(new URL(`../../kernel/bcc/${file}`, import.meta.url));
    const own = title
      .split(" > ")
      .at(-1)!
      .replace(/^cgroup_\w+ /, "%s ");
    return !readFileSync(path, "utf8").includes(own);
  });
  expect(missing).toEqual([]);
});
