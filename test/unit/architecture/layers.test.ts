import { describe, expect, test } from "vitest";
import { filesBelow, type Import, importsOf } from "./imports.ts";

/**
 * Each module and the modules it may import, from the floor up: only ones that stand above it here. A module is a
 * folder, or a file that stands alone.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "framework/core": [],
  "framework/uapi": ["framework/core"],
  "framework/isa": ["framework/core"],
  "framework/programs": ["framework/core"],
  "maps/kinds.ts": [],
  "maps/histogram.ts": ["framework/core"],
  "framework/object": ["framework/core", "framework/isa", "framework/programs", "maps/kinds.ts"],
  rewriter: ["framework/core", "framework/object", "framework/programs", "maps/kinds.ts"],
  // The declarations of helpers that a source calls are written from the helper table.
  "framework/compile": ["framework/core", "framework/isa", "framework/object"],
  "framework/runtime": ["framework/object", "framework/programs", "maps/kinds.ts"],
  "framework/sys": ["framework/core", "framework/uapi"],
  "maps/codecs": ["framework/core", "framework/object"],
  "framework/kernel": [
    "framework/core",
    "framework/uapi",
    "framework/isa",
    "framework/object",
    "framework/programs",
    "framework/runtime",
    "framework/sys",
    "maps/kinds.ts",
  ],
  // Global variables are found in the types of a data section.
  "maps/tables": [
    "framework/core",
    "framework/object",
    "framework/runtime",
    "maps/codecs",
    "maps/histogram.ts",
    "maps/kinds.ts",
  ],
  "maps/streams": ["framework/core", "framework/runtime", "maps/codecs", "maps/tables"],
  "maps/index.ts": [
    "framework/runtime",
    "maps/codecs",
    "maps/histogram.ts",
    "maps/kinds.ts",
    "maps/streams",
    "maps/tables",
  ],
  // A runtime comes with the kernel that sources for it are compiled for.
  "framework/runtimes.ts": ["framework/core", "framework/compile", "framework/kernel", "framework/runtime"],
  "framework/bcc": [
    "framework/core",
    "framework/compile",
    "framework/object",
    "framework/programs",
    "framework/runtime",
    "framework/runtimes.ts",
    "maps/index.ts",
    "maps/kinds.ts",
    "maps/tables",
    "rewriter",
  ],
  "framework/index.ts": [
    "framework/bcc",
    "framework/core",
    "framework/runtime",
    "framework/runtimes.ts",
    "maps/index.ts",
    "maps/tables",
  ],
  "framework/cli": [
    "framework/bcc",
    "framework/compile",
    "framework/core",
    "framework/index.ts",
    "framework/isa",
    "framework/object",
    "framework/programs",
    "framework/runtimes.ts",
    "rewriter",
  ],
};

/** Packages from outside, and the one place that may load each. Their types may be used anywhere. */
const doors: Readonly<Record<string, string>> = {
  koffi: "framework/sys/libc.ts",
  "tree-sitter": "rewriter/parser.ts",
  "tree-sitter-c": "rewriter/parser.ts",
  rxjs: "maps/streams/",
  tsx: "framework/cli/",
};

const modules = Object.keys(mayImport);
const imports = importsOf(filesBelow("framework", "maps", "rewriter"));

function moduleOf(path: string): string {
  const found = modules.find((module) => path === module || path.startsWith(`${module}/`));
  if (found === undefined) throw new Error(`${path} is in no module of the table`);
  return found;
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function show({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

describe("layers", () => {
  test("the table's modules import only modules above them, so there are no cycles", () => {
    const wrong = modules.flatMap((module, index) =>
      mayImport[module]!.filter((other) => !modules.slice(0, index).includes(other)).map(
        (other) => `${module} → ${other}`,
      ),
    );
    expect(wrong).toEqual([]);
  });

  test("every file imports only what its module may", () => {
    const inside = imports.filter(({ isPackage }) => !isPackage);
    expect(inside.length).toBeGreaterThan(100);
    const wrong = inside.filter(({ from, to }) => {
      const [own, other] = [moduleOf(from), moduleOf(to)];
      return own !== other && !mayImport[own]!.includes(other);
    });
    expect(wrong.map(show)).toEqual([]);
  });

  test("no files of one module import each other in a circle", () => {
    const edges = new Map<string, string[]>();
    for (const { from, to, isPackage, isType } of imports) {
      if (!isPackage && !isType) edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    expect(circleIn(edges)).toEqual([]);
  });

  test("examples know the package and nothing of its inside", () => {
    const wrong = importsOf(filesBelow("examples")).filter(
      ({ to }) => to !== "rxbpf" && packageOf(to) !== "rxjs",
    );
    expect(wrong.map(show)).toEqual([]);
  });
});

describe("packages from outside", () => {
  const outside = imports.filter(({ isPackage }) => isPackage);

  test.each(Object.entries(doors))("%s is loaded in %s only", (name, door) => {
    const loading = outside.filter(({ to, isType }) => packageOf(to) === name && !isType);
    expect(loading.map(({ from }) => from)).not.toEqual([]);
    expect(loading.filter(({ from }) => !from.startsWith(door)).map(show)).toEqual([]);
  });

  test("there are no others", () => {
    const others = outside.filter(({ to }) => !Object.hasOwn(doors, packageOf(to)));
    expect(others.map(show)).toEqual([]);
  });
});

/** The files of one circle of imports, or none. */
function circleIn(edges: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): readonly string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const next of edges.get(file) ?? []) {
      const circle = walk(next, [...path, file]);
      if (circle.length > 0) return circle;
    }
    done.add(file);
    return [];
  };
  for (const file of edges.keys()) {
    const circle = walk(file, []);
    if (circle.length > 0) return circle;
  }
  return [];
}
