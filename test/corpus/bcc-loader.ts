import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, Session } from "../bench/session.ts";
import { cacheFolder } from "../guest/packages.ts";
import { BCC_PYTHON, headersFolder, withHeaders } from "../support/bcc-headers.ts";
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

/** What bcc-load.py says of a program that it compiled; all of it goes back to be loaded. */
interface Compiled {
  readonly seconds?: number;
  readonly error: string | null;
}

/** Longer than bcc-load.py gives a program, which says so by itself. */
const LINE_MS = 660_000;

/** BCC in a process of its own that compiles and loads one program after the other. */
export class BccLoader implements Disposable {
  readonly version: string;
  /** The folder of the kernel headers that it compiles with. */
  readonly headers: string;
  readonly #argv: Command["argv"];
  readonly #useCache: boolean;
  #session: Session | undefined;

  private constructor(
    bccVersion: string,
    headers: string,
    options: { readonly argv: Command["argv"]; readonly useCache: boolean },
  ) {
    this.version = bccVersion;
    this.headers = headers;
    this.#argv = options.argv;
    this.#useCache = options.useCache;
  }

  /**
   * BCC as this machine has it, or why it cannot run.
   *
   * @param options.useCache take what was compiled earlier with the same headers, be it on another kernel: compiling
   * takes minutes on an emulated machine; not for measuring
   */
  static find({ useCache }: { readonly useCache: boolean }): BccLoader | string {
    if (!existsSync(BCC_PYTHON)) return `no ${BCC_PYTHON}`;
    const asked = spawnSync(BCC_PYTHON, ["-c", "import bcc; print(bcc.__version__)"], { encoding: "utf8" });
    if (asked.status !== 0) return `${BCC_PYTHON} cannot import bcc`;
    const argv = withHeaders([BCC_PYTHON, fileURLToPath(scriptUrl)]);
    const headers = headersFolder();
    if (argv === undefined || headers === undefined) return "there are no kernel headers for it";
    return new BccLoader(asked.stdout.trim(), headers, { argv, useCache });
  }

  /** Compiles a program and loads its functions. */
  async load(program: Program): Promise<BccAnswer> {
    const compiled = await this.#compile(program);
    const refused = (error: string): BccAnswer => ({ seconds: null, error, functions: {} });
    if (compiled.error !== null) return refused(compiled.error);
    const { kinds } = program;
    const request = { do: "load", compiled, kinds, otherwise: OTHERWISE };
    const functions = await this.#ask<BccAnswer["functions"] | { readonly error: string }>(request);
    if (typeof functions["error"] === "string") return refused(functions["error"]);
    return { seconds: compiled.seconds ?? null, error: null, functions: functions as BccAnswer["functions"] };
  }

  [Symbol.dispose](): void {
    this.#session?.kill();
    this.#session = undefined;
  }

  async #compile({ text, folder, cflags }: Program): Promise<Compiled> {
    const request = { do: "compile", text, folder, cflags };
    const path = this.#cachePath(request);
    // What this class has written itself.
    if (this.#useCache && existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Compiled;
    const answer = await this.#ask<Compiled>(request);
    if (this.#useCache) writeFileSync(path, JSON.stringify(answer));
    return answer;
  }

  /** One line per request, in the shapes that bcc-load.py documents. */
  #ask<T>(request: object): Promise<T> {
    this.#session ??= new Session({ argv: this.#argv, lineMs: LINE_MS });
    return this.#session.ask<T>(JSON.stringify(request));
  }

  #cachePath(request: { readonly text: string }): string {
    const folder = join(cacheFolder(), "..", "corpus");
    mkdirSync(folder, { recursive: true });
    const parts = [this.version, this.headers, scriptText, request, ...recordsOf(request.text)];
    return join(folder, `${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}.json`);
  }
}

/** The fields of the tracepoints that a text is about: BCC takes them from the running kernel when it compiles. */
function recordsOf(text: string): readonly string[] {
  return [...text.matchAll(/\bTRACEPOINT_PROBE\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)/g)].map(([, category, name]) => {
    const path = `/sys/kernel/tracing/events/${category}/${name}/format`;
    if (!existsSync(path)) return `no ${path}`;
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.filter((line) => line.startsWith("\tfield:")).join("\n");
  });
}

const scriptUrl = new URL("bcc-load.py", import.meta.url);
const scriptText = readFileSync(scriptUrl, "utf8");
