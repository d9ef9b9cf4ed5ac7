import { beforeEach, describe, expect, test } from "vitest";
import { type IndexedTable, LayoutError, UsageError } from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

describe("get_table with explicit types", () => {
  beforeEach((context) => needsKernel(context));

  test("reads keys and values as the given C names say", () => {
    using b = open("BPF_HASH(t, u64, u64, 8);");
    const plain = b.get_table<bigint, bigint>("t");
    plain.set(1n, 0x0000_6f6c_6c65_68n);
    const t = b.get_table<bigint, string>("t", { keytype: "s64", leaftype: "char[8]" });
    expect(t.items()).toEqual([[1n, "hello"]]);
    t.set(-1n, "world");
    expect(plain.has(2n ** 64n - 1n)).toBe(true);
    expect(b.get_table("t")).toBe(plain);
  });

  test("takes the source's own types by their names", () => {
    using b =
      open(`struct pair { u32 a; u32 b; }; typedef struct { u16 parts[4]; } quad; enum mode { OFF, ON = 5 };
      struct holder { struct pair pair; quad quad; enum mode mode; };
      BPF_HASH(t, u64, u64, 8); BPF_HASH(types, u32, struct holder, 1); BPF_HASH(modes, u32, u32, 8);`);
    const t = b.get_table<unknown, unknown>("t", { keytype: "struct pair", leaftype: "quad" });
    t.set({ a: 1, b: 2 }, { parts: [1, 2, 3, 4] });
    expect(b.get_table("t").items()).toEqual([[0x2_0000_0001n, 0x4_0003_0002_0001n]]);
    const modes = b.get_table<number, unknown>("modes", { leaftype: "enum mode" });
    modes.set(1, "ON");
    expect([modes.get(1), b.enumeration("mode").nameOf(5)]).toEqual([5, "ON"]);
  });

  test("folds the values of a per-CPU table by a reducer", () => {
    using b = open(`BPF_PERCPU_ARRAY(t, u32, 2); int f(${CTX}) { t.increment(1); return 0; }`);
    for (let i = 0; i < 3; i++) run(b, "f");
    const sums = b.get_table<number, number>("t", { reducer: (left: number, right: number) => left + right });
    expect([sums.get(1), sums.values()]).toEqual([3, [0, 3]]);
  });

  test("decodes an event table's records, when it is not open yet", () => {
    using b = open(`BPF_RINGBUF_OUTPUT(t, 1);
      int f(${CTX}) { u64 text = 0x6968; return t.ringbuf_output(&text, sizeof(text), 0); }`);
    const t = b.get_table<never, string>("t", { leaftype: "char[8]" });
    const got: string[] = [];
    t.open_ring_buffer((_, data) => got.push(t.event(data)));
    run(b, "f");
    b.ring_buffer_consume();
    expect(got).toEqual(["hi"]);
    expect(b.get_table("t")).toBe(t);
    expect(failure(UsageError, () => b.get_table("t", { leaftype: "u64" })).message).toContain(
      'get_table: "t" was opened before',
    );
  });

  test("refuses types of another size, unknown types and unknown options", () => {
    using b = open("BPF_ARRAY(t, u64, 2);");
    const get = (types: object): unknown => b.get_table("t", types) as unknown as IndexedTable<unknown>;
    expect(failure(LayoutError, () => get({ leaftype: "u32" })).message).toBe(
      'value of "t": the map has 8 bytes for it, and its type takes 4',
    );
    expect(failure(UsageError, () => get({ leaftype: "struct nowhere" })).message).toContain(
      "unknown type name",
    );
    expect(failure(UsageError, () => get({ leafType: "u32" })).hint).toContain("leaftype");
    expect(failure(UsageError, () => get({ leaftype: 4 })).message).toContain(
      '"leaftype" must be the C name',
    );
  });
});
