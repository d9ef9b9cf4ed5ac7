import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildObject } from "../../../framework/bcc/pipeline.ts";
import { cacheEnabled, cacheKey, readCache, writeCache } from "../../../framework/compile/cache.ts";
import type { CompileEnvironment } from "../../../framework/compile/environment.ts";
import type { Source } from "../../../framework/compile/preprocess.ts";
import { fixtureKernel } from "../rewriter/lowering.ts";

let folder: string;
let cache: string;
const before = { cache: process.env["RXBPF_CACHE"], clang: process.env["RXBPF_CLANG"] };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rxbpf-test-"));
  cache = join(folder, "objects");
  process.env["RXBPF_CACHE"] = cache;
});

afterEach(() => {
  restore("RXBPF_CACHE", before.cache);
  restore("RXBPF_CLANG", before.clang);
  rmSync(folder, { recursive: true, force: true });
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

const entry = { object: new Uint8Array([1, 2, 3, 0, 255]), facts: { tables: ["a"], text: "ü" } };
const key = cacheKey(["a source"]);

describe("an entry", () => {
  test("is read as it was written", () => {
    writeCache(key, entry);
    expect(readCache(key)).toEqual(entry);
    expect(readdirSync(cache)).toEqual([key]);
  });

  test("replaces the one before", () => {
    writeCache(key, entry);
    writeCache(key, { object: new Uint8Array(), facts: null });
    expect(readCache(key)).toEqual({ object: new Uint8Array(), facts: null });
  });

  test("that nobody wrote is absent", () => {
    expect(readCache(key)).toBeUndefined();
    writeCache(key, entry);
    expect(readCache(cacheKey(["another source"]))).toBeUndefined();
  });

  test("and its folder are for the user alone", () => {
    writeCache(key, entry);
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    expect(statSync(join(cache, key)).mode & 0o777).toBe(0o600);
  });

  test("of which a byte was changed is absent, whichever byte", () => {
    writeCache(key, entry);
    const path = join(cache, key);
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1;
      writeFileSync(path, damaged);
      expect(readCache(key), `byte ${at}`).toBeUndefined();
    }
  });

  test("that is cut short, longer or empty is absent", () => {
    writeCache(key, entry);
    const path = join(cache, key);
    const bytes = readFileSync(path);
    for (const damaged of [
      bytes.subarray(0, -1),
      bytes.subarray(0, 33),
      bytes.subarray(0, 8),
      Buffer.alloc(0),
      Buffer.concat([bytes, bytes]),
    ]) {
      writeFileSync(path, damaged);
      expect(readCache(key)).toBeUndefined();
    }
  });

  test("that others may write is ignored", () => {
    writeCache(key, entry);
    chmodSync(join(cache, key), 0o666);
    expect(readCache(key)).toBeUndefined();
    chmodSync(join(cache, key), 0o660);
    expect(readCache(key)).toBeUndefined();
  });

  test("in a folder that others may write is ignored, and none is written there by halves", () => {
    writeCache(key, entry);
    chmodSync(cache, 0o777);
    expect(readCache(key)).toBeUndefined();
    writeCache(cacheKey(["other"]), entry);
    expect(readdirSync(cache)).toEqual([key]);
  });

  test("that is a link is ignored", () => {
    writeCache(key, entry);
    const other = join(folder, "elsewhere");
    writeFileSync(other, readFileSync(join(cache, key)), { mode: 0o600 });
    rmSync(join(cache, key));
    symlinkSync(other, join(cache, key));
    expect(readCache(key)).toBeUndefined();
  });

  test("that belongs to someone else is ignored, and so is one in someone else's folder", (context) => {
    if (process.getuid?.() !== 0) context.skip("only root may give files away");
    writeCache(key, entry);
    chownSync(join(cache, key), 12345, 12345);
    expect(readCache(key)).toBeUndefined();
    chownSync(join(cache, key), 0, 0);
    expect(readCache(key)).toEqual(entry);
    chownSync(cache, 12345, 12345);
    expect(readCache(key)).toBeUndefined();
  });
});

describe("a cache that cannot be written is no error", () => {
  test("when its folder is a file", () => {
    writeFileSync(cache, "");
    writeCache(key, entry);
    expect(readCache(key)).toBeUndefined();
  });

  test("when its folder cannot be made", () => {
    process.env["RXBPF_CACHE"] = "/dev/null/objects";
    writeCache(key, entry);
    expect(readCache(key)).toBeUndefined();
  });
});

test("an empty RXBPF_CACHE switches the cache off", () => {
  process.env["RXBPF_CACHE"] = "";
  expect(cacheEnabled()).toBe(false);
  restore("RXBPF_CACHE", cache);
  expect(cacheEnabled()).toBe(true);
});

test("keys tell parts apart wherever the line between them is", () => {
  const keys = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"], ["2\nab", "c"]].map(cacheKey);
  expect(new Set(keys).size).toBe(keys.length);
});

describe("a source that was compiled before comes from the cache", () => {
  const text =
    '#include "own.h"\nBPF_HASH(counts, u32);\nint f(void *ctx) { counts.increment(STEP); return 0; }\n';
  const source = (changes: Partial<Source> = {}): Source => ({
    file: "t.c",
    text,
    folder,
    cflags: [],
    ...changes,
  });
  const build = (
    changes: Partial<Source> = {},
    environment: CompileEnvironment = fixtureKernel,
    syscallTracepoint = false,
  ) => buildObject(source(changes), environment, { syscallTracepoint });

  beforeEach(() => {
    writeFileSync(join(folder, "own.h"), "#define STEP 1\n");
    expect(build().fromCache).toBe(false);
  });

  test("with the same object and facts", () => {
    const again = build();
    expect(again.fromCache).toBe(true);
    rmSync(cache, { recursive: true });
    const anew = build();
    expect(anew.fromCache).toBe(false);
    expect(again.bytes).toEqual(anew.bytes);
    expect(again.facts).toEqual(anew.facts);
  });

  test.each([
    ["its text", () => build({ text: `${text}// more\n` })],
    ["its flags", () => build({ cflags: ["-DMORE"] })],
    ["its name", () => build({ file: "other.c" })],
    ["the kernel", () => build({}, { ...fixtureKernel, identity: "another" })],
    ["what the programs run on", () => build({}, fixtureKernel, true)],
    [
      "a header of the user",
      () => {
        writeFileSync(join(folder, "own.h"), "#define STEP 2\n");
        return build();
      },
    ],
    [
      "the compiler",
      () => {
        process.env["RXBPF_CLANG"] = wrapper('exec clang-14 "$@"');
        return existsSync("/usr/bin/clang-14") ? build() : { fromCache: false };
      },
    ],
  ])("but not when %s changed", (_, again) => {
    expect(again().fromCache).toBe(false);
  });

  test("but not when the entry is damaged, which is then replaced", () => {
    const path = join(cache, readdirSync(cache)[0]!);
    writeFileSync(path, "damaged", { mode: 0o600 });
    expect(build().fromCache).toBe(false);
    expect(build().fromCache).toBe(true);
  });

  test("but not when it cannot be written", () => {
    rmSync(cache, { recursive: true });
    mkdirSync(cache, { mode: 0o777 });
    chmodSync(cache, 0o777);
    expect(build().fromCache).toBe(false);
    expect(build().fromCache).toBe(false);
  });
});

/** A program of the test's own. */
function wrapper(command: string): string {
  const path = join(folder, "wrapper");
  writeFileSync(path, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
  return path;
}
