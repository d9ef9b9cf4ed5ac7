import { beforeEach, describe, expect, test } from "vitest";
import { MapError, RewriteError } from "../../../framework/index.ts";
import { collect, eventually, run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const ADD = `int f(${CTX}) { t.increment(ctx->args[0]); return 0; }`;

describe("tables for other objects of the process", () => {
  beforeEach((context) => needsKernel(context));

  test.each(["BPF_TABLE_PUBLIC", "BPF_TABLE_SHARED"])("%s lets an extern table be the same map", (macro) => {
    using owner = open(`${macro}("hash", u32, u64, t, 16); ${ADD}`);
    using user = open(`BPF_TABLE("extern", u32, u64, t, 16); ${ADD}`);
    run(owner, "f", 1);
    run(user, "f", 1);
    run(user, "f", 2);
    expect(owner.get_table("t").items().sort()).toEqual([
      [1, 2n],
      [2, 1n],
    ]);
    expect(user.get_table("t").get(1)).toBe(2n);
  });

  test("either side goes on working when the other one is closed", () => {
    using owner = open(`BPF_TABLE_PUBLIC("hash", u32, u64, t, 16); ${ADD}`);
    using first = open(`BPF_TABLE("extern", u32, u64, t, 16); ${ADD}`);
    using second = open(`BPF_TABLE("extern", u32, u64, t, 16); ${ADD}`);
    first.close();
    run(owner, "f", 5);
    owner.close();
    run(second, "f", 5);
    expect(second.get_table("t").get(5)).toBe(2n);
  });

  test("queues and stacks can be shared", () => {
    using owner =
      open(`BPF_QUEUESTACK_PUBLIC("queue", t, u32, 4, 0); BPF_QUEUESTACK_SHARED("stack", s, u32, 4, 0);
      int f(${CTX}) { u32 v = ctx->args[0]; return t.push(&v, 0) + s.push(&v, 0); }`);
    using user = open(`BPF_TABLE("extern", int, u32, t, 4); BPF_TABLE("extern", int, u32, s, 4);
      int f(${CTX}) { u32 v = 0; return t.pop(&v) ?: v; }`);
    run(owner, "f", 1);
    run(owner, "f", 2);
    expect(run(user, "f")).toBe(1);
    expect(user.get_table<never, number>("s").pop()).toBe(2);
  });

  test("a name that nobody offers is an error at the user's line, with near names", () => {
    using _ = open(`BPF_TABLE_PUBLIC("hash", u32, u64, counters, 16); int f(${CTX}) { return 0; }`);
    const text = `int before;\n  BPF_TABLE("extern", u32, u64, counter, 16);\nint f(${CTX}) { return 0; }`;
    const error = failure(RewriteError, () => open(text));
    expect(error.diagnostics[0]).toMatchObject({ code: "UNKNOWN_EXTERN", line: 2, column: 3 });
    expect(error.message).toContain('"counter"');
    expect(error.hint).toContain("counters");
  });

  test("a table whose object was closed is offered no longer", () => {
    open(`BPF_TABLE_PUBLIC("hash", u32, u64, t, 16); ${ADD}`).close();
    failure(RewriteError, () => open(`BPF_TABLE("extern", u32, u64, t, 16); ${ADD}`));
  });

  test("of two offers of one name the latest counts, and the earlier again when that one is closed", () => {
    using early = open(`BPF_TABLE_PUBLIC("hash", u32, u64, t, 16); ${ADD}`);
    using late = open(`BPF_TABLE_PUBLIC("hash", u32, u64, t, 16); ${ADD}`);
    const user = `BPF_TABLE("extern", u32, u64, t, 16); ${ADD}`;
    using first = open(user);
    expect(first.get_table("t").id).toBe(late.get_table("t").id);
    late.close();
    using second = open(user);
    expect(second.get_table("t").id).toBe(early.get_table("t").id);
  });

  test("other sizes than the public table's are an error with both sides", () => {
    using _ = open(`BPF_TABLE_PUBLIC("hash", u32, u64, t, 16); ${ADD}`);
    const error = failure(MapError, () => open(`BPF_TABLE("extern", u64, u32, t, 16); ${ADD}`));
    expect(error.code).toBe("MAP_MISMATCH");
    expect(error.message).toMatch(/8-byte keys and 4-byte values.*4-byte keys and 8-byte values/);
  });

  test("what another object's programs could not write into a ring buffer is counted where it is read", async () => {
    using reader = open(`struct event { u64 n; }; BPF_TABLE_PUBLIC("ringbuf", int, int, out, 4096);
      int f(${CTX}) { struct event e = { .n = 1 }; return out.ringbuf_output(&e, sizeof(e), 0); }`);
    using writer = open(`struct event { u64 n; }; BPF_TABLE("extern", int, int, out, 4096);
      int f(${CTX}) {
        for (int i = 0; i < 300; i++) { struct event e = { .n = i }; out.ringbuf_output(&e, sizeof(e), 0); }
        return 0;
      }`);
    const out = reader.get_table<never, { n: bigint }>("out");
    using events = collect(out.events());
    run(writer, "f");
    await eventually("every record", () => events.items.length + out.lostTotal === 300);
    expect(out.lostTotal).toBeGreaterThan(0);
  });

  test("objects that read one ring buffer by turns get each record once", async () => {
    using first = open(`struct event { u64 n; }; BPF_TABLE_PUBLIC("ringbuf", int, int, out, 4096);
      int f(${CTX}) { struct event e = { .n = ctx->args[0] }; return out.ringbuf_output(&e, sizeof(e), 0); }`);
    using second = open(`struct event { u64 n; }; BPF_TABLE("extern", int, int, out, 4096);
      int f(${CTX}) { struct event e = { .n = ctx->args[0] }; return out.ringbuf_output(&e, sizeof(e), 0); }`);
    const got: string[] = [];
    for (const [turn, b] of [first, second, first, second].entries()) {
      const out = b.get_table<never, { n: bigint }>("out");
      using events = collect(out.events());
      run(b, "f", turn);
      await eventually("the record", () => events.items.length > 0);
      got.push(events.items.map(({ n }) => n).join());
    }
    expect(got).toEqual(["0", "1", "2", "3"]);
  });
});
