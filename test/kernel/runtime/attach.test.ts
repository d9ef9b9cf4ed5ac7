import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readFileSync, readSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AttachError, UnsupportedError } from "../../../framework/core/errors.ts";
import { Scope } from "../../../framework/core/scope.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import type { ProgramSpec } from "../../../framework/object/object-spec.ts";
import type { AttachTarget } from "../../../framework/programs/targets.ts";
import { isSocketLink, type Link, type Program, type RawMap } from "../../../framework/runtime/types.ts";
import { watchReadable } from "../../../framework/sys/poller.ts";
import { SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsFeature, needsKernel, needsMissingKprobes } from "../../support/skip.ts";
import { asm, countOwnCalls, key, map, program, returns } from "./assembly.ts";
import { isFreed, openLabels } from "./kernel-objects.ts";

const TRACEPOINT: AttachTarget = { hook: "tracepoint", category: "sched", name: "sched_process_fork" };

describe("attaching to the running kernel", () => {
  let scope: Scope;
  let runtime: KernelRuntime;
  let counts: RawMap;

  beforeEach((context) => {
    scope = new Scope("the test");
    needsKernel(context);
    runtime = scope.own(new KernelRuntime());
    counts = scope.own(runtime.createMap(map("array", { maxEntries: 1 })));
  });

  afterEach(() => {
    scope[Symbol.dispose]();
    expect(openLabels()).toEqual([]);
  });

  const load = (spec: ProgramSpec): Program =>
    scope.own(runtime.loadProgram(spec, new Map([["counts", counts]])));
  const attach = (loaded: Program, target: AttachTarget): Link => scope.own(runtime.attach(loaded, target));

  const counted = (): bigint => {
    const into = new Uint8Array(8);
    counts.lookup(key(0), into);
    return new DataView(into.buffer).getBigUint64(0, true);
  };

  const failure = (loaded: Program, target: AttachTarget): unknown => {
    try {
      runtime.attach(loaded, target)[Symbol.dispose]();
    } catch (error) {
      return error;
    }
    throw new Error("it was attached");
  };

  test("a tracepoint program runs while its link lives and not after", async () => {
    const loaded = load(countOwnCalls("tracepoint", process.pid));
    const link = attach(loaded, TRACEPOINT);
    execFileSync("/bin/true");
    const during = counted();
    expect(during).toBeGreaterThan(0n);
    link[Symbol.dispose]();
    link[Symbol.dispose]();
    execFileSync("/bin/true");
    expect(counted()).toBe(during);
  });

  test("two programs at one tracepoint both run, and one goes on when the other is detached", () => {
    const first = attach(load(countOwnCalls("tracepoint", process.pid)), TRACEPOINT);
    attach(load(countOwnCalls("tracepoint", process.pid)), TRACEPOINT);
    execFileSync("/bin/true");
    const both = counted();
    expect(both).toBeGreaterThanOrEqual(2n);
    first[Symbol.dispose]();
    execFileSync("/bin/true");
    expect(counted() - both).toBe(both / 2n);
  });

  test("a raw tracepoint program runs while its link lives and not after", () => {
    const loaded = load(countOwnCalls("raw_tracepoint", process.pid));
    const link = attach(loaded, { hook: "raw_tracepoint", name: "sched_process_fork" });
    execFileSync("/bin/true");
    const during = counted();
    expect(during).toBeGreaterThan(0n);
    link[Symbol.dispose]();
    execFileSync("/bin/true");
    expect(counted()).toBe(during);
  });

  test("a link keeps its program running after the program was closed; then the kernel frees it", async () => {
    const loaded = load(countOwnCalls("raw_tracepoint", process.pid));
    const { id } = loaded;
    const link = attach(loaded, { hook: "raw_tracepoint", name: "sched_process_fork" });
    loaded[Symbol.dispose]();
    execFileSync("/bin/true");
    expect(counted()).toBeGreaterThan(0n);
    link[Symbol.dispose]();
    expect(await isFreed("BPF_PROG_GET_NEXT_ID", id)).toBe(true);
  });

  test("an unknown tracepoint is refused with the nearest name", () => {
    const loaded = load(returns("tracepoint", 0));
    const error = failure(loaded, { hook: "tracepoint", category: "sched", name: "sched_swich" });
    expect(error).toBeInstanceOf(AttachError);
    expect(error).toMatchObject({
      message: 'cannot attach "probe" to tracepoint sched:sched_swich: no such tracepoint',
      hint: expect.stringContaining("sched:sched_switch"),
    });
  });

  test("an unknown raw tracepoint is refused with the nearest name", () => {
    const loaded = load(returns("raw_tracepoint", 0));
    expect(failure(loaded, { hook: "raw_tracepoint", name: "sched_swich" })).toMatchObject({
      code: "ATTACH",
      hint: expect.stringContaining("sched_switch"),
    });
    expect(failure(loaded, { hook: "raw_tracepoint", name: "sys_enter_openat" })).toMatchObject({
      hint: expect.stringContaining("use sys_enter"),
    });
  });

  test("a program of another kind is refused", () => {
    const loaded = load(returns("socket_filter", 0));
    expect(failure(loaded, TRACEPOINT)).toBeInstanceOf(AttachError);
    expect(failure(loaded, { hook: "raw_tracepoint", name: "sys_enter" })).toBeInstanceOf(AttachError);
    expect(openLabels().filter((label) => label.includes("tracepoint"))).toEqual([]);
  });

  describe("kprobes", () => {
    const probe = (
      symbol: string,
      more: Partial<Extract<AttachTarget, { hook: "kprobe" }>> = {},
    ): AttachTarget => ({
      hook: "kprobe",
      symbol,
      offset: 0,
      atReturn: false,
      maxActive: 0,
      ...more,
    });

    test("are refused on a kernel without them, with what works instead", (context) => {
      needsMissingKprobes(context);
      const error = failure(load(returns("kprobe", 0)), probe("do_nanosleep"));
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(error).toMatchObject({
        message: expect.stringContaining("CONFIG_KPROBES"),
        hint: "tracepoints and raw tracepoints work here",
      });
    });

    const variants = [
      ["at entry", "kprobe", {}],
      ["at return", "kretprobe", { atReturn: true }],
      ["through tracefs", "kretprobe", { atReturn: true, maxActive: 8 }],
    ] as const;

    test.for(variants)("run %s while the link lives and not after", ([, kind, more], context) => {
      needsFeature(context, "kprobe");
      const link = attach(load(countOwnCalls(kind, process.pid)), probe("vfs_read", more));
      readFileSync("/proc/self/stat");
      const during = counted();
      expect(during).toBeGreaterThan(0n);
      link[Symbol.dispose]();
      readFileSync("/proc/self/stat");
      expect(counted()).toBe(during);
    });

    test("are refused on an unknown function, with the nearest name", (context) => {
      needsFeature(context, "kprobe");
      expect(failure(load(returns("kprobe", 0)), probe("vfs_raed"))).toMatchObject({
        code: "ATTACH",
        message: expect.stringContaining("no such kernel function"),
        hint: expect.stringContaining("vfs_read"),
      });
    });
  });

  test("a socket filter chooses which packets its socket receives", async () => {
    // Keeps UDP packets on lo whose length is the one sent below: Ethernet 14 + IP 20 + UDP 8 + data.
    const wanted = 14 + 20 + 8 + 41;
    const insns = [
      asm.load64(0, 1, 0),
      asm.movImm(0, 0),
      [0x61, 0x12, 0, 0, 0, 0, 0, 0], // r2 = ((struct __sk_buff *)r1)->len
      asm.jumpIfNotEqualImm(2, wanted, 1),
      asm.movImm(0, 65535),
      asm.exit(),
    ].slice(1);
    const loaded = load(program("socket_filter", insns));
    const link = attach(loaded, { hook: "socket_filter", device: "lo" });
    if (!isSocketLink(link)) throw new Error("not a socket");
    await send(new Uint8Array(40));
    await send(new Uint8Array(41).fill(0x5a));
    const packet = new Uint8Array(2048);
    const length = await readWhenReady(link.fd, packet);
    expect(length).toBe(wanted);
    expect(packet[length - 1]).toBe(0x5a);
    link[Symbol.dispose]();
    expect(() => link.fd).toThrow("a raw socket was closed");
  });

  test("a socket filter on an unknown device is refused with the devices there are", () => {
    const loaded = load(returns("socket_filter", 0));
    expect(failure(loaded, { hook: "socket_filter", device: "nosuchdev0" })).toMatchObject({
      code: "ATTACH",
      message: expect.stringContaining("no such device"),
      hint: expect.stringContaining("lo"),
    });
  });

  test(
    "an XDP program drops packets while its link lives and not after",
    (context) => {
      needsFeature(context, "xdp_link");
      const script = fileURLToPath(new URL("./xdp-in-namespace.ts", import.meta.url));
      const namespace = `rxbpf-${process.pid}`;
      execFileSync("ip", ["netns", "add", namespace]);
      try {
        const command = ["netns", "exec", namespace, process.execPath, "--import", "tsx", script];
        const report = JSON.parse(execFileSync("ip", command, { encoding: "utf8" })) as unknown;
        expect(report).toEqual({
          before: true,
          during: false,
          second: "the device has an XDP program already (EBUSY)",
          after: true,
          unknown: "did you mean rxa0?",
          open: [],
        });
      } finally {
        execFileSync("ip", ["netns", "del", namespace]);
      }
    },
    SCRIPT_TIMEOUT_MS,
  );
});

/** Sends a packet over lo to a port where nobody listens but this socket. */
async function send(data: Uint8Array): Promise<void> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  await new Promise<void>((resolve, reject) => {
    socket.send(data, socket.address().port, "127.0.0.1", (error) => (error ? reject(error) : resolve()));
  });
  socket.close();
}

/** Reads once the socket has something; gives up after 5 seconds. */
async function readWhenReady(fd: number, into: Uint8Array): Promise<number> {
  let stop = (): void => {};
  const ready = new Promise<void>((resolve) => {
    stop = watchReadable(fd, resolve);
  });
  await Promise.race([ready, delay(5000)]);
  stop();
  return readSync(fd, into);
}
