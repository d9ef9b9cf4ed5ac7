import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UsageError } from "../../../framework/core/errors.ts";
import { Scope } from "../../../framework/core/scope.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import type { ProgramSpec } from "../../../framework/object/object-spec.ts";
import type { EventSource, Program, RawMap } from "../../../framework/runtime/types.ts";
import { watcherCount } from "../../../framework/sys/poller.ts";
import { needsFeature, needsKernel } from "../../support/skip.ts";
import { key, map, outputToPerf, outputToRing, reserveInRing, words } from "./assembly.ts";
import { isFreed, openLabels } from "./kernel-objects.ts";

const noLoss = (): void => {
  throw new Error("records were lost");
};

describe("events of the running kernel", () => {
  let scope: Scope;
  let runtime: KernelRuntime;
  let events: RawMap;

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

  const load = (spec: ProgramSpec): Program =>
    scope.own(runtime.loadProgram(spec, new Map([["events", events]])));
  const open = (pages = 1): EventSource => scope.own(runtime.openEvents(events, { pages, wakeupEvents: 1 }));

  /** Runs the program once for each number; returns how often it returned something else than 0. */
  const produce = (program: Program, from: number, count: number): number => {
    let failed = 0;
    for (let i = from; i < from + count; i++)
      if (runtime.testRun(program, words(BigInt(i))).result !== 0) failed++;
    return failed;
  };

  const drainNumbers = (source: EventSource, most?: number): readonly number[] => {
    const seen: number[] = [];
    source.drain((view, at) => seen.push(Number(view.getBigUint64(at, true))), noLoss, most);
    return seen;
  };

  const range = (from: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, i) => from + i);

  describe("a ring buffer", () => {
    beforeEach((context) => {
      needsFeature(context, "ringbuf");
      events = scope.own(
        runtime.createMap(map("ringbuf", { name: "events", keySize: 0, valueSize: 0, maxEntries: 4096 })),
      );
    });

    test("gives records in order, with their length and no CPU", () => {
      const source = open();
      produce(load(outputToRing()), 1, 3);
      const seen: unknown[] = [];
      const count = source.drain((view, at, length, cpu) => {
        seen.push([view.getBigUint64(at, true), length, cpu]);
      }, noLoss);
      expect(count).toBe(3);
      expect(seen).toEqual([
        [1n, 8, null],
        [2n, 8, null],
        [3n, 8, null],
      ]);
      expect(drainNumbers(source)).toEqual([]);
    });

    test("goes round its end many times without losing or changing a record", () => {
      const source = open();
      const program = load(reserveInRing("submit"));
      // 32 bytes with the header do not divide the rounds evenly: 100 of 128 per round.
      for (let round = 0; round < 20; round++) {
        produce(program, round * 100, 100);
        expect(drainNumbers(source)).toEqual(range(round * 100, 100));
      }
    });

    test("passes over discarded records", () => {
      const source = open();
      const [keep, drop] = [load(reserveInRing("submit")), load(reserveInRing("discard"))];
      produce(drop, 0, 5);
      produce(keep, 5, 2);
      produce(drop, 7, 5);
      expect(drainNumbers(source)).toEqual([5, 6]);
      produce(keep, 12, 1);
      expect(drainNumbers(source)).toEqual([12]);
    });

    test("refuses records when full, and takes them again after a drain", () => {
      const source = open();
      const program = load(outputToRing());
      const fit = 4096 / 16 - 1;
      expect(produce(program, 0, fit + 10)).toBe(10);
      expect(drainNumbers(source)).toEqual(range(0, fit));
      expect(produce(program, 1000, 5)).toBe(0);
      expect(drainNumbers(source)).toEqual(range(1000, 5));
    });

    test("hands over at most as many records as asked for, and the rest later", () => {
      const source = open();
      produce(load(outputToRing()), 0, 10);
      expect(drainNumbers(source, 4)).toEqual([0, 1, 2, 3]);
      expect(drainNumbers(source, 4)).toEqual([4, 5, 6, 7]);
      expect(drainNumbers(source)).toEqual([8, 9]);
    });

    test("counts a record as read when its callback throws, and goes on with the next", () => {
      const source = open();
      produce(load(outputToRing()), 0, 3);
      const fail = (): void => {
        throw new Error("callback");
      };
      expect(() => source.drain(fail, noLoss)).toThrow("callback");
      expect(drainNumbers(source)).toEqual([1, 2]);
    });

    test("stops at once when a callback disposes it", () => {
      const source = open();
      produce(load(outputToRing()), 0, 3);
      let count = 0;
      source.drain(() => {
        count++;
        source[Symbol.dispose]();
      }, noLoss);
      expect(count).toBe(1);
      expect(drainNumbers(source)).toEqual([]);
    });

    test("a view kept after disposal reads zeros instead of crashing", () => {
      const source = open();
      produce(load(outputToRing()), 0x5a5a, 1);
      let kept: DataView | undefined;
      let keptAt = 0;
      source.drain((view, at) => {
        kept = view;
        keptAt = at;
      }, noLoss);
      expect(kept?.getUint32(keptAt, true)).toBe(0x5a5a);
      source[Symbol.dispose]();
      expect(kept?.getUint32(keptAt, true)).toBe(0);
    });

    test("a second reader starts where the first one stopped", () => {
      const program = load(outputToRing());
      const first = open();
      produce(program, 0, 3);
      expect(drainNumbers(first, 2)).toEqual([0, 1]);
      first[Symbol.dispose]();
      expect(drainNumbers(open())).toEqual([2]);
    });

    test("calls its watcher for each arrival until stopped", async () => {
      const program = load(outputToRing());
      const source = open();
      const seen: number[] = [];
      const stop = source.watch(() => seen.push(...drainNumbers(source)));
      await delay(20);
      expect(seen).toEqual([]);
      produce(program, 0, 2);
      await until(() => seen.length === 2);
      produce(program, 2, 1);
      await until(() => seen.length === 3);
      stop();
      stop();
      produce(program, 3, 1);
      await delay(50);
      expect(seen).toEqual([0, 1, 2]);
    });

    test("calls its watcher again for records that a bounded drain left", async () => {
      produce(load(outputToRing()), 0, 10);
      const source = open();
      const seen: number[] = [];
      source.watch(() => seen.push(...drainNumbers(source, 3)));
      await until(() => seen.length === 10);
      expect(seen).toEqual(range(0, 10));
    });

    test("is readable after its table was closed", async () => {
      const program = load(outputToRing());
      const source = open();
      events[Symbol.dispose]();
      const seen: number[] = [];
      source.watch(() => seen.push(...drainNumbers(source)));
      produce(program, 7, 1);
      await until(() => seen.length === 1);
      expect(seen).toEqual([7]);
    });
  });

  describe("a perf buffer", () => {
    beforeEach(() => {
      events = scope.own(
        runtime.createMap(map("perf_event_array", { name: "events", valueSize: 4, maxEntries: 0 })),
      );
    });

    test("gives each record with the CPU it was written on", () => {
      const source = open();
      produce(load(outputToPerf()), 1, 3);
      const numbers: number[] = [];
      const count = source.drain((view, at, length, cpu) => {
        numbers.push(Number(view.getBigUint64(at, true)));
        // The kernel rounds the size with its own four bytes up to a multiple of 8.
        expect(length).toBe(12);
        expect(cpu).toBeGreaterThanOrEqual(0);
        expect(cpu).toBeLessThan(runtime.cpuCount);
      }, noLoss);
      expect(count).toBe(3);
      expect(numbers.sort()).toEqual([1, 2, 3]);
    });

    test("puts records together that wrap around the end", () => {
      const source = open();
      const program = load(outputToPerf());
      // A record takes 24 bytes, so that one in each round of 4096 is cut in two.
      for (let round = 0; round < 30; round++) {
        produce(program, round * 100, 100);
        expect([...drainNumbers(source)].sort((a, b) => a - b)).toEqual(range(round * 100, 100));
      }
    });

    test("counts what did not fit, with the CPU, once there is room again", () => {
      const source = open();
      const program = load(outputToPerf());
      const total = 400 * runtime.cpuCount;
      let lost = 0;
      let seen = 0;
      const failed = produce(program, 0, total);
      expect(failed).toBeGreaterThan(0);
      const count = (): void => {
        seen++;
      };
      const onLost = (number: number, cpu: number): void => {
        expect(cpu).toBeLessThan(runtime.cpuCount);
        lost += number;
      };
      source.drain(count, onLost);
      // The kernel reports a loss in front of the next record on the same CPU, so some of each are needed.
      let more = 0;
      for (; lost < failed && more < 10_000; more++) {
        expect(produce(program, total + more, 1)).toBe(0);
        source.drain(count, onLost);
      }
      expect(lost).toBe(failed);
      expect(seen).toBe(total - failed + more);
    });

    test("hands over at most as many records as asked for, and the rest later", () => {
      const source = open();
      produce(load(outputToPerf()), 0, 10);
      expect(drainNumbers(source, 4)).toHaveLength(4);
      expect(drainNumbers(source, 100)).toHaveLength(6);
    });

    test("stops at once when a callback disposes it", () => {
      const source = open();
      produce(load(outputToPerf()), 0, 3);
      let count = 0;
      source.drain(() => {
        count++;
        source[Symbol.dispose]();
      }, noLoss);
      expect(count).toBe(1);
      expect(drainNumbers(source)).toEqual([]);
    });

    test("calls its watcher for records from before, from during and left over", async () => {
      const program = load(outputToPerf());
      const source = open();
      produce(program, 0, 5);
      const seen: number[] = [];
      const stop = source.watch(() => seen.push(...drainNumbers(source, 2)));
      produce(program, 5, 1);
      await until(() => seen.length === 6);
      produce(program, 6, 5);
      await until(() => seen.length === 11);
      produce(program, 11, 1);
      await until(() => seen.length === 12);
      stop();
      produce(program, 12, 1);
      await delay(50);
      expect(seen).toHaveLength(12);
    });

    test("takes a power of two of pages and nothing else", () => {
      for (const pages of [0, 3, 1.5, -8]) expect(() => open(pages)).toThrow(UsageError);
      expect(openLabels().filter((label) => label.includes("perf buffer"))).toEqual([]);
    });

    test("leaves its table empty when it closes, so that programs write nowhere", () => {
      const program = load(outputToPerf());
      const source = open();
      expect(produce(program, 0, 1)).toBe(0);
      source[Symbol.dispose]();
      expect(produce(program, 0, 1)).toBe(1);
      expect(events.delete(key(0))).toBe(false);
    });

    test("closes after its table, too", async () => {
      const source = open();
      events[Symbol.dispose]();
      source[Symbol.dispose]();
      expect(openLabels()).toEqual([]);
    });
  });

  test("a table without records cannot be opened for them", () => {
    events = scope.own(runtime.createMap(map("hash")));
    expect(() => open()).toThrow('table "counts" is a hash map');
  });

  test("what a buffer held is freed by the kernel once everything is closed", async () => {
    events = scope.own(
      runtime.createMap(map("perf_event_array", { name: "events", valueSize: 4, maxEntries: 0 })),
    );
    const program = load(outputToPerf());
    const { id } = program;
    open(8);
    scope[Symbol.dispose]();
    expect(await isFreed("BPF_PROG_GET_NEXT_ID", id)).toBe(true);
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !isTrue(); tries++) await delay(10);
  expect(isTrue()).toBe(true);
}
