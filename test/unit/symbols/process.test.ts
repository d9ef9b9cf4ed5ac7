import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { SymbolCache } from "../../../framework/index.ts";
import { parseLibraryCache } from "../../../framework/symbols/libraries.ts";
import { PerfMap, parsePerfMap } from "../../../framework/symbols/perf-map.ts";
import { parseMappings } from "../../../framework/symbols/process.ts";

const folder = mkdtempSync(join(tmpdir(), "rxbpf-symbols-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("mappings", () => {
  test("have paths with spaces, names in brackets, or none", () => {
    const text = `00400000-00401000 r-xp 00001000 fe:00 123                                /a b/c (deleted)
7ffc1000-7ffc2000 rw-p 00000000 00:00 0                          [stack]
7f0000000000-7f0000001000 ---p 00000000 00:00 0 
`;
    expect(parseMappings(text)).toEqual([
      {
        start: 0x400000,
        end: 0x401000,
        isExecutable: true,
        offset: 0x1000,
        inode: 123,
        path: "/a b/c (deleted)",
      },
      { start: 0x7ffc1000, end: 0x7ffc2000, isExecutable: false, offset: 0, inode: 0, path: "[stack]" },
      { start: 0x7f0000000000, end: 0x7f0000001000, isExecutable: false, offset: 0, inode: 0, path: "" },
    ]);
  });
});

describe("perf map files", () => {
  test("name code between start and end; of two lines for one start the later counts", () => {
    const entries = parsePerfMap("2000 10 b\n1000 20 JS:*old a.js:1\n1000 30 JS:*new a.js:1\nnot a line\n");
    expect(entries.map(({ start, end, name }) => [start, end, name])).toEqual([
      [0x1000, 0x1030, "JS:*new a.js:1"],
      [0x2000, 0x2010, "b"],
    ]);
  });

  test("are read again when they have grown, and name nothing between pieces of code", () => {
    const path = join(folder, "perf-1.map");
    const map = new PerfMap(path);
    expect(map.find(0x1004)).toBeUndefined();
    writeFileSync(path, "1000 10 first\n");
    expect(map.find(0x1004)).toEqual({ name: "first", offset: 4 });
    expect(map.find(0x1010)).toBeUndefined();
    writeFileSync(path, "1000 10 first\n1010 10 second\n");
    expect(map.find(0x1010)).toEqual({ name: "second", offset: 0 });
  });
});

describe("the dynamic linker's cache", () => {
  test("gives libraries of this machine, the first of each name", () => {
    const entries = [
      { flags: 0x0803, name: "liba.so.1", path: "/lib32/liba.so.1" },
      { flags: 0x0303, name: "liba.so.1", path: "/lib/liba.so.1" },
      { flags: 0x0303, name: "liba.so.1", path: "/old/liba.so.1" },
    ];
    const texts = 48 + entries.length * 24;
    const bytes = Buffer.alloc(1024);
    bytes.write("glibc-ld.so.cache1.1", "latin1");
    bytes.writeUInt32LE(entries.length, 20);
    let at = texts;
    const text = (value: string): number => {
      const start = at;
      at += bytes.write(`${value}\0`, at, "latin1");
      return start;
    };
    entries.forEach(({ flags, name, path }, i) => {
      bytes.writeUInt32LE(flags, 48 + i * 24);
      bytes.writeUInt32LE(text(name), 52 + i * 24);
      bytes.writeUInt32LE(text(path), 56 + i * 24);
    });
    expect([...parseLibraryCache(bytes, "x64")]).toEqual([["liba.so.1", "/lib/liba.so.1"]]);
    expect([...parseLibraryCache(Buffer.from("nothing of the kind"), "x64")]).toEqual([]);
  });
});

describe("this process", () => {
  const own = new SymbolCache(process.pid);

  test("a function of a library is found by name and its address named again", () => {
    const address = own.resolve_name("c", "strtol");
    expect(address).toBeGreaterThan(0n);
    const { name, offset, module } = own.resolve(address + 1n);
    expect(name).toMatch(/strtol/);
    expect(offset).toBe(1);
    expect(module).toMatch(/libc/);
  });

  test("an unknown name is -1, an unknown address has neither name nor module", () => {
    expect(own.resolve_name("c", "no_such_function")).toBe(-1n);
    expect(own.resolve_name("nolibrary", "strtol")).toBe(-1n);
    expect(own.resolve(16)).toEqual({ name: undefined, offset: 0, module: undefined });
  });

  test("a process that is not there has no names", () => {
    expect(new SymbolCache(2 ** 22).resolve(4096).name).toBeUndefined();
  });
});
