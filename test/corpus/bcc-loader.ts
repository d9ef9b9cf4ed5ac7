import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { release, version } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, Session } from "../bench/session.ts";
import { cacheFolder } from "../guest/packages.ts";
import { BCC_PYTHON, withHeaders } from "../support/bcc-headers.ts";
import { OTHERWISE, type Program } from "./programs.ts";

/** What BCC makes of a program. */
export interface BccAnswer {
  /** Compile time, maps included; null when it did not compile. */
  readonly seconds: number | null;
  /** Why it did not compile. */
  readonly error: string | null;
  readonly functions: Readonly<
    Record<string, { readonly ok: boolean; readonly insns: number; readonly error: string | null }>
  >;
}

/** Longer than bcc-load.py gives a program, which says so by itself. */
const LINE_MS = 660_000;

/** BCC in a process of its own that compiles and loads one program after the other. */
export class BccLoader implements Disposable {
  readonly version: string;
  readonly #argv: Command["argv"];
  readonly #useCache: boolean;
  #session: Session | undefined;

  private constructor(bccVersion: string, argv: Command["argv"], useCache: boolean) {
    this.version = bccVersion;
    this.#argv = argv;
    this.#useCache = useCache;
  }

  /**
   * BCC as this machine has it, or why it cannot run.
   *
   * @param options.useCache take answers of earlier runs on this kernel; not for measuring
   */
  static find(options: { readonly useCache: boolean }): BccLoader | string {
    if (!existsSync(BCC_PYTHON)) return `no ${BCC_PYTHON}`;
    const asked = spawnSync(BCC_PYTHON, ["-c", "import bcc; print(bcc.__version__)"], { encoding: "utf8" });
    if (asked.status !== 0) return `${BCC_PYTHON} cannot import bcc`;
    const script = fileURLToPath(new URL("bcc-load.py", import.meta.url));
    const argv = withHeaders([BCC_PYTHON, script]);
    if (argv === undefined) return "there are no kernel headers for it";
    return new BccLoader(asked.stdout.trim(), argv, options.useCache);
  }

  /** Compiles a program and loads its functions. */
  async load(program: Program): Promise<BccAnswer> {
    const { text, folder, cflags, kinds } = program;
    const request = JSON.stringify({ text, folder, cflags, kinds, otherwise: OTHERWISE });
    const path = this.#cachePath(request);
    // What this class has written itself.
    if (this.#useCache && existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as BccAnswer;
    this.#session ??= new Session({ argv: this.#argv, lineMs: LINE_MS });
    // One line per request, in the shape that bcc-load.py documents.
    const answer = await this.#session.ask<BccAnswer>(request);
    if (this.#useCache) writeFileSync(path, JSON.stringify(answer));
    return answer;
  }

  [Symbol.dispose](): void {
    this.#session?.kill();
    this.#session = undefined;
  }

  #cachePath(request: string): string {
    const folder = join(cacheFolder(), "..", "corpus");
    mkdirSync(folder, { recursive: true });
    const parts = [this.version, release(), version(), this.#argv.join(" "), loaderText, request];
    return join(folder, `${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}.json`);
  }
}

const loaderText = readFileSync(new URL("bcc-load.py", import.meta.url), "utf8");
