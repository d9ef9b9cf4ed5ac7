import { beforeEach, describe, expect, test } from "vitest";
import { BPF, type Change } from "../../../framework/index.ts";
import { collect, eventually, run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

describe("snapshots and changes", () => {
  beforeEach((context) => needsKernel(context));

  test("snapshots give the whole table at once and then every period", async () => {
    using b = open(`BPF_HASH(t, u32, u64); int f(${CTX}) { t.increment(ctx->args[0]); return 0; }`);
    run(b, "f", 1);
    using snapshots = collect(b.get_table<number, bigint>("t").snapshots(10));
    await eventually("a first snapshot", () => snapshots.items.length > 0);
    expect([...snapshots.items[0]!]).toEqual([[1, 1n]]);
    run(b, "f", 1);
    run(b, "f", 2);
    await eventually("a snapshot with both", () => snapshots.items.at(-1)?.size === 2);
    expect([...snapshots.items.at(-1)!].sort()).toEqual([
      [1, 2n],
      [2, 1n],
    ]);
    expect([...snapshots.items[0]!]).toEqual([[1, 1n]]);
  });

  test("a snapshot finds keys that are structs by their contents", async () => {
    using b = open(`struct key { u32 a; u32 b; }; BPF_HASH(t, struct key, u64);
      int f(${CTX}) { struct key key = { 1, 2 }; t.increment(key); return 0; }`);
    run(b, "f");
    using snapshots = collect(b.get_table<{ a: number; b: number }, bigint>("t").snapshots(10));
    const first = await eventually("a snapshot", () => snapshots.items[0]);
    expect([first.get({ a: 1, b: 2 }), first.has({ a: 2, b: 1 })]).toEqual([1n, false]);
  });

  test("changes report what was set, with what was there before, and what was deleted", async () => {
    using b = open(`BPF_HASH(t, u32, u64);
      int f(${CTX}) { t.increment(ctx->args[0]); return 0; }
      int remove(${CTX}) { u32 key = ctx->args[0]; t.delete(&key); return 0; }`);
    run(b, "f", 1);
    using changes = collect(b.get_table<number, bigint>("t").changes(5));
    const reported = async (count: number): Promise<readonly Change<number, bigint>[]> => {
      await eventually(`${count} changes`, () => changes.items.length >= count);
      return changes.items;
    };
    await reported(1);
    run(b, "f", 1);
    await reported(2);
    run(b, "remove", 1);
    expect(await reported(3)).toEqual([
      { type: "set", key: 1, value: 1n, previous: undefined },
      { type: "set", key: 1, value: 2n, previous: 1n },
      { type: "delete", key: 1, value: undefined, previous: 2n },
    ]);
  });

  test("changes of a prog array show which slot got which program", async () => {
    using b = open(`BPF_PROG_ARRAY(t, 4); int f(void *ctx) { return 1; } int g(void *ctx) { return 2; }`);
    const [f, g] = [b.load_func("f", BPF.RAW_TRACEPOINT), b.load_func("g", BPF.RAW_TRACEPOINT)];
    const t = b.get_table<number, number>("t");
    t.set(1, f);
    using changes = collect(t.changes(5));
    const wait = (count: number) => eventually(`${count} changes`, () => changes.items.length >= count);
    await wait(1);
    t.set(1, g);
    await wait(2);
    t.delete(1);
    await wait(3);
    expect(changes.items).toEqual([
      { type: "set", key: 1, value: f.program.id, previous: undefined },
      { type: "set", key: 1, value: g.program.id, previous: f.program.id },
      { type: "delete", key: 1, value: undefined, previous: g.program.id },
    ]);
  });

  test("an array's changes report only slots that differ, after the first look", async () => {
    using b = open(`BPF_ARRAY(t, u32, 3); int f(${CTX}) { t.increment(ctx->args[0]); return 0; }`);
    using changes = collect(b.get_table<number, number>("t").changes(5));
    await eventually("the first look", () => changes.items.length >= 3);
    run(b, "f", 2);
    await eventually("the change", () => changes.items.length >= 4);
    expect(changes.items.slice(3)).toEqual([{ type: "set", key: 2, value: 1, previous: 0 }]);
  });

  test("closing completes every stream", () => {
    const b = open("BPF_HASH(t); int f(void *ctx) { return 0; }");
    const t = b.get_table("t");
    const streams = [t.snapshots(1000), t.changes(1000), t.snapshots(2000), t.changes(2000)].map((s) =>
      collect<unknown>(s),
    );
    b.close();
    expect(streams.map(({ end }) => end)).toEqual(["complete", "complete", "complete", "complete"]);
  });
});
