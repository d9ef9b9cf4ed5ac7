import { beforeEach, describe, expect, test } from "vitest";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { Random } from "../../unit/rewriter/random.ts";
import { open } from "./open.ts";
import { ENUMS, Names, type RecordSample, randomStruct } from "./random-types.ts";

/** Records in one source: each costs the verifier a little. */
const RECORDS = 12;

/** A program for each record, which gives the number of the first field of `written` that is not as clang has it, or 0. */
function sourceOf(records: readonly RecordSample[]): string {
  const parts = records.map((record, i) => {
    const checks = record.check(`written${i}`).map((check, n) => `if (!(${check})) return ${n + 1};`);
    return `${record.definitions}
      ${record.declare(`given${i}`)} = ${record.init};
      ${record.declare(`written${i}`)} = {};
      int check${i}(struct bpf_raw_tracepoint_args *ctx) { ${checks.join("\n")} return 0; }`;
  });
  return `${ENUMS}\n${parts.join("\n")}`;
}

describe("random types", () => {
  beforeEach((context) => needsKernel(context));

  test.each([1, 2, 3, 4, 5, 6])("decode and encode as clang lays them out (seed %i)", (seed) => {
    const random = new Random(seed);
    const names = new Names();
    const records = Array.from({ length: RECORDS }, () => randomStruct(random, names));
    using b = open(sourceOf(records));
    records.forEach(({ value, definitions }, i) => {
      const given = b.variable(`given${i}`).get();
      expect(given, definitions).toMatchObject(value as object);
      b.variable(`written${i}`).set(value);
      expect([i, run(b, `check${i}`)], definitions).toEqual([i, 0]);
      // All members of a union are read, and bytes of no field stay zero.
      expect(b.variable(`written${i}`).get(), definitions).toEqual(given);
    });
  });
});
