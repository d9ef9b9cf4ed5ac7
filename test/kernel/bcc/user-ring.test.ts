import { beforeEach, describe, expect, test } from "vitest";
import { isAtLeast } from "../../../framework/core/version.ts";
import { ClosedError, LayoutError, MapError } from "../../../framework/index.ts";
import { kernelVersion } from "../../../framework/sys/proc.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

/** A program that drains a ring of commands, and keeps their sum and number. */
const SOURCE = `
  struct command { u32 op; u32 pad; u64 amount; char name[16]; };
  BPF_TABLE("user_ringbuf", int, struct command, commands, 4096);
  BPF_ARRAY(totals, u64, 2);
  BPF_HASH(names, struct command, u64);

  static long take(struct bpf_dynptr *record, void *data) {
    struct command command = {};
    int first = 0, second = 1;
    if (bpf_dynptr_read(&command, sizeof(command), record, 0, 0)) return 0;
    u64 *sum = totals.lookup(&first), *count = totals.lookup(&second), one = 1;
    if (sum) __sync_fetch_and_add(sum, command.amount);
    if (count) __sync_fetch_and_add(count, 1);
    names.update(&command, &one);
    return 0;
  }

  int drain(${CTX}) { return commands.user_ringbuf_drain(take, NULL, 0); }`;

interface Command {
  readonly op: number;
  readonly amount: bigint;
  readonly name: string;
}

beforeEach((context) => {
  needsKernel(context);
  if (!isAtLeast(kernelVersion(), "6.1")) context.skip("user ring buffers need Linux 6.1");
});

describe("a user ring buffer", () => {
  test("brings typed records from this process to a program that drains them", () => {
    using b = open(SOURCE);
    const commands = b.get_table<never, Command>("commands");
    expect(commands.send({ op: 1, amount: 40n, name: "first" })).toBe(true);
    expect(commands.send({ op: 2, amount: 2n, name: "second" })).toBe(true);
    expect(commands.waiting).toBe(2 * 40);
    expect(run(b, "drain")).toBe(2);
    expect(commands.waiting).toBe(0);
    expect(b.get_table<number, bigint>("totals").values()).toEqual([42n, 2n]);
    const seen = [...b.get_table<Command, bigint>("names").keys()];
    expect(seen).toContainEqual({ op: 1, pad: 0, amount: 40n, name: "first" });
  });

  test("is full when nobody drains it, goes on afterwards, and around its end", () => {
    using b = open(SOURCE);
    const commands = b.get_table<never, Command>("commands");
    let sent = 0;
    for (let round = 0; round < 5; round++) {
      while (commands.send({ op: 1, amount: 1n, name: "n" })) sent++;
      run(b, "drain");
    }
    expect(sent).toBe(5 * Math.floor(4096 / 40));
    expect(b.get_table<number, bigint>("totals").values()).toEqual([BigInt(sent), BigInt(sent)]);
  });

  test("keeps a reserved record, and those behind it, from programs until it is submitted", () => {
    using b = open(SOURCE);
    const commands = b.get_table<never, Command>("commands");
    const first = commands.reserve()!;
    commands.send({ op: 2, amount: 2n, name: "behind" });
    run(b, "drain");
    expect(b.get_table<number, bigint>("totals").values()).toEqual([0n, 0n]);
    first.write({ op: 1, amount: 1n, name: "first" });
    first.submit();
    expect(run(b, "drain")).toBe(2);
    expect(b.get_table<number, bigint>("totals").values()).toEqual([3n, 2n]);
  });

  test("shows no program a discarded record", () => {
    using b = open(SOURCE);
    const commands = b.get_table<never, Command>("commands");
    {
      using record = commands.reserve()!;
      record.write({ op: 1, amount: 1n, name: "not sent" });
    }
    commands.send({ op: 2, amount: 2n, name: "sent" });
    run(b, "drain");
    expect(b.get_table<number, bigint>("totals").values()).toEqual([2n, 1n]);
    expect(commands.waiting).toBe(0);
  });

  test("takes bytes as they are, zeros behind them", () => {
    using b = open(SOURCE);
    const commands = b.get_table<never, Uint8Array>("commands");
    const record = commands.reserve(32)!;
    record.write(new Uint8Array([7]));
    record.submit();
    run(b, "drain");
    expect([...b.get_table<Command, bigint>("names").keys()]).toEqual([
      { op: 7, pad: 0, amount: 0n, name: "" },
    ]);
  });

  test("refuses values that do not fit, records that are done, and use after close", () => {
    const b = open(SOURCE);
    const commands = b.get_table<never, unknown>("commands");
    expect(() => commands.send({ op: -1, amount: 0n, name: "" })).toThrow(LayoutError);
    expect(() => commands.send({ opp: 1 })).toThrow(/opp/);
    expect(() => commands.send(new Uint8Array(5000))).toThrow(/5000 bytes/);
    expect(() => commands.reserve(0)).toThrow(LayoutError);
    expect(() => commands.reserve(8)!.write({ op: 1, amount: 1n, name: "" })).toThrow(LayoutError);
    const record = commands.reserve()!;
    record.submit();
    expect(() => record.write({})).toThrow(ClosedError);
    expect(() => record.submit()).toThrow(ClosedError);
    const kept = commands.reserve()!;
    b.close();
    kept.write({ op: 1, amount: 1n, name: "" });
    kept.submit();
    expect(() => commands.send({})).toThrow(ClosedError);
    expect(() => commands.waiting).toThrow(ClosedError);
  });

  test("of a size that is no power of two, or no whole page, is a MapError", () => {
    for (const size of ["12288", "100"]) {
      const error = failure(MapError, () => open(SOURCE.replace("4096", size)));
      expect(error.code).toBe("MAP_CREATE");
      expect(error.message).toContain("commands");
    }
  });
});
