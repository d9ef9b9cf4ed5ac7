import { Subject, throwError } from "rxjs";
import { describe, expect, test } from "vitest";
import {
  lineFormat,
  parseTraceLine,
  type TraceLine,
  TracePipe,
  traceFields,
} from "../../../framework/bcc/trace.ts";
import { UsageError } from "../../../framework/core/errors.ts";

const line = (text: string): TraceLine | undefined => parseTraceLine(text);

describe("lines of the trace pipe", () => {
  test.each<[string, string, TraceLine]>([
    [
      "today's form",
      "            node-30516   [001] ...2.  3760.162211: bpf_trace_printk: Hello World",
      { task: "node", pid: 30_516, cpu: 1, flags: "...2.", ts: 3760.162211, msg: "Hello World" },
    ],
    [
      "the form with an instruction's address and the marker",
      "            bash-5412    [001] .... 90432.904952: 0: bpf_trace_printk: Hello World",
      { task: "bash", pid: 5412, cpu: 1, flags: "....", ts: 90_432.904952, msg: "Hello World" },
    ],
    [
      "the form before Linux 5.9, without the marker",
      "            bash-5412    [001] .... 90432.904952: 0: Hello World",
      { task: "bash", pid: 5412, cpu: 1, flags: "....", ts: 90_432.904952, msg: "Hello World" },
    ],
    [
      "the oldest form, with a hexadecimal address",
      "            bash-5412    [000] d... 90432.904952: 0x00000001: Hello World",
      { task: "bash", pid: 5412, cpu: 0, flags: "d...", ts: 90_432.904952, msg: "Hello World" },
    ],
    [
      "the form with an empty address",
      "            bash-5412    [000] d... 90432.904952: : Hello World",
      { task: "bash", pid: 5412, cpu: 0, flags: "d...", ts: 90_432.904952, msg: "Hello World" },
    ],
    [
      "in a soft interrupt, outside of any process",
      "          <idle>-0       [003] d.s.. 655370.944105: bpf_trace_printk: Hello World 4531",
      { task: "<idle>", pid: 0, cpu: 3, flags: "d.s..", ts: 655_370.944105, msg: "Hello World 4531" },
    ],
    [
      "seven flags",
      "           <...>-77      [012] d.h1.11    12.000001: bpf_trace_printk: x",
      { task: "<...>", pid: 77, cpu: 12, flags: "d.h1.11", ts: 12.000001, msg: "x" },
    ],
    [
      "with the thread group shown",
      "            node-30517   (  30516) [001] ...21  3760.162211: bpf_trace_printk: x",
      { task: "node", pid: 30_517, cpu: 1, flags: "...21", ts: 3760.162211, msg: "x" },
    ],
    [
      "with an unknown thread group",
      "            node-30517   (-------) [001] ...21  3760.162211: bpf_trace_printk: x",
      { task: "node", pid: 30_517, cpu: 1, flags: "...21", ts: 3760.162211, msg: "x" },
    ],
    [
      "a name with hyphens, spaces, brackets and colons",
      "  a-1 [002] b: 3-42      [001] ....     5.500000: bpf_trace_printk: x",
      { task: "a-1 [002] b: 3", pid: 42, cpu: 1, flags: "....", ts: 5.5, msg: "x" },
    ],
    [
      "a name of full length",
      "kworker/u16:0-ev-9       [001] ....     5.500000: bpf_trace_printk: x",
      { task: "kworker/u16:0-ev", pid: 9, cpu: 1, flags: "....", ts: 5.5, msg: "x" },
    ],
    [
      "an empty message",
      "            node-1       [001] ....     5.500000: bpf_trace_printk: ",
      { task: "node", pid: 1, cpu: 1, flags: "....", ts: 5.5, msg: "" },
    ],
    [
      "a message that looks like a line",
      "            node-1       [001] ....     5.500000: bpf_trace_printk: sh-2 [000] .... 1.0: bpf_trace_printk: y",
      {
        task: "node",
        pid: 1,
        cpu: 1,
        flags: "....",
        ts: 5.5,
        msg: "sh-2 [000] .... 1.0: bpf_trace_printk: y",
      },
    ],
    [
      "a message that begins with a number and a colon, behind the marker",
      "            node-1       [001] ....     5.500000: bpf_trace_printk: 0: zero",
      { task: "node", pid: 1, cpu: 1, flags: "....", ts: 5.5, msg: "0: zero" },
    ],
  ])("%s", (_, text, expected) => {
    expect(line(text)).toEqual(expected);
  });

  test.each([
    ["a report of lost events", "CPU:1 [LOST 23 EVENTS]"],
    ["an empty line", ""],
    ["another tracer's line", "# tracer: nop"],
    ["half a line", "            node-30516   [001] ...2."],
  ])("%s is none that a program printed", (_, text) => {
    expect(line(text)).toBeUndefined();
  });

  test("traceFields has BCC's order", () => {
    const parsed = line("            node-7       [001] ...2.     1.500000: bpf_trace_printk: hi")!;
    expect(traceFields(parsed)).toEqual(["node", 7, 1, "...2.", 1.5, "hi"]);
  });
});

