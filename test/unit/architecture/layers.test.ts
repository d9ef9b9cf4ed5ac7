import { describe, expect, test } from "vitest";
import { filesBelow, type Import, importsOf } from "./imports.ts";
import { mayImport } from "./layers.ts";

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
  // The innermost of modules within modules.
  const found = modules.findLast((module) => path === module || path.startsWith(`${module}/`));
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
