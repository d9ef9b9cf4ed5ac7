import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Clang } from "../../../framework/compile/clang.ts";
import { readObject } from "../../../framework/object/read-object.ts";
import { expectFixture, fixtureNames, fixturesFolder } from "../../support/fixtures.ts";
import { compileText, type Lowered, lowerText } from "./lowering.ts";

const folder = join(fixturesFolder, "rewriter");
const names = fixtureNames("rewriter", ".in.c");

/** The oldest compiler in use: Debian 12's. */
const OLD_CLANG = "/usr/bin/clang-14";

/** A fixture's first line may give compiler flags; its -I folders are beside it. */
function lowerFixture(name: string): Lowered {
  const text = readFileSync(join(folder, `${name}.in.c`), "utf8");
  const flags = /^\/\/ flags: (.*)/.exec(text)?.[1]?.split(" ") ?? [];
  const cflags = flags.map((flag) => flag.replace(/^-I/, `-I${folder}/`));
  return lowerText(text, { file: `${name}.in.c`, cflags });
}

/** The lowered text without what stands before the source, and without paths of this machine. */
function shown(name: string, { text }: Lowered): string {
  const first = text.indexOf(`# 1 "${name}.in.c"`);
  return text
    .slice(first)
    .split("\n")
    .filter((line) => !/^# \d+ ".*\/(?:absent|compile\/headers)\//.test(line))
    .join("\n")
    .replaceAll(`"${folder}/`, '"');
}

function hasErrors({ diagnostics }: Lowered): boolean {
  return diagnostics.some((finding) => finding.severity === "error");
}

describe.each(names)("%s", (name) => {
  const lowered = lowerFixture(name);

  test("lowers to the fixture's text", () => {
    expectFixture(`rewriter/${name}.out.c`, hasErrors(lowered) ? "" : shown(name, lowered));
  });

  test("has the fixture's findings", () => {
    const findings = lowered.shown === "" ? "" : `${lowered.shown}\n`;
    expectFixture(`rewriter/${name}.diagnostics`, findings.replaceAll(`${folder}/`, ""));
  });

  if (hasErrors(lowered)) return;

  test("compiles to an object that can be read", () => {
    const { maps } = readObject(compileText(lowered));
    expect(maps.map((map) => map.name)).toEqual(
      expect.arrayContaining(lowered.tables.map((table) => table.name)),
    );
  });

  test("compiles with clang 14", (context) => {
    if (!existsSync(OLD_CLANG)) context.skip(`${OLD_CLANG} is not installed`);
    const clang: Clang = { command: [OLD_CLANG], identity: OLD_CLANG };
    expect(compileText(lowered, clang).length).toBeGreaterThan(0);
  });
});
