import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import {
  FilterTable,
  MapError,
  ReferenceTable,
  StorageTable,
  UnsupportedError,
  UsageError,
} from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

/** Where the cgroup2 hierarchy is mounted. */
function cgroupRoot(): string {
  const line = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .find((mount) => mount.split(" ")[2] === "cgroup2");
  if (line === undefined) throw new Error("no cgroup2 is mounted");
  return line.split(" ")[1]!;
}

describe("tables of references", () => {
  beforeEach((context) => needsKernel(context));

  test("a device map takes devices by name or index, and gives indexes back", () => {
    using b = open(`BPF_DEVMAP(ports, 4); BPF_TABLE("devmap_hash", u32, int, by_number, 4);`);
    const ports = b.get_table<number, number>("ports");
    expect(ports).toBeInstanceOf(ReferenceTable);
    ports.set(0, "lo").set(2, 1);
    expect(ports.items()).toEqual([
      [0, 1],
      [2, 1],
    ]);
    expect(ports.get(1)).toBeUndefined();
    expect(ports.delete(0)).toBe(true);
    expect([...ports.keys()].length).toBeGreaterThan(0);
    expect(failure(UsageError, () => ports.set(1, "nosuch0")).message).toBe(
      'there is no network device "nosuch0"',
    );
    const byNumber = b.get_table<number, number>("by_number");
    byNumber.set(700_000, "lo");
    expect(byNumber.items()).toEqual([[700_000, 1]]);
  });

  test("a CPU map takes the length of the queue to a CPU", () => {
    using b = open("BPF_CPUMAP(queues, 2);");
    const queues = b.get_table<number, number>("queues");
    queues.set(0, 192);
    expect(queues.items()).toEqual([[0, 192]]);
    expect(() => queues.set(2, 192)).toThrow("must be a whole number from -2 to 1");
  });

  test("a cgroup table takes a folder's path, and check_current_task tells whether a task is below it", () => {
    using b = open(`
      BPF_CGROUP_ARRAY(groups, 2);
      BPF_ARRAY(answers, int, 2);
      int ask(${CTX}) {
        int index = ctx->args[0];
        int answer = groups.check_current_task(index);
        answers.update(&index, &answer);
        return 0;
      }`);
    const folder = `${cgroupRoot()}/rxbpf-test-${process.pid}`;
    mkdirSync(folder);
    try {
      const groups = b.get_table<number, number>("groups");
      groups.set(0, cgroupRoot());
      const own = openSync(folder, "r");
      groups.set(1, { fd: own });
      closeSync(own);
      run(b, "ask", 0);
      run(b, "ask", 1);
      expect(b.get_table<number, number>("answers").values()).toEqual([1, 0]);
      expect(failure(UsageError, () => groups.set(1, `${folder}/none`)).message).toBe(
        `there is no cgroup "${folder}/none"`,
      );
      expect(failure(MapError, () => groups.set(1, "/tmp")).message).toBe(
        'cannot write to table "groups": the value is no cgroup (EBADF)',
      );
      expect(failure(MapError, () => groups.get(0)).message).toBe(
        'cannot read from table "groups": the kernel does not allow it for cgroup_array maps (ENOTSUPP)',
      );
    } finally {
      rmdirSync(folder);
    }
  });
});

describe("storage tables", () => {
  beforeEach((context) => needsKernel(context));

  test("a task's value is written from here by its process id and read again; its absence is told", () => {
    using b = open("struct note { u32 count; char text[8]; }; BPF_TASK_STORAGE(notes, struct note);");
    const notes = b.get_table<number, { count: number; text: string }>("notes");
    expect(notes).toBeInstanceOf(StorageTable);
    expect([notes.has(process.pid), notes.get(process.pid)]).toEqual([false, undefined]);
    notes.set(process.pid, { count: 3, text: "three" });
    expect(notes.get(process.pid)).toEqual({ count: 3, text: "three" });
    expect([notes.delete(process.pid), notes.delete(process.pid)]).toEqual([true, false]);
    expect(failure(UsageError, () => notes.get(2 ** 30)).message).toContain(`there is no process ${2 ** 30}`);
  });

  test("an inode's value hangs on the file, whichever path leads to it", () => {
    using b = open("BPF_INODE_STORAGE(marks, u64);");
    const marks = b.get_table<string, bigint>("marks");
    marks.set("/proc/self/exe", 7n);
    expect(marks.get(process.execPath)).toBe(7n);
    marks.delete(process.execPath);
    expect(marks.has("/proc/self/exe")).toBe(false);
    expect(() => marks.get("/nowhere/at/all")).toThrow('cannot open "/nowhere/at/all"');
  });

  test("paths are for inodes and cgroups only", () => {
    using b = open("BPF_SK_STORAGE(seen, u64);");
    const seen = b.get_table<string, bigint>("seen");
    expect(() => seen.get("/tmp")).toThrow('owners in "seen" have no paths: it is a sk_storage');
  });
});

describe("a bloom filter", () => {
  beforeEach((context) => needsKernel(context));

  test("has what was added on either side, and nothing else that was asked here", () => {
    let b: ReturnType<typeof open>;
    try {
      b = open(`
        BPF_TABLE("bloom_filter", int, u32, seen, 1000);
        int add(${CTX}) { u32 value = ctx->args[0]; seen.push(&value, 0); return 0; }`);
    } catch (error) {
      if (error instanceof UnsupportedError) return expect(error.message).toContain("5.16");
      throw error;
    }
    using _ = b;
    const seen = b.get_table<unknown, number>("seen");
    expect(seen).toBeInstanceOf(FilterTable);
    expect(seen.has(17)).toBe(false);
    seen.add(17);
    run(b, "add", 23);
    expect([seen.has(17), seen.has(23), seen.has(1_000_003)]).toEqual([true, true, false]);
  });
});
