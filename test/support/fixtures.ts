import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/** Where the input and expected output of fixture tests stand. */
export const fixturesFolder = fileURLToPath(new URL("../fixtures", import.meta.url));

/** Names of a folder's fixtures: what stands before an ending, for instance "printk" for "printk.in.c" and ".in.c". */
export function fixtureNames(folder: string, ending: string): readonly string[] {
  return readdirSync(join(fixturesFolder, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();
}

/**
 * Compares with a file, which is absent when the text is "". With UPDATE_FIXTURES=1 in the environment the file is
 * written instead, and the difference is the review.
 */
export function expectFixture(path: string, actual: string): void {
  const file = join(fixturesFolder, path);
  if (process.env["UPDATE_FIXTURES"] === "1") {
    if (actual === "") rmSync(file, { force: true });
    else writeFileSync(file, actual);
    return;
  }
  expect(actual, `${path} (UPDATE_FIXTURES=1 writes it)`).toBe(textOf(file));
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
