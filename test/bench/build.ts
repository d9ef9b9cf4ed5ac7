import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { UsageError } from "../../framework/core/errors.ts";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const built = join(checkout, "dist/framework/index.js");
/** Mirrors the tree, so that relative imports of a measured script find the compiled library. */
const compiledBench = join(checkout, "dist/test/bench");

/** Compiles the library when a source is newer than what was compiled. */
export function buildLibrary(note: (text: string) => void): void {
  if (existsSync(built) && newest() <= statSync(built).mtimeMs) return;
  note("compiling the library (npm run build)");
  const { status, stdout, stderr } = spawnSync("npm", ["run", "--silent", "build"], { cwd: checkout, encoding: "utf8" });
  if (status !== 0) throw new UsageError(`npm run build failed, so there is nothing to measure:\n${stdout}${stderr}`);
}

/** When the youngest source changed. */
function newest(): number {
  const sources = ["framework", "rewriter", "maps"].flatMap((folder) =>
    readdirSync(join(checkout, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(?:ts|h)$/.test(name))
      .map((name) => join(checkout, folder, name)),
  );
  return Math.max(...sources.map((path) => statSync(path).mtimeMs));
}

/** Compiles the measured scripts beside the compiled library; their paths by name. Disposing removes them. */
export class Subjects implements Disposable {
  constructor() {
    for (const name of ["programs.ts", ...readdirSync(new URL("./subjects", import.meta.url)).map((file) => `subjects/${file}`)]) {
      const { outputText } = ts.transpileModule(readFileSync(new URL(name, import.meta.url), "utf8"), {
        fileName: name,
        compilerOptions: {
          target: ts.ScriptTarget.ES2022,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      });
      const path = join(compiledBench, name.replace(/\.ts$/, ".js"));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, outputText);
    }
  }

  /** The compiled script. */
  path(name: string): string {
    return join(compiledBench, "subjects", `${name}.js`);
  }

  [Symbol.dispose](): void {
    rmSync(join(checkout, "dist/test"), { recursive: true, force: true });
  }
}
