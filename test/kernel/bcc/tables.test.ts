import { beforeEach, describe, expect, test } from "vitest";
import { KeyedTable, ProgramTable } from "../../../framework/index.ts";
import { possibleCpus } from "../../../framework/sys/proc.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";
import { LayoutError } from "../../../framework/index.ts";

const RAW = "struct bpf_raw_tracepoint_args *ctx";

describe("tables that macros declare", () => {
  beforeEach((context) => needsKernel(context));

  test("BPF_HASH(name) has u64 keys and values and 10240 entries", () => {
    using b = open(`BPF_HASH(counts);
      int f(${RAW}) { u64 key = ctx->args[0], value = ctx->args[1]; counts.update(&key, &value); return 0; }`);
    run(b, "f", 2n ** 63n, 7);
    const counts = b.get_table<bigint, bigint>("counts");
    expect(counts.items()).toEqual([[2n ** 63n, 7n]]);
    expect(counts.max_entries).toBe(10240);
    expect(counts.kind).toBe("hash");
  });
});
