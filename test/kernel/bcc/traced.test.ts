import { rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { AttachError, UsageError } from "../../../framework/index.ts";
import { runCommand } from "../../support/events.ts";
import { needsFeature, needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

beforeEach((context) => needsKernel(context));

const COUNTS = `
  #include <linux/fs.h>
  struct seen { u32 calls; s32 result; char name[16]; };
  BPF_HASH(all, u32, struct seen);
  static struct seen *own(void) {
    if ((bpf_get_current_pid_tgid() >> 32) != ${process.pid}) return 0;
    u32 key = 0;
    struct seen none = {};
    return all.lookup_or_try_init(&key, &none);
  }`;

function rmdirInVain(): void {
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
}

describe("kernel functions by BTF", () => {
  test("KFUNC_PROBE runs at the entry, with the function's arguments", (context) => {
    needsFeature(context, "fentry");
    using b = open(
      `${COUNTS}
      KFUNC_PROBE(do_rmdir, int dfd, struct filename *name) {
        struct seen *seen = own();
        if (!seen) return 0;
        seen->calls++;
        seen->result = dfd;
        return 0;
      }`,
    );
    rmdirInVain();
    rmdirInVain();
    expect(b.get_table("all").get(0)).toEqual({ calls: 2, result: -100, name: "" });
  });

  test("KRETFUNC_PROBE also has the result, behind the arguments", (context) => {
    needsFeature(context, "fentry");
    using b = open(
      `${COUNTS}
      KRETFUNC_PROBE(do_rmdir, int dfd, struct filename *name, int result) {
        struct seen *seen = own();
        if (!seen) return 0;
        seen->calls++;
        seen->result = result;
        return 0;
      }`,
    );
    rmdirInVain();
    expect(b.get_table("all").get(0)).toEqual({ calls: 1, result: -2, name: "" });
  });

  test("members of arguments are read directly", (context) => {
    needsFeature(context, "fentry");
    using b = open(
      `${COUNTS}
      KFUNC_PROBE(do_rmdir, int dfd, struct filename *name) {
        struct seen *seen = own();
        if (!seen) return 0;
        bpf_probe_read_kernel_str(&seen->name, sizeof(seen->name), name->name);
        return 0;
      }`,
    );
    rmdirInVain();
    expect(b.get_table("all").get(0)).toMatchObject({ name: "/rx/no such fol" });
  });

  test("a task that was asked for as a number is read by a helper, also in a function that others give arguments", (context) => {
    needsFeature(context, "fentry");
    using b = open(
      `${COUNTS}
      #include <linux/sched.h>
      static int group(struct task_struct *task) { return task->tgid; }
      static int letter(struct filename *name, int i) { return name->name[i]; }
      KFUNC_PROBE(do_rmdir, int dfd, struct filename *name) {
        struct seen *seen = own();
        if (!seen) return 0;
        struct task_struct *task = (struct task_struct *)bpf_get_current_task();
        seen->calls = group(task) - task->real_parent->tgid;
        seen->result = letter(name, 1) * 256 + name->name[2];
        return 0;
      }`,
    );
    rmdirInVain();
    expect(b.get_table("all").get(0)).toEqual({
      calls: (process.pid - process.ppid) >>> 0,
      result: "r".charCodeAt(0) * 256 + "x".charCodeAt(0),
      name: "",
    });
  });

  test("after close the function is no longer traced", (context) => {
    needsFeature(context, "fentry");
    const b = open(`${COUNTS} KFUNC_PROBE(do_rmdir) { own(); return 0; }`);
    b.close();
    rmdirInVain();
    expect(() => b.get_table("all")).toThrow("closed");
  });

  test("a function that the kernel's types lack is an error with near names", () => {
    const error = failure(AttachError, () => open("KFUNC_PROBE(vfs_unlnk) { return 0; }"));
    expect(error.message).toContain("no such kernel function");
    expect(error.hint).toContain("vfs_unlink");
  });

  test("loading one by type alone says that the name must tell the target", () => {
    using b = open("int hello(u64 *ctx) { return 0; }");
    expect(failure(UsageError, () => b.load_func("hello", 26)).message).toContain("which target it is for");
  });
});

test("tp_btf programs get the tracepoint's arguments with their types", () => {
  using b = open(`
    #include <linux/sched.h>
    struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, u32); __type(value, u32); } execs SEC(".maps");
    SEC("tp_btf/sched_process_exec")
    int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid) {
      u32 pid = task->tgid, parent = task->real_parent->tgid;
      bpf_map_update_elem(&execs, &pid, &parent, BPF_ANY);
      return 0;
    }
    char _license[] SEC("license") = "GPL";`);
  const pid = runCommand("/bin/true");
  expect(b.get_table<number, number>("execs").get(pid)).toBe(process.pid);
});
