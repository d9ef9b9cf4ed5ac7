import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { UsageError } from "../../framework/core/errors.ts";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const dist = join(checkout, "dist");
const subjects = fileURLToPath(new URL("./subjects", import.meta.url));

/** Compiles the library when a source is newer than what was compiled. */
export function buildLibrary(note: (text: string) => void): void {
  const built = join(dist, "index.js");
  if (existsSync(built) && newest() <= statSync(built).mtimeMs) return;
  note("compiling the library (npm run build)");
  const { status, stdout, stderr } = spawnSync("npm", ["run", "--silent", "build"], {
    cwd: checkout,
    encoding: "utf8",
  });
  if (status !== 0)
    throw new UsageError(`npm run build failed, so there is nothing to measure:\n${stdout}${stderr}`);
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

/**
 * The measured scripts, compiled. They stand in the compiled library's own folder, so that "rxbpf" is the library as it
 * is shipped, and one that reaches below its surface finds the shipped headers. Disposing removes them.
 */
export class Subjects implements Disposable {
  readonly #prefix = `bench-${process.pid}-`;

  constructor() {
    const names = readdirSync(subjects).map((file) => file.replace(/\.ts$/, ""));
    buildSync({
      entryPoints: names.map((name) => ({ in: join(subjects, `${name}.ts`), out: this.#prefix + name })),
      outdir: dist,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node20",
      packages: "external",
      logLevel: "warning",
    });
  }

  /** The compiled script. */
  path(name: string): string {
    return join(dist, `${this.#prefix}${name}.js`);
  }

  [Symbol.dispose](): void {
    for (const file of readdirSync(dist)) if (file.startsWith(this.#prefix)) rmSync(join(dist, file));
  }
}
