import { execFileSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ClosedError, SyscallError } from "../../../framework/core/errors.ts";
import { withArena } from "../../../framework/sys/arena.ts";
import { duplicate, Fd, openDescriptors } from "../../../framework/sys/fd.ts";
import { addressOf, libc, memoryAt, pinned } from "../../../framework/sys/libc.ts";
import { Mapping } from "../../../framework/sys/mmap.ts";
import { watcherCount, watchReadable } from "../../../framework/sys/poller.ts";

const modules = ["libc", "arena", "bpf", "fd", "mmap", "poller", "tracefs", "proc"];

/** What a script prints, run by itself with the modules of this repository. */
function runScript(script: string): string {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const command = ["--import", "tsx", "--input-type=module", "-e", script];
  return execFileSync(process.execPath, command, { encoding: "utf8", cwd: root });
}

describe.skipIf(process.platform !== "linux")("the system layer", () => {
  test("importing it loads nothing native", () => {
    const imports = modules.map((name) => `await import("./framework/sys/${name}.ts");`).join("\n");
    const script = `${imports}
      const { createRequire } = await import("node:module");
      const loaded = Object.keys(createRequire(process.cwd() + "/").cache);
      console.log(JSON.stringify(loaded.filter((path) => path.includes("koffi"))));`;
    expect(JSON.parse(runScript(script))).toEqual([]);
  });

  describe("Fd", () => {
    const open = (): Fd => new Fd(openSync("/dev/null", "r"), "a test file");

    test("closes its descriptor once, and is harmless to close again", () => {
      const fd = open();
      const { number } = fd;
      fd[Symbol.dispose]();
      fd[Symbol.dispose]();
      expect(() => fstatSync(number)).toThrow("EBADF");
      expect(() => fd.number).toThrow(ClosedError);
    });

    test("is listed with where it was made, until closed or released", () => {
      const fd = open();
      expect(openDescriptors()).toEqual([
        { label: "a test file", number: fd.number, stack: expect.stringContaining("native.test.ts") },
      ]);
      const number = fd.release();
      expect(openDescriptors()).toEqual([]);
      fd[Symbol.dispose]();
      expect(fstatSync(number).isCharacterDevice()).toBe(true);
      closeSync(number);
    });

    test("a duplicate lives on when the first is closed", () => {
      const first = open();
      const second = duplicate(first.number, "its duplicate");
      first[Symbol.dispose]();
      expect(fstatSync(second.number).isCharacterDevice()).toBe(true);
      second[Symbol.dispose]();
    });

    test("a failed call says which and why", () => {
      expect(() => duplicate(-1, "nothing")).toThrow(SyscallError);
      expect(() => duplicate(-1, "nothing")).toThrow("fcntl(nothing, F_DUPFD_CLOEXEC) failed: EBADF");
    });
  });

  describe("memory", () => {
    const at = (address: bigint, length: number): Uint8Array =>
      new Uint8Array(memoryAt(Number(address), length));

    test("pinned bytes are at their address", () => {
      const memory = pinned(16);
      memory.bytes[3] = 0x5a;
      expect(at(BigInt(memory.address), 16)[3]).toBe(0x5a);
    });

    test("the address of a part of an array is the part's", () => {
      const bytes = Uint8Array.of(1, 2, 3, 4);
      expect(at(addressOf(bytes.subarray(2)), 2)).toEqual(Uint8Array.of(3, 4));
    });

    test("the arena copies in, gives zeroed room out, and keeps addresses valid while it grows", () => {
      withArena((arena) => {
        const text = arena.text("hello");
        const dirty = arena.out(8);
        dirty.bytes.fill(0xff);
        const large = arena.out(1 << 20);
        expect(Buffer.from(at(text, 6)).toString()).toBe("hello\0");
        expect(at(dirty.address, 8)).toEqual(new Uint8Array(8).fill(0xff));
        expect(large.bytes.every((byte) => byte === 0)).toBe(true);
        expect(arena.in(new Uint8Array(0))).toBe(0n);
      });
      const again = withArena((arena) => arena.out(64).bytes.slice());
      expect(again).toEqual(new Uint8Array(64));
    });

    test("what an inner frame took is free again, what the outer one holds is not", () => {
      withArena((arena) => {
        const outer = arena.text("outer");
        const inner = withArena((nested) => nested.text("inner"));
        expect(arena.text("after")).toBe(inner);
        expect(Buffer.from(at(outer, 5)).toString()).toBe("outer");
      });
    });

    test("a mapping shows the file, and a view of it that was kept reads zeros after disposal", () => {
      const path = "/proc/self/exe";
      const fd = new Fd(openSync(path, "r"), "the executable");
      const mapping = new Mapping(fd.number, fd.label, {
        length: libc().getpagesize(),
        offset: 0,
        writable: false,
      });
      const view = new DataView(mapping.buffer);
      expect(view.getUint32(0, false)).toBe(0x7f454c46);
      mapping[Symbol.dispose]();
      mapping[Symbol.dispose]();
      expect(view.getUint32(0, false)).toBe(0);
      expect(() => mapping.buffer).toThrow(ClosedError);
      fd[Symbol.dispose]();
    });

    test("a mapping that cannot be is a SyscallError", () => {
      const fd = new Fd(openSync("/dev/null", "r"), "nothing");
      expect(() => new Mapping(fd.number, "nothing", { length: 4096, offset: 0, writable: false })).toThrow(
        "ENODEV",
      );
      fd[Symbol.dispose]();
    });
  });

  describe("the poller", () => {
    const pipe = `
      const { createRequire } = await import("node:module");
      const koffi = createRequire(process.cwd() + "/")("koffi");
      const library = koffi.load(null);
      const event = library.func("eventfd", "int", ["uint32", "int"])(0, 0o4000);
      const write = library.func("write", "int64", ["int", "void *", "int64"]);
      const signal = () => write(event, new BigUint64Array([1n]), 8);
      const { readSync } = await import("node:fs");
      const { watchReadable } = await import("./framework/sys/poller.ts");`;

    test("calls again while data is left, keeps the process alive until stopped, and not after", () => {
      const script = `${pipe}
        let calls = 0;
        const stop = watchReadable(event, () => {
          calls++;
          if (calls < 3) return;
          readSync(event, new Uint8Array(8));
          stop();
          console.log(calls);
        });
        setTimeout(signal, 20).unref();
        setTimeout(() => {}, 100);`;
      expect(runScript(script)).toBe("3\n");
    });

    test("an error in a callback is uncaught as any other, and promises settle before the next event", () => {
      const script = `${pipe}
        process.on("uncaughtException", (error) => console.log("caught", error.message));
        let settled = false;
        const stop = watchReadable(event, () => {
          readSync(event, new Uint8Array(8));
          stop();
          Promise.resolve().then(() => console.log("settled"));
          throw new Error("mine");
        });
        signal();`;
      expect(runScript(script).split("\n").filter(Boolean).sort()).toEqual(["caught mine", "settled"]);
    });

    test("a watcher is counted until stopped, once", () => {
      const fd = openSync("/dev/random", "r");
      const stop = watchReadable(fd, () => {});
      expect(watcherCount()).toBe(1);
      stop();
      stop();
      expect(watcherCount()).toBe(0);
      closeSync(fd);
    });
  });

  test("koffi is imported in one file of the framework only", () => {
    const command = ["-rlE", 'from "koffi"|\\("koffi"\\)', "framework", "maps", "rewriter"];
    const root = fileURLToPath(new URL("../../../", import.meta.url));
    const files = execFileSync("grep", command, { encoding: "utf8", cwd: root });
    expect(files.trim()).toBe("framework/sys/libc.ts");
    expect(readFileSync(`${root}/framework/sys/libc.ts`, "utf8")).toContain("createRequire");
  });
});
