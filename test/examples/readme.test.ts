import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { needsKernel } from "../support/skip.ts";
import { blocksOf, scriptsOf, typeErrors } from "./blocks.ts";
import { OwnProcesses } from "./own-events.ts";
import { runAsShown } from "./page-script.ts";
import { root } from "./script-run.ts";

const page = "README.md";
const text = readFileSync(join(root, page), "utf8");
const scripts = scriptsOf(page);

/** All of the library's TypeScript. */
function sources(): string {
  return ["framework", "maps", "rewriter"]
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
        join(folder, name),
      ),
    )
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(root, name), "utf8"))
    .join("\n");
}

test("its scripts compile against the public types", () => {
  const blocks = scripts.map(({ block }) => block);
  expect(blocks).not.toEqual([]);
  expect(typeErrors(page, blocks)).toEqual([]);
});

test("its first script has ten lines", () => {
  expect(scripts[0]!.block.text.trimEnd().split("\n")).toHaveLength(10);
});

test.for(scripts)("the script at line $block.line prints what stands under it", async (script, context) => {
  needsKernel(context);
  await runAsShown(script, { cause: () => new OwnProcesses().exec() });
});

test("the two lines that start and test it name scripts of the package", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
  const lines = blocksOf(page).flatMap(({ language, text }) =>
    language === "sh" ? text.trimEnd().split("\n") : [],
  );
  expect(lines.slice(0, 2)).toEqual(["npm ci && npm start", "npm ci && npm test"]);
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(["start", "test"]));
});

test("the scripts it tells to run and the pages it links to are there", () => {
  const run = [...text.matchAll(/^npx rxbpf run (\S+)/gm)].map(([, path]) => path!);
  const linked = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path]) => path!);
  expect(run).not.toEqual([]);
  expect(linked).not.toEqual([]);
  expect([...run, ...linked].filter((path) => !existsSync(join(root, dirname(page), path)))).toEqual([]);
});

test("the messages it explains are messages of the library", () => {
  const section = text.slice(
    text.indexOf("## When something is missing"),
    text.indexOf("## If you know BCC"),
  );
  const messages = [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, message]) => message!);
  const library = sources();
  expect(messages.length).toBeGreaterThan(3);
  expect(messages.filter((message) => !library.includes(message))).toEqual([]);
});

test("the environment variables it names are the ones the library reads", () => {
  const named = new Set(text.match(/RXBPF_\w+/g));
  const library = sources();
  expect([...named].filter((name) => !library.includes(`process.env["${name}"]`))).toEqual([]);
});
