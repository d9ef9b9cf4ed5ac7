import { readdirSync, rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { AttachError, BPF, ClosedError, RewriteError, UsageError } from "../../../framework/index.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const OWN = `((u32)(bpf_get_current_pid_tgid() >> 32) == ${process.pid})`;
/** Two functions that count this process's calls of rmdir, at their tracepoint or at sys_enter. */
const COUNTING = `
  BPF_ARRAY(counts, u64, 2);
  int f(void *ctx) { if (${OWN}) counts.increment(0); return 0; }
  int g(void *ctx) { if (${OWN}) counts.increment(1); return 0; }`;
const RMDIR = "syscalls:sys_enter_rmdir";

function rmdirInVain(): void {
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
}

/** How often f and g ran during one call of rmdir. */
function runs(b: BPF): readonly bigint[] {
  const counts = b.get_table<number, bigint>("counts");
  counts.clear();
  rmdirInVain();
  return counts.values();
}

describe("tracepoints", () => {
  beforeEach((context) => needsKernel(context));

  test("attach_tracepoint runs a function there until detach_tracepoint", () => {
    using b = open(COUNTING);
    expect(runs(b)).toEqual([0n, 0n]);
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    expect(runs(b)).toEqual([1n, 0n]);
    b.detach_tracepoint({ tp: RMDIR });
    expect(runs(b)).toEqual([0n, 0n]);
  });

  test("two functions at one tracepoint both run, and detach_tracepoint takes both off", () => {
    using b = open(COUNTING);
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    b.attach_tracepoint({ tp: RMDIR, fn_name: "g" });
    expect(b.num_open_tracepoints()).toBe(1);
    expect(runs(b)).toEqual([1n, 1n]);
    b.detach_tracepoint({ tp: RMDIR });
    expect(runs(b)).toEqual([0n, 0n]);
    expect(b.num_open_tracepoints()).toBe(0);
  });

  test("attaching a function twice to one target is refused, and the first stays", () => {
    using b = open(COUNTING);
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    const error = failure(AttachError, () => b.attach_tracepoint({ tp: RMDIR, fn_name: "f" }));
    expect(error.message).toBe(`"f" is attached to tracepoint ${RMDIR} already`);
    expect(runs(b)).toEqual([1n, 0n]);
  });

  test("a function attaches again after it was detached", () => {
    using b = open(COUNTING);
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    b.detach_tracepoint({ tp: RMDIR });
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    expect(runs(b)).toEqual([1n, 0n]);
  });

  test("detaching what is not attached is an error", () => {
    using b = open(COUNTING);
    const error = failure(AttachError, () => b.detach_tracepoint({ tp: RMDIR }));
    expect(error.message).toBe(`nothing is attached to tracepoint ${RMDIR}`);
    expect(error.code).toBe("ATTACH");
  });

  test("a link detaches when it is disposed; a second time does nothing", () => {
    using b = open(COUNTING);
    const link = b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    link[Symbol.dispose]();
    link[Symbol.dispose]();
    expect(runs(b)).toEqual([0n, 0n]);
  });

  test("a function whose link was disposed attaches again, and counts as detached", () => {
    using b = open(COUNTING);
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" })[Symbol.dispose]();
    expect(b.num_open_tracepoints()).toBe(0);
    failure(AttachError, () => b.detach_tracepoint({ tp: RMDIR }));
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    expect(runs(b)).toEqual([1n, 0n]);
  });

  test("an unknown tracepoint is an error with near names", () => {
    using b = open(COUNTING);
    const error = failure(AttachError, () =>
      b.attach_tracepoint({ tp: "syscalls:sys_enter_rmdri", fn_name: "f" }),
    );
    expect(error.message).toBe(
      'cannot attach "f" to tracepoint syscalls:sys_enter_rmdri: no such tracepoint',
    );
    expect(error.hint).toMatch(/^did you mean .*sys_enter_rmdir/);
  });

  test("TRACEPOINT_PROBE of an unknown tracepoint points at it in the source", () => {
    const error = failure(RewriteError, () =>
      open("TRACEPOINT_PROBE(sched, sched_proces_exec) { return 0; }"),
    );
    expect(error.message).toBe(
      [
        "main.c:1:1: error: this kernel has no tracepoint sched:sched_proces_exec",
        "  TRACEPOINT_PROBE(sched, sched_proces_exec) { return 0; }",
        "  ^",
        `  hint: ${error.diagnostics[0]?.hint}`,
      ].join("\n"),
    );
    expect(error.diagnostics[0]?.hint).toContain("sched_process_exec");
  });

  test.each(["sched", "sched:", ":sched_switch", "a:b:c", ""])('"%s" is no tracepoint\'s name', (tp) => {
    using b = open(COUNTING);
    const error = failure(UsageError, () => b.attach_tracepoint({ tp, fn_name: "f" }));
    expect(error.hint).toBe('write "category:event", as in "sched:sched_switch"');
  });

  test("an unknown function is an error with near names", () => {
    using b = open("int hello_world(void *ctx) { return 0; }");
    const error = failure(UsageError, () => b.attach_tracepoint({ tp: RMDIR, fn_name: "helo_world" }));
    expect(error.message).toBe('the source has no program function "helo_world"');
    expect(error.hint).toBe("did you mean hello_world?");
  });
});

describe("raw tracepoints", () => {
  beforeEach((context) => needsKernel(context, "raw_tracepoint"));

  test("attach_raw_tracepoint runs a function there until detach_raw_tracepoint", () => {
    using b = open(COUNTING);
    b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "f" });
    expect(runs(b)[0]).toBeGreaterThanOrEqual(1n);
    b.detach_raw_tracepoint({ tp: "sys_enter" });
    expect(runs(b)).toEqual([0n, 0n]);
  });

  test("attaching twice, and detaching what is not attached, are errors", () => {
    using b = open(COUNTING);
    b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "f" });
    const twice = failure(AttachError, () => b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "f" }));
    expect(twice.message).toBe('"f" is attached to raw tracepoint sys_enter already');
    const other = failure(AttachError, () => b.detach_raw_tracepoint({ tp: "sys_exit" }));
    expect(other.message).toBe("nothing is attached to raw tracepoint sys_exit");
  });

  test("an unknown raw tracepoint is an error with near names", () => {
    using b = open(COUNTING);
    const error = failure(AttachError, () => b.attach_raw_tracepoint({ tp: "sched_swich", fn_name: "f" }));
    expect(error.message).toBe('cannot attach "f" to raw tracepoint sched_swich: no such tracepoint');
    expect(error.hint).toContain("sched_switch");
  });
});

