import { describe, expect, test } from "vitest";
import { syscallOf, syscallRegisters } from "../../../framework/programs/syscalls.ts";

describe("the system call of a kernel function", () => {
  test.each([
    ["__x64_sys_execve", "execve"],
    ["sys_execve", "execve"],
    ["__arm64_sys_openat", "openat"],
    ["__ia32_compat_sys_openat", "openat"],
    ["__riscv_sys_sys_odd", "sys_odd"],
  ])("%s serves %s", (name, expected) => {
    expect(syscallOf(name)).toBe(expected);
  });

  test.each(["do_execve", "sys_", "__x64_sys_", "vfs_sys_read", ""])('"%s" serves none', (name) => {
    expect(syscallOf(name)).toBeUndefined();
  });
});

test("parameters of a system call are in the caller's registers, in another order for 32-bit programs", () => {
  expect(syscallRegisters("__x64_sys_openat")).toBe("native");
  expect(syscallRegisters("__ia32_compat_sys_openat")).toBe("native");
  expect(syscallRegisters("__ia32_sys_openat")).toBe("ia32");
  expect(syscallRegisters("do_sys_openat2")).toBeNull();
});
