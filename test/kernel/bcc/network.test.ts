import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** What network-child.ts prints. */
interface Report {
  readonly xdp: Readonly<Record<"before" | "attached" | "removed" | "genericMode", number>> &
    Readonly<Record<"again" | "second" | "removedTwice" | "unknown" | "wrongFlags", Failure>>;
  readonly socket: {
    readonly texts: readonly string[];
    readonly udpBytes: number;
    readonly afterDetach: number;
    readonly again: Failure;
    readonly unknown: Failure;
  };
}

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

describe("network programs, in a network namespace of their own", () => {
  let report: Report;

  beforeAll(() => {
    if (!KernelRuntime.probe().ok) return;
    const command = [
      process.execPath,
      path("../../../framework/cli/rxbpf.js"),
      "run",
      path("network-child.ts"),
    ];
    report = JSON.parse(execFileSync("unshare", ["--net", ...command], { encoding: "utf8" }));
  }, SCRIPT_TIMEOUT_MS);

  beforeEach((context) => needsKernel(context, "xdp_link"));

  test("attach_xdp runs a program on each packet until remove_xdp", () => {
    const { before, attached, removed } = report.xdp;
    expect({ before, attached, removed }).toEqual({ before: 0, attached: 3, removed: 0 });
  });

  test("attach_xdp takes flags: generic mode", () => {
    expect(report.xdp.genericMode).toBe(3);
  });

  test("attaching a program twice, or a second program, is an error", () => {
    expect(report.xdp.again.message).toBe('"count" is attached to XDP on rxc0 already');
    expect(report.xdp.second.code).toBe("ATTACH");
    expect(report.xdp.second.message).toBe(
      'cannot attach "other" to XDP on rxc0: the device has an XDP program already (EBUSY)',
    );
  });

  test("removing what is not attached is an error", () => {
    expect(report.xdp.removedTwice.message).toBe("nothing is attached to XDP on rxc0");
  });

  test("an unknown device is an error with near names", () => {
    expect(report.xdp.unknown.message).toBe('cannot attach "other" to XDP on rxc1: no such device');
    expect(report.xdp.unknown.hint).toMatch(/^did you mean .*rxc0/);
  });

  test("flags that are no mode are an error", () => {
    expect(report.xdp.wrongFlags.code).toBe("USAGE");
  });

  test("attach_raw_socket gives a socket that holds what the filter keeps", () => {
    expect(report.socket.texts).toEqual(["first", "second"]);
    expect(report.socket.udpBytes).toBe(42 + 5 + 42 + 6);
  });

  test("a raw socket's link takes the filter off when it is disposed", () => {
    expect(report.socket.afterDetach).toBe(0);
  });

  test("attaching a filter twice to one device, or to an unknown one, is an error", () => {
    expect(report.socket.again.message).toBe('"keep" is attached to a raw socket on lo already');
    expect(report.socket.unknown.message).toBe('cannot attach "keep" to a raw socket on l0: no such device');
    expect(report.socket.unknown.hint).toMatch(/lo/);
  });
});
