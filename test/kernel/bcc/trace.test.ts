import { beforeEach, describe, expect, test, vi } from "vitest";
import type { BPF } from "../../../framework/index.ts";
import { UsageError } from "../../../framework/index.ts";
import { collect, eventually, marker, run } from "../../support/events.ts";
import { expectReleased, holdings } from "../../support/leaks.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

/** An object whose function f prints "<mark> <argument>". */
function printer(mark: string): BPF {
  return open(
    `int f(struct bpf_raw_tracepoint_args *ctx) { bpf_trace_printk("${mark} %d", ctx->args[0]); return 0; }`,
  );
}

/** Calls `read` until it gives a line with the mark, printing again each time: others' lines come between. */
async function printedAndRead<T>(b: BPF, mark: string, read: () => Promise<T>): Promise<T> {
  for (let i = 0; i < 10_000; i++) {
    if (i % 10 === 0) run(b, "f", 7);
    const found = await read();
    if (JSON.stringify(found)?.includes(mark)) return found;
  }
  throw new Error("no line came");
}

describe("the trace pipe", () => {
  beforeEach((context) => needsKernel(context));

  test("trace_readline gives whole lines", async () => {
    const mark = marker();
    using b = printer(mark);
    const line = await printedAndRead(b, mark, () => b.trace_readline());
    expect(line).toMatch(new RegExp(`^ *\\S.*-${process.pid} .*bpf_trace_printk: ${mark} 7$`));
  });

  test("trace_readline(true) gives a line that was printed before, and null when there is none", async () => {
    const mark = marker();
    using b = printer(mark);
    const line = await printedAndRead(b, mark, () => b.trace_readline(true));
    expect(line).toContain(mark);
    let last: string | null = line;
    for (let i = 0; i < 10_000 && last !== null; i++) last = await b.trace_readline(true);
    expect(last).toBeNull();
  });

  test("trace_fields gives task, pid, cpu, flags, time and message", async () => {
    const mark = marker();
    using b = printer(mark);
    const before = Number(process.hrtime.bigint()) / 1e9;
    const fields = await printedAndRead(b, mark, () => b.trace_fields());
    const [task, pid, cpu, flags, ts, msg] = fields!;
    expect(task).not.toBe("");
    expect(pid).toBe(process.pid);
    expect(cpu).toBeGreaterThanOrEqual(0);
    expect(flags).toMatch(/^\S+$/);
    // Both clocks count from boot, up to how often they are corrected.
    expect(Math.abs(ts - before)).toBeLessThan(60);
    expect(msg).toBe(`${mark} 7`);
  });

  test("trace_print prints lines, or the fields that its format names, until its signal aborts", async () => {
    const mark = marker();
    using b = printer(mark);
    const printed: unknown[] = [];
    const log = vi.spyOn(console, "log").mockImplementation((line) => printed.push(line));
    try {
      for (const format of [undefined, "<{1}> {5}"]) {
        const stop = new AbortController();
        const printing = b.trace_print(format, { signal: stop.signal });
        await eventually("the printed line", () => {
          run(b, "f", 7);
          return printed.some((line) => String(line).includes(mark) === true);
        });
        stop.abort();
        await printing;
        const line = printed.find((candidate) => String(candidate).includes(mark));
        if (format === undefined) expect(line).toContain("bpf_trace_printk");
        else expect(line).toBe(`<${process.pid}> ${mark} 7`);
        printed.length = 0;
        // What was printed meanwhile must not be taken for the next format's.
        while ((await b.trace_readline(true)) !== null);
      }
    } finally {
      log.mockRestore();
    }
  });

  test("trace_print refuses a format that names no field, before it prints", async () => {
    using b = printer(marker());
    await expect(b.trace_print("{9}")).rejects.toBeInstanceOf(UsageError);
  });

  test("closing ends trace_print and trace_readline that wait, and completes traceLines", async () => {
    const b = printer(marker());
    const lines = collect(b.traceLines());
    const printing = b.trace_print("{5}");
    const reading = b.trace_readline();
    b.close();
    await printing;
    expect(await reading).toSatisfy((line) => line === null || typeof line === "string");
    expect(lines.end).toBe("complete");
    expect([await b.trace_readline(), await b.trace_readline(true), await b.trace_fields()]).toEqual([
      null,
      null,
      null,
    ]);
  });

  test("an abort ends a trace_readline that waits", async () => {
    using b = printer(marker());
    const aborted = AbortSignal.abort();
    while ((await b.trace_readline(true)) !== null);
    expect(await b.trace_readline(false, { signal: aborted })).toBeNull();
  });

  test("two subscribers of traceLines get the same lines; with the last the pipe is closed", async () => {
    const mark = marker();
    using b = printer(mark);
    run(b, "f");
    const before = holdings();
    const mine = (lines: readonly { msg: string }[]): readonly string[] =>
      lines.map(({ msg }) => msg).filter((msg) => msg.startsWith(mark));
    {
      using first = collect(b.traceLines());
      using second = collect(b.traceLines());
      await eventually("both to get a line", () => {
        run(b, "f", 3);
        return mine(first.items).length > 0 && mine(second.items).length > 0;
      });
      expect(mine(first.items)).toEqual(mine(second.items));
      expect(holdings().descriptors.filter((name) => name.endsWith("trace_pipe"))).toHaveLength(1);
    }
    expect(holdings().descriptors.filter((name) => name.endsWith("trace_pipe"))).toEqual([]);
    expect(holdings().descriptors).toEqual(before.descriptors);
  });

  test("nothing is left open after close with readers", async () => {
    using warm = printer(marker());
    run(warm, "f");
    warm.close();
    const before = holdings();
    const b = printer(marker());
    const reading = b.trace_readline();
    const during = holdings();
    b.close();
    await reading;
    await expectReleased(before, during);
  });
});
