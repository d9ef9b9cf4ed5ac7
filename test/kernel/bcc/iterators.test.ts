import { closeSync, openSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { isAtLeast } from "../../../framework/core/version.ts";
import { AttachError, ClosedError, LayoutError, UsageError } from "../../../framework/index.ts";
import { kernelVersion } from "../../../framework/sys/proc.ts";
import { collect, settle } from "../../support/events.ts";
import { holdings } from "../../support/leaks.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

beforeEach((context) => needsKernel(context));

const TASKS = `
  struct seen { u32 pid; u32 parent; char comm[16]; };
  BPF_ITER(task) {
    struct seq_file *seq = ctx->meta->seq;
    struct task_struct *task = ctx->task;
    if (!task || task->pid != task->tgid) return 0;
    struct seen seen = { .pid = task->pid, .parent = task->real_parent->tgid };
    bpf_probe_read_kernel_str(&seen.comm, sizeof(seen.comm), task->comm);
    bpf_seq_write(seq, &seen, sizeof(seen));
    return 0;
  }`;

interface Seen {
  readonly pid: number;
  readonly parent: number;
  readonly comm: string;
}

const TEXT = `
  BPF_ITER(task) {
    struct task_struct *task = ctx->task;
    if (!task) { BPF_SEQ_PRINTF(ctx->meta->seq, "end\\n"); return 0; }
    if (task->pid == task->tgid) BPF_SEQ_PRINTF(ctx->meta->seq, "%d <%s> %d\\n", task->tgid, task->comm, (int)ctx->meta->seq_num);
    return 0;
  }`;

describe("iterators over tasks", () => {
  test("records has one record per process, this one with its parent among them", () => {
    using b = open(TASKS);
    const seen = b.iterator<Seen>("bpf_iter__task").records();
    expect(seen.filter(({ pid }) => pid === process.pid)).toEqual([
      { pid: process.pid, parent: process.ppid, comm: expect.any(String) },
    ]);
    expect(new Set(seen.map(({ pid }) => pid)).size).toBe(seen.length);
  });

  test("each reading is a new walk, and a walk can be left early", () => {
    using b = open(TASKS);
    const tasks = b.iterator<Seen>("bpf_iter__task");
    for (const { pid } of tasks) {
      expect(pid).toBeGreaterThan(0);
      break;
    }
    expect(tasks.records().length).toBeGreaterThan(1);
    expect(tasks.records().length).toBeGreaterThan(1);
  });

  test("text is what the program prints", () => {
    using b = open(TEXT);
    const lines = b.iterator("bpf_iter__task").text().split("\n");
    expect(lines.slice(-2)).toEqual(["end", ""]);
    expect(lines.filter((line) => line.startsWith(`${process.pid} <`))).toHaveLength(1);
  });

  test("events and lines are streams of one walk for each subscriber", async () => {
    using b = open(TASKS);
    const tasks = b.iterator<Seen>("bpf_iter__task");
    const both = [collect(tasks.events()), collect(tasks.events())];
    await settle();
    for (const { items, end } of both) {
      expect(end).toBe("complete");
      expect(items.map(({ pid }) => pid)).toContain(process.pid);
    }
    using text = open(TEXT);
    const lines = collect(text.iterator("bpf_iter__task").lines());
    await settle();
    expect([lines.items.at(-1), lines.end]).toEqual(["end", "complete"]);
  });

  test("snapshots go on until the object is closed", async () => {
    const b = open(TASKS);
    const snapshots = collect(b.iterator<Seen>("bpf_iter__task").snapshots(1));
    await expect.poll(() => snapshots.items.length).toBeGreaterThan(1);
    b.close();
    expect(snapshots.end).toBe("complete");
    expect(snapshots.items[0]!.map(({ pid }) => pid)).toContain(process.pid);
  });

  test("a source may declare the context itself, as libbpf's do", () => {
    using b = open(`#include <linux/bpf.h>
      #include <bpf/bpf_helpers.h>
      #include <bpf/bpf_tracing.h>
      struct bpf_iter__task {
        __bpf_md_ptr(struct bpf_iter_meta *, meta);
        __bpf_md_ptr(struct task_struct *, task);
      };
      SEC("iter/task") int pids(struct bpf_iter__task *ctx) {
        struct task_struct *task = ctx->task;
        if (!task) return 0;
        int pid = task->pid;
        bpf_seq_write(ctx->meta->seq, &pid, sizeof(pid));
        return 0;
      }
      char _license[] SEC("license") = "GPL";`);
    expect(b.iterator<number>("pids").records()).toContain(process.pid);
  });

  test("one that is disposed walks no more, and can be made again", () => {
    using b = open(TASKS);
    const tasks = b.iterator<Seen>("bpf_iter__task");
    expect(failure(AttachError, () => b.iterator("bpf_iter__task")).message).toBe(
      '"bpf_iter__task" is attached to iterator task already',
    );
    tasks[Symbol.dispose]();
    expect(tasks.closed).toBe(true);
    failure(ClosedError, () => tasks.records());
    expect(b.iterator<Seen>("bpf_iter__task").records().length).toBeGreaterThan(1);
  });

  test("what is no iterator, an unknown one, and records that do not fit are errors that say so", () => {
    using b = open(`${TEXT} int f(void *ctx) { return 0; }`);
    expect(failure(UsageError, () => b.iterator("f")).message).toBe('"f" is no iterator');
    expect(failure(UsageError, () => b.iterator("bpf_iter__task").records()).message).toBe(
      '"bpf_iter__task" writes no records',
    );
    using unknown = open("struct bpf_iter__tsk { int a; }; BPF_ITER(tsk) { return 0; }");
    const error = failure(AttachError, () => unknown.iterator("bpf_iter__tsk"));
    expect(error.message).toBe(
      'cannot load program "bpf_iter__tsk" for tsk: the kernel\'s types have no such iterator',
    );
    expect(error.hint).toContain("task");
    using mixed = open(
      TASKS.replace(
        "return 0;\n  }",
        'if (ctx->meta->seq_num == 0) bpf_seq_printf(seq, "x", 2, 0, 0);\n  return 0;\n  }',
      ),
    );
    const fit = failure(LayoutError, () => mixed.iterator("bpf_iter__task").records());
    expect(fit.message).toMatch(/^"bpf_iter__task" ended in \d+ bytes, and its records have 24$/);
  });
});

describe("iterators over other things", () => {
  test("task_file walks over the files of one process", (context) => {
    if (!isAtLeast(kernelVersion(), "6.1")) context.skip("narrowing to a process needs Linux 6.1");
    using b = open(`
      struct seen { u32 pid; u32 fd; };
      BPF_ITER(task_file) {
        struct task_struct *task = ctx->task;
        if (!task || !ctx->file) return 0;
        struct seen seen = { .pid = task->tgid, .fd = ctx->fd };
        bpf_seq_write(ctx->meta->seq, &seen, sizeof(seen));
        return 0;
      }`);
    using files = b.iterator<{ pid: number; fd: number }>("bpf_iter__task_file", { pid: process.pid });
    // The walk has a descriptor as well: it takes the first one's number later.
    const [first, fd] = [openSync("/dev/null", "r"), openSync("/dev/null", "r")];
    const seen = files.records();
    closeSync(first);
    closeSync(fd);
    expect(new Set(seen.map(({ pid }) => pid))).toEqual(new Set([process.pid]));
    expect(seen.map((record) => record.fd)).toContain(fd);
    expect(files.records().map((record) => record.fd)).not.toContain(fd);
  });

  test("task walks over one thread", (context) => {
    if (!isAtLeast(kernelVersion(), "6.1")) context.skip("narrowing to a thread needs Linux 6.1");
    using b = open(TASKS);
    const [only, ...others] = b.iterator<Seen>("bpf_iter__task", { tid: process.pid }).records();
    expect([only?.pid, others]).toEqual([process.pid, []]);
    expect(failure(AttachError, () => b.iterator("bpf_iter__task", { pid: 2 ** 22 + 1 })).message).toMatch(
      /^cannot attach "bpf_iter__task" to iterator task over process 4194305: there is no such process$/,
    );
  });

  test("bpf_map walks over all tables of the system", () => {
    using b = open(`
      BPF_HASH(counts, u32, u64);
      BPF_ITER(bpf_map) {
        struct bpf_map *map = ctx->map;
        if (!map) return 0;
        u32 id = map->id;
        bpf_seq_write(ctx->meta->seq, &id, sizeof(id));
        return 0;
      }`);
    const own = holdings().maps;
    expect(own.length).toBeGreaterThanOrEqual(1);
    expect(b.iterator<number>("bpf_iter__bpf_map").records()).toEqual(expect.arrayContaining([...own]));
  });
});

describe("iterators over tables", () => {
  const ENTRIES = `
    struct entry { u32 key; u64 value; };
    struct other { u64 key; };
    BPF_HASH(counts, u32, u64);
    BPF_HASH(more, u32, u64);
    BPF_ITER(bpf_map_elem) {
      u32 *key = ctx->key;
      u64 *value = ctx->value;
      if (!key || !value) return 0;
      struct entry entry = { .key = *key, .value = *value };
      bpf_seq_write(ctx->meta->seq, &entry, sizeof(entry));
      return 0;
    }`;

  test("bpf_map_elem sees every entry of the table it is given", () => {
    using b = open(ENTRIES);
    const counts = b.get_table<number, bigint>("counts");
    for (let key = 0; key < 3000; key++) counts.set(key, BigInt(key) * 3n);
    const entries = b.iterator<{ key: number; value: bigint }>("bpf_iter__bpf_map_elem", { table: "counts" });
    const records = [...entries.records()].sort((a, b) => a.key - b.key);
    expect(records.length).toBe(3000);
    expect(records[2999]).toEqual({ key: 2999, value: 8997n });
  });

  test("without a table, with an unknown one, and of a wrong size it is refused", () => {
    using b = open(`${ENTRIES} BPF_HASH(large, u64, u64);`);
    expect(failure(AttachError, () => b.iterator("bpf_iter__bpf_map_elem")).message).toMatch(
      /^cannot attach "bpf_iter__bpf_map_elem" to iterator bpf_map_elem: this iterator walks over a table, and none was given/,
    );
    expect(
      failure(UsageError, () => b.iterator("bpf_iter__bpf_map_elem", { table: "cuonts" })).hint,
    ).toContain("counts");
  });

  test("records of several types need the type's name", () => {
    using b = open(
      ENTRIES.replace(
        "return 0;\n    }",
        "if (entry.key == 77) { struct other o = { 1 }; bpf_seq_write(ctx->meta->seq, &o, sizeof(o)); } return 0; }",
      ),
    );
    b.get_table<number, bigint>("counts").set(1, 2n);
    using entries = b.iterator("bpf_iter__bpf_map_elem", { table: "counts" });
    expect(failure(UsageError, () => entries.records()).message).toContain("struct entry, struct other");
    entries[Symbol.dispose]();
    const typed = b.iterator("bpf_iter__bpf_map_elem", { table: "counts", type: "entry" });
    expect(typed.records()).toEqual([{ key: 1, value: 2n }]);
  });
});
