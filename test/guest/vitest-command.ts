import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { quoted } from "./init.ts";

/** Which tests run in the guest. */
export interface TestChoice {
  /** Files or folders, relative to the checkout. */
  readonly paths: readonly string[];
  /** Part of the names of tests; undefined for all. */
  readonly name: string | undefined;
}

/** What runs in guests. */
const testFolders = ["test/kernel/", "test/conformance/"];

/**
 * A path of the checkout chooses itself; part of a test file's path chooses these files; any other text chooses tests
 * by name.
 */
export function chooseTests(checkout: string, filters: readonly string[]): TestChoice {
  if (filters.length === 0) return { paths: testFolders, name: undefined };
  const choices = filters.map((filter) => chooseBy(checkout, filter));
  const names = choices.flatMap(({ name }) => name ?? []);
  return {
    paths: [...new Set(choices.flatMap(({ paths }) => paths))],
    name: names.length === 0 ? undefined : names.join("|"),
  };
}

function chooseBy(checkout: string, filter: string): TestChoice {
  if (existsSync(join(checkout, filter))) return { paths: [filter], name: undefined };
  const present = testFolders.filter((folder) => existsSync(join(checkout, folder)));
  const files = present.flatMap((folder) =>
    readdirSync(join(checkout, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".test.ts"))
      .map((file) => folder + file),
  );
  const matching = files.filter((file) => file.includes(filter));
  return matching.length > 0 ? { paths: matching, name: undefined } : { paths: testFolders, name: filter };
}

/**
 * The shell command that runs the tests with the runner's own Node.
 *
 * One file after the other, because kernel tests look at state of the whole machine; long limits, because an emulated
 * processor is 10 to 20 times slower.
 */
export function vitestCommand({ paths, name }: TestChoice): string {
  const words = [
    process.execPath,
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=./test/guest/reporter.ts",
    "--no-file-parallelism",
    "--testTimeout=400000",
    "--hookTimeout=400000",
    ...(name === undefined ? [] : ["--testNamePattern", name]),
    ...paths,
  ];
  return words.map(quoted).join(" ");
}
