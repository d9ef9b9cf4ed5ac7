import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { mayImport } from "../architecture/layers.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const pages = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The cells of a page's table rows below a heading, without the head of the table. */
function rowsBelow(page: string, heading: string): readonly (readonly string[])[] {
  const [, section = ""] = read(page).split(`\n## ${heading}\n`);
  const [text = ""] = section.split("\n## ");
  const rows = text.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(2).map((line) => line.slice(2, -2).split(" | "));
}

function namesIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}

/** How a heading is linked to: in small letters, without punctuation, with hyphens for spaces. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, "")
    .replace(/\s/g, "-");
}

function anchorsIn(page: string): readonly string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading!));
}

describe.each(pages)("%s", (page) => {
  test("links only to what is there", () => {
    const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
    const broken = links.filter((link) => {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : join(dirname(page), path);
      return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsIn(target).includes(anchor));
    });
    expect(broken).toEqual([]);
  });

  test("names only files and folders that are there", () => {
    const paths = namesIn(read(page)).filter((name) =>
      /^(?:framework|maps|rewriter|examples|test|docs)\/[\w/.-]+$/.test(name),
    );
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

describe("docs/architecture.md", () => {
  const page = "docs/architecture.md";

  test("has the layers that the imports are held against", () => {
    const shown = rowsBelow(page, "Layers").map(([module = "", may = ""]) => [
      namesIn(module)[0],
      namesIn(may),
    ]);
    expect(shown).toEqual(Object.entries(mayImport));
  });

  test("has a row for each folder of the tree", () => {
    const folders = readdirSync(join(root, "framework"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && readdirSync(join(root, "framework", entry.name)).length > 0)
      .map((entry) => `framework/${entry.name}`);
    const shown = rowsBelow(page, "The tree").flatMap(([folder = ""]) => namesIn(folder));
    expect([...shown].sort()).toEqual([...folders, "rewriter", "maps", "examples", "test"].sort());
  });

  test("has a row for each pass of the rewriter", () => {
    const passes = readdirSync(join(root, "rewriter/passes")).map((name) => name.replace(/\.ts$/, ""));
    const shown = rowsBelow(page, "The rewriter").flatMap(([pass = ""]) => namesIn(pass));
    expect([...shown].sort()).toEqual(passes.filter((name) => name !== "index").sort());
  });
});

describe("docs/words.md", () => {
  const rows = readFileSync(join(root, "docs/words.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| "));

  test("every name it gives is exported by the file it names", () => {
    const given = rows.slice(2).flatMap((line) => {
      const words = namesIn(line.split(" | ")[2] ?? "");
      return words.slice(0, -1).map((name) => ({ name, file: words.at(-1)! }));
    });
    const wrong = given.filter(({ name, file }) => {
      return !new RegExp(
        `^export (?:abstract )?(?:class|interface|type|function|const) ${name}\\b`,
        "m",
      ).test(read(file));
    });
    expect(given.length).toBeGreaterThan(20);
    expect(wrong).toEqual([]);
  });
});
