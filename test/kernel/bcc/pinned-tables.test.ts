import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { MapError, openPinned } from "../../../framework/index.ts";
import { mountBpfFs } from "../../support/bpf-fs.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const ADD = `int f(${CTX}) { t.increment(ctx->args[0]); return 0; }`;
const hash = (path: string, more = ""): string =>
  `BPF_TABLE_PINNED("hash", u32, u64, t, 64, "${path}"${more}); ${ADD}`;

describe("pinned tables", () => {
  beforeEach((context) => needsKernel(context));

  test("outlive the object that made them, and the next one with that path takes them", () => {
    using fs = mountBpfFs();
    const path = join(fs.folder, "a", "b", "counts");
    using first = open(hash(path));
    run(first, "f", 3);
    first.close();
    expect(existsSync(path)).toBe(true);
    using second = open(hash(path));
    run(second, "f", 3);
    run(second, "f", 4);
    expect(second.get_table("t").items().sort()).toEqual([
      [3, 2n],
      [4, 1n],
    ]);
  });

  test("are one table for two objects that are open at the same time", () => {
    using fs = mountBpfFs();
    using first = open(hash(join(fs.folder, "t")));
    using second = open(hash(join(fs.folder, "t")));
    run(second, "f", 1);
    expect(first.get_table("t").get(1)).toBe(1n);
    expect(first.get_table("t").id).toBe(second.get_table("t").id);
  });

  test.each([
    ["kind", 'BPF_TABLE_PINNED("lru_hash", u32, u64, t, 64, "PATH")', /kind lru_hash.*kind hash/],
    ["key", 'BPF_TABLE_PINNED("hash", u64, u64, t, 64, "PATH")', /key bytes 8.*key bytes 4/],
    ["value", 'BPF_TABLE_PINNED("hash", u32, u32, t, 64, "PATH")', /value bytes 4.*value bytes 8/],
    ["size", 'BPF_TABLE_PINNED("hash", u32, u64, t, 65, "PATH")', /entries 65.*entries 64/],
    ["flags", 'BPF_TABLE_PINNED("hash", u32, u64, t, 64, "PATH", 1)', /flags 1.*flags 0/],
  ])("of another %s than declared are an error with both sides", (_, declaration, words) => {
    using fs = mountBpfFs();
    const path = join(fs.folder, "t");
    open(hash(path)).close();
    const error = failure(MapError, () => open(`${declaration.replace("PATH", path)}; ${ADD}`));
    expect(error.code).toBe("MAP_MISMATCH");
    expect(error.message).toMatch(words);
    expect(error.message).toContain(path);
  });

  test("declared with size 0 take whatever size is pinned", () => {
    using fs = mountBpfFs();
    const path = join(fs.folder, "t");
    open(hash(path)).close();
    using b = open(`BPF_TABLE_PINNED("hash", u32, u64, t, 0, "${path}"); ${ADD}`);
    expect(b.get_table("t").max_entries).toBe(64);
  });

  test("may be queues, socket maps and libbpf's definitions too", () => {
    using fs = mountBpfFs();
    const at = (name: string): string => join(fs.folder, name);
    const text = `BPF_QUEUESTACK_PINNED("queue", q, u64, 8, 0, "${at("q")}"); BPF_XSKMAP(x, 4, "${at("x")}");
      int f(${CTX}) { u64 v = 5; return q.push(&v, 0); }`;
    using first = open(text);
    run(first, "f");
    first.close();
    using second = open(text);
    expect(second.get_table<never, bigint>("q").pop()).toBe(5n);
    expect(existsSync(at("x"))).toBe(true);
  });

  test("outside of a BPF file system are an error that says so", () => {
    const folder = mkdtempSync(join(tmpdir(), "rxbpf-plain-"));
    try {
      const error = failure(MapError, () => open(hash(join(folder, "deep", "t"))));
      expect(error.code).toBe("MAP_PIN");
      expect(error.message).toContain(`${folder} is not in a BPF file system`);
      writeFileSync(join(folder, "file"), "");
      expect(failure(MapError, () => open(hash(join(folder, "file")))).message).toContain("BPF file system");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("are made, opened by path and removed from the host as well", () => {
    using fs = mountBpfFs();
    const path = join(fs.folder, "made", "here");
    using b = open(
      `struct key { u32 a; u16 b[2]; }; BPF_HASH(t, struct key, u64, 16); int f(${CTX}) { return 0; }`,
    );
    const t = b.get_table<{ a: number; b: number[] }, bigint>("t");
    t.pin(path);
    expect(failure(MapError, () => t.pin(path)).message).toContain("something already");
    using pinned = openPinned<{ a: number; b: number[] }, bigint>(path);
    pinned.table.set({ a: 1, b: [2, 3] }, 4n);
    b.close();
    expect(pinned.table.items()).toEqual([[{ a: 1, b: [2, 3] }, 4n]]);
    pinned.table.unpin(path);
    expect(existsSync(path)).toBe(false);
    expect(failure(MapError, () => openPinned(path)).code).toBe("MAP_PIN");
    expect(failure(MapError, () => pinned.table.unpin(path)).code).toBe("MAP_PIN");
    expect(pinned.table.size).toBe(1);
  });
});
