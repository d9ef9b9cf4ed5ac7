import { describe, expect, test } from "vitest";
import { kindOfType } from "../../../framework/bcc/constants.ts";
import { UsageError } from "../../../framework/core/errors.ts";
import {
  programKindNames,
  programKinds,
  roleOfFunction,
  roleOfSection,
} from "../../../framework/programs/kinds.ts";

const kprobe = { hook: "kprobe", offset: 0, atReturn: false, maxActive: 0 } as const;

describe("what a section's name says about a program", () => {
  test.each([
    ["xdp", { kind: "xdp", target: null }],
    ["xdp.frags", { kind: "xdp", target: null }],
    ["socket", { kind: "socket_filter", target: null }],
    ["socket1", { kind: "socket_filter", target: null }],
    ["kprobe/do_sys_open", { kind: "kprobe", target: { ...kprobe, symbol: "do_sys_open" } }],
    ["kprobe/do_sys_open+8", { kind: "kprobe", target: { ...kprobe, symbol: "do_sys_open", offset: 8 } }],
    ["kprobe", { kind: "kprobe", target: null }],
    ["kretprobe/vfs_read", { kind: "kretprobe", target: { ...kprobe, symbol: "vfs_read", atReturn: true } }],
    [
      "tracepoint/sched/sched_switch",
      { kind: "tracepoint", target: { hook: "tracepoint", category: "sched", name: "sched_switch" } },
    ],
    [
      "tp/sched/sched_switch",
      { kind: "tracepoint", target: { hook: "tracepoint", category: "sched", name: "sched_switch" } },
    ],
    ["raw_tp/sys_enter", { kind: "raw_tracepoint", target: { hook: "raw_tracepoint", name: "sys_enter" } }],
    [
      "raw_tracepoint/sys_enter",
      { kind: "raw_tracepoint", target: { hook: "raw_tracepoint", name: "sys_enter" } },
    ],
    ["raw_tp", { kind: "raw_tracepoint", target: null }],
    ["tc", { kind: "sched_cls", target: null }],
    ["classifier", { kind: "sched_cls", target: null }],
    ["cgroup/skb", { kind: "cgroup_skb", target: null }],
  ])("%s", (section, role) => {
    expect(roleOfSection(section)).toEqual(role);
  });

  test.each(["", "7", "maps", "kprobes/x", "xdpx", "license", "tracepoints"])(
    '"%s" says nothing',
    (section) => {
      expect(roleOfSection(section)).toBeNull();
    },
  );

  test("every section name of the table gives a kind with that kind's number", () => {
    for (const kind of programKindNames) {
      for (const pattern of programKinds[kind].sections) {
        const section = pattern.endsWith("/") ? `${pattern}eth0` : pattern.replace(/\+$/, "");
        const role = roleOfSection(section);
        expect([section, role === null ? null : programKinds[role.kind].type]).toEqual([
          section,
          programKinds[kind].type,
        ]);
      }
    }
  });
});

describe("what a function's name says about a program", () => {
  test.each([
    ["kprobe__vfs_read", { kind: "kprobe", target: { ...kprobe, symbol: "vfs_read" } }],
    ["kprobe____x64_sys_read", { kind: "kprobe", target: { ...kprobe, symbol: "__x64_sys_read" } }],
    ["kretprobe__vfs_read", { kind: "kretprobe", target: { ...kprobe, symbol: "vfs_read", atReturn: true } }],
    [
      "tracepoint__syscalls__sys_enter_openat",
      { kind: "tracepoint", target: { hook: "tracepoint", category: "syscalls", name: "sys_enter_openat" } },
    ],
    [
      "raw_tracepoint__sys_enter",
      { kind: "raw_tracepoint", target: { hook: "raw_tracepoint", name: "sys_enter" } },
    ],
  ])("%s", (name, role) => {
    expect(roleOfFunction(name)).toEqual(role);
  });

  test.each(["hello", "kprobe__", "kprobe_vfs_read", "syscall__openat", "my_kprobe__x", ""])(
    '"%s" says nothing',
    (name) => {
      expect(roleOfFunction(name)).toBeNull();
    },
  );
});

describe("numbers of program types", () => {
  test("each number of the table gives a kind that has it", () => {
    for (const kind of programKindNames) {
      expect(programKinds[kindOfType(programKinds[kind].type)].type).toBe(programKinds[kind].type);
    }
  });

  test("a number that no kind has is an error", () => {
    expect(() => kindOfType(0)).toThrow(UsageError);
    expect(() => kindOfType(1000)).toThrow("no program type 1000");
  });
});
