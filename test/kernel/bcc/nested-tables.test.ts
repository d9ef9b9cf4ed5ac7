import { beforeEach, describe, expect, test } from "vitest";
import { LayoutError, MapError, NestedTable } from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const INNER = "BPF_HASH(one, u32, u64, 8); BPF_HASH(two, u32, u64, 8);";
/** Reads key 7 of the table in slot args[0]; -1 where the slot is empty, -2 where the key is. */
const READ = `int f(${CTX}) {
  int slot = ctx->args[0]; u32 key = 7;
  void *inner = outer.lookup(&slot);
  if (!inner) return -1;
  u64 *value = bpf_map_lookup_elem(inner, &key);
  return value ? *value : -2;
}`;

describe("tables of tables", () => {
  beforeEach((context) => needsKernel(context));

  test.each([
    ["an array", 'BPF_ARRAY_OF_MAPS(outer, "one", 4)'],
    ["a hash", 'BPF_HASH_OF_MAPS(outer, "one")'],
    ["a hash with a key type", 'BPF_HASH_OF_MAPS(outer, u32, "one")'],
    ["a hash with key type and size", 'BPF_HASH_OF_MAPS(outer, int, "one", 4)'],
    ["an array by BPF_TABLE", 'BPF_TABLE("array_of_maps$one", int, int, outer, 4)'],
    ["a hash by BPF_TABLE", 'BPF_TABLE("hash_of_maps$one", int, int, outer, 4)'],
  ])("%s gives programs the table that the host put into a slot", (_, declaration) => {
    using b = open(`${INNER} ${declaration}; ${READ}`);
    const outer = b.get_table<number>("outer");
    b.get_table<number, bigint>("one").set(7, 11n);
    b.get_table<number, bigint>("two").set(7, 22n);
    expect(run(b, "f", 1)).toBe(-1);
    outer.set(1, b.get_table("one"));
    outer.set(2, b.get_table("two").get_fd());
    expect([run(b, "f", 1), run(b, "f", 2), run(b, "f", 3)]).toEqual([11, 22, -1]);
    outer.set(1, b.get_table("two"));
    b.get_table<number, bigint>("two").delete(7);
    expect(run(b, "f", 1)).toBe(-2);
  });

  test("the inner table may be declared after the one that holds it", () => {
    using b = open(`BPF_ARRAY_OF_MAPS(outer, "one", 2); ${INNER} ${READ}`);
    b.get_table<number, bigint>("one").set(7, 5n);
    b.get_table<number>("outer").set(0, b.get_table("one"));
    expect(run(b, "f", 0)).toBe(5);
  });

  test.each(['BPF_ARRAY_OF_MAPS(outer, "one", 4)', 'BPF_HASH_OF_MAPS(outer, "one")'])(
    "%s reads as the ids of the tables inside, and slots can be emptied",
    (declaration) => {
      using b = open(`${INNER} ${declaration}; ${READ}`);
      const outer = b.get_table<number>("outer");
      const one = b.get_table("one");
      expect(outer).toBeInstanceOf(NestedTable);
      expect([outer.get(2), outer.size, outer.items()]).toEqual([undefined, 0, []]);
      outer.set(2, one);
      outer.set(3, b.get_table("two"));
      expect(outer.get(2)).toBe(one.id);
      expect(outer.items().sort()).toEqual([
        [2, one.id],
        [3, b.get_table("two").id],
      ]);
      expect([outer.delete(2), outer.get(2), [...outer.keys()]]).toEqual([true, undefined, [3]]);
      outer.clear();
      expect(outer.size).toBe(0);
    },
  );

  test("a slot takes only tables like the declared one", () => {
    using b = open(`${INNER} BPF_HASH(wide, u64, u64, 8); BPF_ARRAY_OF_MAPS(outer, "one", 4); ${READ}`);
    const outer = b.get_table<number>("outer");
    const error = failure(MapError, () => outer.set(0, b.get_table("wide")));
    expect(error.code).toBe("MAP_OPERATION");
    expect(error.message).toContain("outer");
    expect(error.hint).toContain("like");
    failure(LayoutError, () => outer.set(4, b.get_table("one")));
  });

  test("libbpf's definitions work, with tables in their slots from the start", () => {
    using b = open(
      `
      #include <bpf/bpf_helpers.h>
      struct inner { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); };
      struct inner one SEC(".maps"), two SEC(".maps");
      struct {
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 3); __type(key, __u32);
        __array(values, struct inner);
      } outer SEC(".maps") = { .values = { [0] = &one, [2] = &two } };
      SEC("raw_tp/none") int f(${CTX}) {
        __u32 slot = ctx->args[0], key = 7;
        void *inner = bpf_map_lookup_elem(&outer, &slot);
        if (!inner) return -1;
        __u64 *value = bpf_map_lookup_elem(inner, &key);
        return value ? *value : -2;
      }`.replace('SEC("raw_tp/none")', 'SEC("raw_tp")'),
    );
    const outer = b.get_table<number>("outer");
    expect(outer.items()).toEqual([
      [0, b.get_table("one").id],
      [2, b.get_table("two").id],
    ]);
    b.get_table<number, bigint>("two").set(7, 9n);
    expect([run(b, "f", 0), run(b, "f", 1), run(b, "f", 2)]).toEqual([-2, -1, 9]);
  });
});
