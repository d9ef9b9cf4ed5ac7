import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Context, createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import { beforeAll, expect, test } from "vitest";
import { fixturesFolder } from "../../support/fixtures.ts";
import { code, exit, insn, mov } from "./assembler.ts";

const entry = fileURLToPath(new URL("../../../framework/machine/index.ts", import.meta.url));

let script: string;
let outside: readonly string[];

beforeAll(async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    platform: "browser",
    format: "iife",
    globalName: "machine",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  script = outputFiles[0]!.text;
  outside = Object.values(metafile.inputs).flatMap(({ imports }) =>
    imports.filter(({ external }) => external).map(({ path }) => path),
  );
});

/** What every browser has, and none of Node's globals. */
function browser(values: object): Context {
  const globals = {
    TextEncoder,
    TextDecoder,
    performance,
    setTimeout,
    clearTimeout,
    setInterval,
    clearInterval,
  };
  const context = createContext({ ...globals, ...values });
  runInContext(script, context);
  return context;
}

test("rxbpf/machine bundles for browsers without anything of Node's", () => {
  expect(outside).toEqual([]);
});

test("bytecode runs in a browser", () => {
  const good = code(insn("ldx_b", { dst: 0, src: 1, off: 0 }), insn("mul64_imm", { dst: 0, imm: 6 }), exit);
  const bad = code(mov(1, 0), insn("ldx_b", { dst: 0, src: 1, off: 0 }), exit);
  const context = browser({ good, bad, block: Uint8Array.of(7) });
  expect(runInContext("machine.loadBytecode(good).run(block).r0", context)).toBe(42n);
  expect(runInContext("machine.loadBytecode(bad).run().fault.code", context)).toBe("FAULT");
});

test("an object file loads in a browser", () => {
  const context = browser({ elf: new Uint8Array(readFileSync(join(fixturesFolder, "objects/calls.o"))) });
  expect(runInContext("machine.loadObject(elf).programs.size", context)).toBeGreaterThan(0);
});
