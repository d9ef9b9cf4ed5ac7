import { rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { BPF } from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

describe("tail calls", () => {
  beforeEach((context) => needsKernel(context));

  test("call goes on in the program of the slot and does not come back; an empty slot comes back", () => {
    using b = open(`BPF_PROG_ARRAY(next, 4);
      int f(${CTX}) { next.call(ctx, ctx->args[0]); return 1; }
      int g(${CTX}) { return 2; }`);
    const next = b.get_table<number, number>("next");
    next.set(3, b.load_func("g", BPF.RAW_TRACEPOINT));
    expect([run(b, "f", 3), run(b, "f", 0), run(b, "f", 1000)]).toEqual([2, 1, 1]);
    next.delete(3);
    expect(run(b, "f", 3)).toBe(1);
  });

  test("a chain stops after 33 calls", () => {
    using b = open(`BPF_PROG_ARRAY(next, 1); BPF_ARRAY(runs, u64, 1);
      int f(${CTX}) { runs.increment(0); next.call(ctx, 0); return 7; }`);
    b.get_table<number, number>("next").set(0, b.load_func("f", BPF.RAW_TRACEPOINT));
    expect(run(b, "f")).toBe(7);
    // The program itself, and 33 times by a call (MAX_TAIL_CALL_CNT in include/linux/bpf.h).
    expect(b.get_table("runs").values()).toEqual([34n]);
  });

  test("the context reaches the called program", () => {
    using b = open(`BPF_PROG_ARRAY(next, 2);
      int f(${CTX}) { next.call(ctx, 1); return 0; }
      int g(${CTX}) { return ctx->args[2] + 1; }`);
    b.get_table<number, number>("next").set(1, b.load_func("g", BPF.RAW_TRACEPOINT));
    expect(run(b, "f", 0, 0, 41)).toBe(42);
  });

  test("dispatch by system call number, from an attached program", () => {
    using b = open(`BPF_PROG_ARRAY(calls, 500); BPF_ARRAY(counts, u64, 2);
      int f(${CTX}) {
        if ((bpf_get_current_pid_tgid() >> 32) != ${process.pid}) return 0;
        calls.call(ctx, (int)ctx->args[1]);
        counts.increment(0);
        return 0;
      }
      int g(${CTX}) { counts.increment(1); return 0; }`);
    b.get_table<number, number>("calls").set(84, b.load_func("g", BPF.RAW_TRACEPOINT)); // rmdir on x86-64
    b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "f" });
    expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
    b.detach_raw_tracepoint({ tp: "sys_enter" });
    const [others, rmdirs] = b.get_table<number, bigint>("counts").values();
    expect(rmdirs).toBe(1n);
    expect(others).toBeGreaterThan(0n);
  });
});
