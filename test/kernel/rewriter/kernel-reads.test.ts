import { readFileSync, rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { needsKernel } from "../../support/skip.ts";
import { open } from "../bcc/open.ts";

beforeEach((context) => needsKernel(context));

/** A program that runs on a system call of this process alone, fills `struct out` and keeps it. */
function onOwnCall(members: string, body: string, before = ""): Record<string, unknown> {
  using b = open(`
    #include <linux/sched.h>
    struct out { ${members} };
    BPF_HASH(outs, u32, struct out);
    ${before}
    TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) {
      if ((bpf_get_current_pid_tgid() >> 32) != ${process.pid}) return 0;
      struct out out = {};
      u32 key = 0;
      ${body}
      outs.update(&key, &out);
      return 0;
    }`);
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
  return b.get_table<number, Record<string, unknown>>("outs").get(0)!;
}

const TASK = "struct task_struct *task = (struct task_struct *)bpf_get_current_task();";

describe("loads through kernel pointers", () => {
  test("a member of a structure that a helper's number points to", () => {
    expect(onOwnCall("u32 pid;", `${TASK} out.pid = task->tgid;`)).toEqual({ pid: process.pid });
  });

  test("a chain of members, one read for each pointer", () => {
    const { parent } = onOwnCall(
      "u32 parent;",
      `${TASK} out.parent = task->real_parent->group_leader->tgid;`,
    );
    expect(parent).toBe(process.ppid);
  });

  test("without a variable, through a cast alone", () => {
    const body = "out.pid = ((struct task_struct *)bpf_get_current_task())->tgid;";
    expect(onOwnCall("u32 pid;", body)).toEqual({ pid: process.pid });
  });

  test("through an integer variable and back", () => {
    const body = "u64 address = bpf_get_current_task(); out.pid = ((struct task_struct *)address)->tgid;";
    expect(onOwnCall("u32 pid;", body)).toEqual({ pid: process.pid });
  });

  test("an element of an array member, with a constant and a variable index", () => {
    const comm = readFileSync("/proc/self/task/" + process.pid + "/comm", "utf8").trim();
    const body = `${TASK} u32 i = bpf_get_current_pid_tgid() & 0; out.first = task->group_leader->comm[0]; out.third = task->group_leader->comm[i + 2];`;
    const out = onOwnCall("u8 first; u8 third;", body);
    expect(out).toEqual({ first: comm.charCodeAt(0), third: comm.charCodeAt(2) });
  });

  test("an array member as an address for a read helper", () => {
    const comm = readFileSync("/proc/self/task/" + process.pid + "/comm", "utf8").trim();
    const body = `${TASK} bpf_probe_read_kernel_str(&out.comm, sizeof(out.comm), task->group_leader->comm);`;
    expect(onOwnCall("char comm[16];", body)).toEqual({ comm });
  });

  test("through brackets and a star, and a member of a member by value", () => {
    const body = `${TASK} out.pid = (*task).tgid; out.level = task->nsproxy->pid_ns_for_children->level; out.count = task->usage.refs.counter;`;
    const out = onOwnCall("u32 pid; u32 level; u32 count;", body);
    expect(out["pid"]).toBe(process.pid);
    expect(out["level"]).toBeLessThan(32);
    expect(out["count"]).toBeGreaterThan(0);
  });

  test("a bit field", () => {
    const body = `${TASK} out.kernel_thread = (task->flags & PF_KTHREAD) != 0; out.exec = task->in_execve; out.migrated = task->sched_migrated + 0; out.reset = task->sched_reset_on_fork;`;
    const members = "u32 kernel_thread; u32 exec; u32 migrated; u32 reset;";
    expect(onOwnCall(members, body)).toMatchObject({ kernel_thread: 0, exec: 0, reset: 0 });
  });

  test("inside a static function, whatever its argument is", () => {
    const before = `
      static u32 id_of(struct task_struct *t) { return t->tgid; }
      static struct task_struct *parent_of(struct task_struct *t) { return t->real_parent; }`;
    const body = `${TASK} out.own = id_of(task); out.parent = id_of(parent_of(task)->group_leader);`;
    expect(onOwnCall("u32 own; u32 parent;", body, before)).toEqual({
      own: process.pid,
      parent: process.ppid,
    });
  });

  test("of a pointer that a table kept", () => {
    const before = "BPF_HASH(tasks, u32, struct task_struct *);";
    const body = `${TASK} tasks.update(&key, &task);
      struct task_struct **kept = tasks.lookup(&key);
      if (!kept) return 0;
      struct task_struct *found = *kept;
      out.pid = found->tgid;`;
    expect(onOwnCall("u32 pid;", body, before)).toEqual({ pid: process.pid });
  });

  test("of a pointer in a struct that a table kept", () => {
    const before = "struct kept { u64 ts; struct task_struct *task; }; BPF_HASH(tasks, u32, struct kept);";
    const body = `${TASK} struct kept k = { .ts = 7, .task = task }; tasks.update(&key, &k);
      struct kept *found = tasks.lookup(&key);
      if (!found) return 0;
      found->ts += found->task->tgid;
      out.pid = found->ts - 7;`;
    expect(onOwnCall("u32 pid;", body, before)).toEqual({ pid: process.pid });
  });

  test("of a pointer that a read helper filled in", () => {
    const body = `${TASK} struct task_struct *leader; bpf_probe_read_kernel(&leader, sizeof(leader), &task->group_leader); out.pid = leader->tgid;`;
    expect(onOwnCall("u32 pid;", body)).toEqual({ pid: process.pid });
  });

  test("inside a macro's body and as a macro's argument", () => {
    const before = "#define TGID(t) ((t)->tgid)";
    const body = `${TASK} out.a = TGID(task); out.b = min(task->tgid, 100000000);`;
    expect(onOwnCall("u32 a; u32 b;", body, before)).toEqual({ a: process.pid, b: process.pid });
  });

  test("with container_of and a member's address", () => {
    const body = `${TASK} struct task_struct *again = container_of(&task->tgid, struct task_struct, tgid); out.pid = again->tgid;`;
    expect(onOwnCall("u32 pid;", body)).toEqual({ pid: process.pid });
  });
});

describe("what is left as written", () => {
  test("stores and loads of the program's own memory", () => {
    const before = "struct node { u32 value; struct node *next; };";
    const body = `struct node a = { .value = 1 }, b = { .value = 2 }; a.next = &b; a.next->value++; struct node *p = &a; p->value += 4; out.sum = a.value * 10 + b.value;`;
    expect(onOwnCall("u32 sum;", body, before)).toEqual({ sum: 53 });
  });

  test("a variable that is sometimes kernel memory, where it is not", () => {
    const body = `${TASK} struct task_struct *p = task; out.size = sizeof(p->comm); out.pid = p ? p->tgid : 0;`;
    expect(onOwnCall("u32 size; u32 pid;", body)).toEqual({ size: 16, pid: process.pid });
  });
});

describe("loads through user pointers", () => {
  test("the argument of a system call, element by element", () => {
    const body = "const char *path = args->pathname; out.first = path[0]; out.second = *(path + 1);";
    expect(onOwnCall("u8 first; u8 second;", body)).toEqual({ first: 47, second: 114 });
  });
});
