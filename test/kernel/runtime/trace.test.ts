import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Scope } from "../../../framework/core/scope.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import type { Program } from "../../../framework/runtime/types.ts";
import { watcherCount } from "../../../framework/sys/poller.ts";
import { needsKernel } from "../../support/skip.ts";
import { asm, program, words } from "./assembly.ts";
import { openLabels } from "./kernel-objects.ts";

describe("the trace pipe", () => {
  let scope: Scope;
  let runtime: KernelRuntime;

  beforeEach((context) => {
    scope = new Scope("the test");
    needsKernel(context);
    runtime = scope.own(new KernelRuntime());
  });

  afterEach(() => {
    scope[Symbol.dispose]();
    expect(openLabels()).toEqual([]);
    expect(watcherCount()).toBe(0);
  });

  /** Prints "rx 12345" for the number it is run on. */
  const loadPrinter = (): Program => {
    const format = Buffer.from("rx %ld\n\0");
    const insns = [
      asm.load64(3, 1, 0),
      asm.loadImm64(6, format.readInt32LE(0), format.readInt32LE(4)),
      asm.store64(10, -8, 6),
      asm.mov(1, 10),
      asm.addImm(1, -8),
      asm.movImm(2, 8),
      asm.call(6), // trace_printk
      asm.movImm(0, 0),
      asm.exit(),
    ];
    return scope.own(runtime.loadProgram(program("raw_tracepoint", insns), new Map()));
  };

  test("gives the lines that programs print, to its watcher and to read", async () => {
    const printer = loadPrinter();
    const trace = scope.own(runtime.openTrace());
    let text = "";
    const stop = trace.watch(() => {
      text += trace.read();
    });
    const number = BigInt(process.pid) * 1000n;
    // The pipe belongs to the whole system: another reader may take a line, so print until one comes through.
    for (let i = 0n; i < 100n && !text.includes(`rx ${process.pid}`); i++) {
      runtime.testRun(printer, words(number + i));
      await delay(20);
    }
    stop();
    expect(text).toMatch(new RegExp(`rx ${process.pid}\\d{3}\\n`));
  });

  test("reads nothing after it was disposed", () => {
    const trace = runtime.openTrace();
    trace[Symbol.dispose]();
    trace[Symbol.dispose]();
    expect(() => trace.read()).toThrow("the trace pipe was closed");
  });
});