describe("trace_print's format", () => {
  const fields = ["node", 7, 1, "...2.", 1.5, "hi"] as const;

  test.each([
    ["{0} {1} {2} {3} {4} {5}", "node 7 1 ...2. 1.5 hi"],
    ["{5}{5}", "hihi"],
    ["{} {}", "node 7"],
    ["no fields", "no fields"],
    ["{{0}} {0}", "{0} node"],
    ["{{{0}}}", "{node}"],
  ])("%s", (format, expected) => {
    expect(lineFormat(format)(fields)).toBe(expected);
  });

  test.each(["{6}", "{-1}", "{task}", "{1:5}", "{", "}", "a { b", "{} {} {} {} {} {} {}"])(
    "%s names no field, and is refused",
    (format) => {
      expect(() => lineFormat(format)).toThrow(UsageError);
    },
  );
});

describe("the trace pipe's queue", () => {
  /** A pipe whose lines the test writes; `readers` counts how often it is open. */
  function madePipe(): {
    readonly pipe: TracePipe;
    readonly source: Subject<string>;
    readonly readers: () => number;
  } {
    const source = new Subject<string>();
    const pipe = new TracePipe(() => source);
    return { pipe, source, readers: () => (source.observed ? 1 : 0) };
  }
  const waiting = { nonblocking: false } as const;

  test("is opened with the first reader", async () => {
    const { pipe, source, readers } = madePipe();
    expect(readers()).toBe(0);
    const line = pipe.next(waiting);
    expect(readers()).toBe(1);
    source.next("one");
    expect(await line).toBe("one");
  });

  test("gives lines in their order, to readers in theirs", async () => {
    const { pipe, source } = madePipe();
    const early = [pipe.next(waiting), pipe.next(waiting)];
    for (const line of ["a", "b", "c"]) source.next(line);
    expect(await Promise.all([...early, pipe.next(waiting)])).toEqual(["a", "b", "c"]);
  });

  test("gives undefined at once when it must not wait", async () => {
    const { pipe } = madePipe();
    expect(await pipe.next({ nonblocking: true })).toBeUndefined();
  });

  test("a reader that gives up takes no line", async () => {
    const { pipe, source } = madePipe();
    const stop = new AbortController();
    const first = pipe.next({ ...waiting, signal: stop.signal });
    const second = pipe.next(waiting);
    stop.abort();
    source.next("for the second");
    expect([await first, await second]).toEqual([undefined, "for the second"]);
  });

  test("an aborted signal gives undefined, but a waiting line goes first", async () => {
    const { pipe, source } = madePipe();
    const aborted = { ...waiting, signal: AbortSignal.abort() };
    expect(await pipe.next(aborted)).toBeUndefined();
    source.next("there");
    expect(await pipe.next(aborted)).toBe("there");
  });

  test("closing ends readers that wait, and later ones", async () => {
    const { pipe, readers } = madePipe();
    const line = pipe.next(waiting);
    pipe[Symbol.dispose]();
    expect([await line, await pipe.next(waiting), readers()]).toEqual([undefined, undefined, 0]);
  });

  test("stops reading while thousands of lines wait, and goes on when they were taken", async () => {
    const { pipe, source, readers } = madePipe();
    await pipe.next({ nonblocking: true });
    for (let i = 0; i < 5000; i++) source.next(`${i}`);
    await new Promise((resolve) => setImmediate(resolve));
    expect(readers()).toBe(0);
    for (let i = 0; i < 5000; i++) expect(await pipe.next(waiting)).toBe(`${i}`);
    const next = pipe.next(waiting);
    expect(readers()).toBe(1);
    source.next("more");
    expect(await next).toBe("more");
  });

  test("a pipe that cannot be opened rejects its readers, and is tried again", async () => {
    let tries = 0;
    const pipe = new TracePipe(() => throwError(() => new UsageError(`try ${++tries}`)));
    await expect(pipe.next(waiting)).rejects.toThrow("try 1");
    await expect(pipe.next({ nonblocking: true })).rejects.toThrow("try 2");
  });

  test("a pipe that fails while a reader waits rejects that reader", async () => {
    const { pipe, source } = madePipe();
    const line = pipe.next(waiting);
    source.error(new UsageError("broken"));
    await expect(line).rejects.toThrow("broken");
  });
});
