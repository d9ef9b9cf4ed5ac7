import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/**
 * Fails unless a file of the checkout has exactly this text. With UPDATE_DOCS=1 the file is written instead.
 *
 * @param path from the checkout
 */
export function expectGenerated(path: string, text: string): void {
  const file = fileURLToPath(new URL(`../../${path}`, import.meta.url));
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(file, text);
  expect(readFileSync(file, "utf8"), `${path} is stale: run the tests with UPDATE_DOCS=1`).toBe(text);
}