describe("tracepoints of modules", () => {
  beforeEach((context) => {
    needsKernel(context, "tracepoint", "raw_tracepoint");
    // The guests' files come over 9P, whose client is a module there.
    if (BPF.get_tracepoints("9p:9p_client_req").length === 0) context.skip("no module here has tracepoints");
  });

  test("run functions, by name and raw, until they are detached", () => {
    using b = open(`
      BPF_HASH(counts, u32, u64);
      int f(void *ctx) { if (${OWN}) counts.increment(1); return 0; }
      int g(void *ctx) { if (${OWN}) counts.increment(2); return 0; }`);
    expect(BPF.support_raw_tracepoint_in_module()).toBe(true);
    const counts = b.get_table<number, bigint>("counts");
    const request = (): readonly (bigint | undefined)[] => {
      counts.clear();
      // Nothing of this file system is kept in memory, so looking at it is a request.
      readdirSync("/run/rxbpf");
      return [counts.get(1), counts.get(2)];
    };
    b.attach_tracepoint({ tp: "9p:9p_client_req", fn_name: "f" });
    b.attach_raw_tracepoint({ tp: "9p_client_req", fn_name: "g" });
    const [named = 0n, raw] = request();
    expect(named).toBeGreaterThan(0n);
    expect(raw).toBe(named);
    b.detach_tracepoint({ tp: "9p:9p_client_req" });
    b.detach_raw_tracepoint({ tp: "9p_client_req" });
    expect(request()).toEqual([undefined, undefined]);
  });
});

describe("after close", () => {
  beforeEach((context) => needsKernel(context));

  test("nothing runs, and using the object is a ClosedError", () => {
    const other = open(COUNTING);
    const b = open(COUNTING);
    b.attach_tracepoint({ tp: RMDIR, fn_name: "f" });
    const counts = b.get_table("counts");
    b.close();
    b.close();
    expect(runs(other)).toEqual([0n, 0n]);
    other.cleanup();
    const uses = [
      () => b.attach_tracepoint({ tp: RMDIR, fn_name: "f" }),
      () => b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "g" }),
      () => b.load_func("f", 17),
      () => b.get_table("counts"),
      () => b.variable("x"),
      () => counts.items(),
      () => counts.get(0),
      () => b.perf_buffer_consume(),
      () => b.ring_buffer_consume(),
    ];
    for (const use of uses) expect(failure(ClosedError, use).code).toBe("CLOSED");
  });

  test("a table's error names the table", () => {
    const b = open(COUNTING);
    const counts = b.get_table("counts");
    b.close();
    expect(failure(ClosedError, () => counts.get(0)).message).toBe(
      'table "counts" was closed with its BPF object',
    );
  });
});
