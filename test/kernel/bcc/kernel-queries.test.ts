import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { BPF } from "../../../framework/index.ts";
import { kernelBtf } from "../../../framework/kernel/environment.ts";
import { BCC_PYTHON } from "../../support/bcc-headers.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

test.for([
  ["task_struct", "pid", 1],
  ["task_struct", "no_such_field", 0],
  ["no_such_struct", "pid", -1],
  // Inside of an anonymous union of page's anonymous struct.
  ["page", "mapping", 1],
  // Of a struct inside, which has a name.
  ["sock", "skc_family", 0],
] as const)("BPF.kernel_struct_has_field(%s, %s) is %i, as in BCC", ([struct, field, answer], context) => {
  if (kernelBtf() === null) return context.skip("the kernel has no types");
  expect(BPF.kernel_struct_has_field(struct, field)).toBe(answer);
  const script = `from bcc import BPF; print(BPF.kernel_struct_has_field(b"${struct}", b"${field}"))`;
  if (!existsSync(BCC_PYTHON)) return;
  const bcc = spawnSync(BCC_PYTHON, ["-c", script], { encoding: "utf8" });
  if (bcc.status === 0) expect(Number(bcc.stdout)).toBe(answer);
});

test("BPF.kernel_struct_has_field knows unions too", (context) => {
  if (kernelBtf() === null) return context.skip("the kernel has no types");
  expect(BPF.kernel_struct_has_field("bpf_attr", "map_type")).toBe(1);
  expect(BPF.kernel_struct_has_field("bpf_attr", "no_such_field")).toBe(0);
});

test("BPF.kernel_enum_has_val tells of enumerators", (context) => {
  if (kernelBtf() === null) return context.skip("the kernel has no types");
  expect(BPF.kernel_enum_has_val("bpf_map_type", "BPF_MAP_TYPE_HASH")).toBe(1);
  expect(BPF.kernel_enum_has_val("bpf_map_type", "BPF_PROG_TYPE_XDP")).toBe(0);
  expect(BPF.kernel_enum_has_val("no_such_enum", "BPF_MAP_TYPE_HASH")).toBe(-1);
});

test("BPF.monotonic_time is the clock of bpf_ktime_get_ns", (context) => {
  needsKernel(context);
  using b = open(`BPF_ARRAY(seen, u64, 1);
    int f(struct bpf_raw_tracepoint_args *ctx) { int zero = 0; u64 now = bpf_ktime_get_ns(); seen.update(&zero, &now); return 0; }`);
  const before = BPF.monotonic_time();
  run(b, "f");
  const inside = b.get_table<number, bigint>("seen").get(0)!;
  expect(inside).toBeGreaterThan(before);
  expect(inside).toBeLessThan(BPF.monotonic_time());
});

test("functions are found by name with their addresses, and programs on PATH", () => {
  const found = BPF.get_user_functions_and_addresses("c", "opendir");
  expect(BPF.get_user_functions("c", "opendir")).toEqual(found.map(([name]) => name));
  expect(BPF.get_user_addresses("c", "opendir")).toEqual(found.map(([, address]) => address));
  expect(found.length).toBeGreaterThan(0);
  expect(found.every(([, address]) => address > 0)).toBe(true);
  expect(BPF.find_exe("sh")).toMatch(/\/sh$/);
  expect(BPF.find_exe("no such program")).toBeUndefined();
});

test("kprobe_poll is perf_buffer_poll", async (context) => {
  needsKernel(context);
  using b = open(`BPF_PERF_OUTPUT(out);
    int f(struct bpf_raw_tracepoint_args *ctx) { u64 n = ctx->args[0]; return out.perf_submit(ctx, &n, sizeof(n)); }`);
  const out = b.get_table<never, bigint>("out");
  const got: bigint[] = [];
  out.open_perf_buffer((_cpu, data) => got.push(out.event(data)));
  run(b, "f", 4);
  expect(await b.kprobe_poll(1000)).toBe(1);
  expect(got).toEqual([4n]);
});
