import { describe, expect, test } from "vitest";
import { BpfError, PermissionError, SyscallError, UnsupportedError } from "../../../framework/core/errors.ts";
import { assertTraceable, type TracingHost } from "../../../framework/machine/live/traceable.ts";

const linux: TracingHost = {
  platform: "linux",
  kernelVersion: () => ({ major: 6, minor: 1, patch: 0 }),
  trySeize: () => undefined,
  readSetting: () => "",
};

/** A host whose ptrace is refused, with kernel.yama.ptrace_scope where there is one. */
function refusing(errno: string, scope = ""): TracingHost {
  const readSetting = (path: string): string => (path === "/proc/sys/kernel/yama/ptrace_scope" ? scope : "");
  return { ...linux, trySeize: () => errno, readSetting };
}

function refusal(host: TracingHost): BpfError {
  try {
    assertTraceable(host);
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("before the first command is traced", () => {
  test("nothing is said where ptrace is allowed", () => {
    expect(() => assertTraceable(linux)).not.toThrow();
  });

  test.each(["darwin", "win32", "freebsd"])(
    "%s is told to have no ptrace of Linux's, and nothing is tried",
    (platform) => {
      const tried: string[] = [];
      const kernelVersion = (): never => {
        throw new Error("there is no Linux to ask");
      };
      const error = refusal({ ...linux, platform, kernelVersion, trySeize: () => void tried.push("ptrace") });
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(error.message).toBe(`commands are traced with Linux's ptrace, and this is ${platform}`);
      expect(error.hint).toContain("b.fire()");
      expect(tried).toEqual([]);
    },
  );

  test("a kernel before 5.3 is told to lack what is needed; 5.3 has it", () => {
    const old = { ...linux, kernelVersion: () => ({ major: 5, minor: 2, patch: 99 }) };
    expect(refusal(old)).toBeInstanceOf(UnsupportedError);
    expect(refusal(old).message).toContain("needs Linux 5.3");
    expect(() =>
      assertTraceable({ ...linux, kernelVersion: () => ({ major: 5, minor: 3, patch: 0 }) }),
    ).not.toThrow();
  });

  test.each([
    ["3", "kernel.yama.ptrace_scope is 3, which forbids ptrace until the next boot"],
    ["2", "kernel.yama.ptrace_scope is 2, which allows it with CAP_SYS_PTRACE only"],
    ["1", "a seccomp filter or security module forbids it"],
    ["0", "a seccomp filter or security module forbids it"],
    ["", "a seccomp filter or security module forbids it"],
  ])(
    "where kernel.yama.ptrace_scope is %j, a refusal is a PermissionError that says: %s",
    (scope, reason) => {
      const error = refusal(refusing("EPERM", scope));
      expect(error).toBeInstanceOf(PermissionError);
      expect(error.message).toBe("commands cannot be traced here: ptrace is forbidden (EPERM)");
      expect(error.hint?.startsWith(reason)).toBe(true);
      expect(error.hint?.endsWith("; or make events by hand with b.fire()")).toBe(true);
      expect(error.cause).toBeInstanceOf(SyscallError);
    },
  );

  test("the errno is named that ptrace gave", () => {
    expect(refusal(refusing("EACCES")).message).toContain("(EACCES)");
  });
});
