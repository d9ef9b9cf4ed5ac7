import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import * as errors from "../../../framework/core/errors.ts";
import { errorPage } from "../../support/error-page.ts";
import { expectGenerated } from "../../support/generated.ts";

test("docs/errors.md says what every error class means and what to do", () => {
  expectGenerated("docs/errors.md", errorPage());
});

test("it has a section for every class that is exported", () => {
  const page = readFileSync(fileURLToPath(new URL("../../../docs/errors.md", import.meta.url)), "utf8");
  const classes = Object.values(errors).filter((value) => value.prototype instanceof errors.BpfError);
  expect(classes.length).toBeGreaterThan(10);
  expect(classes.map(({ name }) => name).filter((name) => !page.includes(`\n## ${name}\n`))).toEqual([]);
});
