import { expect, test } from "vitest";
import { LayoutError } from "../../../framework/core/errors.ts";
import { histogramText, jsonHistogram, linearHistogram, log2Histogram } from "../../../maps/histogram.ts";
import { printedByBcc, sectionsByBcc } from "./bcc-histograms.ts";

function slotsOf(counts: Readonly<Record<number, number>>, length: number): number[] {
  return Array.from({ length }, (_, slot) => counts[slot] ?? 0);
}

/** As Python's print leaves it: each text ends its line, nothing prints nothing. */
function printed(text: string): string {
  return text === "" ? "" : `${text}\n`;
}

test.each(printedByBcc)("$name is BCC's text, byte for byte", ({ form, slots, type, strip, text }) => {
  const draw = form === "log2" ? log2Histogram : linearHistogram;
  expect(printed(draw(slotsOf(slots, 65), type, strip))).toBe(text);
});

test("slots beyond the given ones count as empty, and bigint counts print as numbers do", () => {
  const counts = [0n, 3n, 5n, 11n, 0n, 40n, 1n];
  expect(printed(log2Histogram(counts, "usecs"))).toBe(printedByBcc[0]!.text);
});

test("the last slot of a log2 histogram ends at 2^64 - 1", () => {
  const last = log2Histogram(slotsOf({ 64: 2 }, 65), "nsecs")
    .split("\n")
    .at(-1);
  expect(last).toBe(" 9223372036854775808 -> 18446744073709551615 : 2        |********************|");
});

const disks = [
  [{ disk: "sda", slot: 3n }, 4n],
  [{ disk: 'vd"a', slot: 2n }, 5n],
  [{ disk: "sda", slot: 5n }, 2n],
  [{ disk: "it's", slot: 1n }, 1n],
] as const;

const pids = [
  [{ pid: 12, __pad_1: new Uint8Array(4), slot: 3n }, 4n],
  [{ pid: 7, __pad_1: new Uint8Array(4), slot: 0n }, 5n],
  [{ pid: 13, __pad_1: new Uint8Array(4), slot: 4n }, 5n],
] as const;

test("struct keys make one section per first field, headed as Python prints bytes", () => {
  const text = histogramText(disks, "log2", { val_type: "usecs", section_header: "disk" });
  expect(printed(text)).toBe(sectionsByBcc.plain);
});

test("section_print_fn prints the buckets", () => {
  const options = { val_type: "usecs", section_header: "disk", section_print_fn: (disk: string) => disk };
  expect(printed(histogramText(disks, "log2", options))).toBe(sectionsByBcc.printed);
});

test("bucket_sort_fn orders the sections, in a linear histogram too", () => {
  const text = histogramText(disks, "linear", {
    val_type: "usecs",
    section_header: "disk",
    section_print_fn: (disk: string) => disk,
    strip_leading_zero: true,
    bucket_sort_fn: (buckets: string[]) => buckets.sort(),
  });
  expect(printed(text)).toBe(sectionsByBcc.sortedLinear);
});

test("padding between bucket and slot is passed over, and a section without counts has only its head", () => {
  expect(printed(histogramText(pids, "log2", {}))).toBe(sectionsByBcc.padded);
});

test("bucket_fn makes the buckets, and keys of one bucket share a section", () => {
  const text = histogramText(pids, "log2", { bucket_fn: (pid: number) => Math.floor(pid / 10) });
  expect(printed(text)).toBe(sectionsByBcc.bucketed);
});

test("a bucket of several fields prints as a tuple", () => {
  const text = histogramText(pids, "log2", { bucket_fn: (pid: number) => [Math.floor(pid / 10), pid % 10] });
  expect(printed(text)).toBe(sectionsByBcc.tuples);
});

test("per-CPU counts are summed", () => {
  const text = histogramText(
    [
      [1, [2n, 3n]],
      [2, [5n, 0n]],
    ],
    "log2",
    {},
  );
  expect(text).toBe(log2Histogram([0, 5, 5], "value"));
});

test("a key that is no slot is refused with what slots there are", () => {
  expect(() => histogramText([[65, 1n]], "log2", {})).toThrow(LayoutError);
  expect(() => histogramText([[65, 1n]], "log2", {})).toThrow("a log2 histogram has slots 0 to 64");
  expect(histogramText([[64, 1n]], "log2", {})).toContain("18446744073709551615");
  expect(() => histogramText([[-1, 1n]], "linear", {})).toThrow(LayoutError);
  expect(() => histogramText([["bash", 1n]], "linear", {})).toThrow(LayoutError);
});

test("a JSON histogram parses, with BCC's members and the section's name", () => {
  const text = jsonHistogram([0, 2, 0, 7n], "usecs", {
    section: { header: "disk", bucket: "sda" },
    at: new Date(2024, 4, 3, 8, 5, 9),
  });
  expect(JSON.parse(text)).toEqual({
    ts: "2024-05-03 08:05:09",
    val_type: "usecs",
    data: [
      { "interval-start": 0, "interval-end": 1, count: 2 },
      { "interval-start": 2, "interval-end": 3, count: 0 },
      { "interval-start": 4, "interval-end": 7, count: 7 },
    ],
    disk: "sda",
  });
});

test("a JSON histogram of sections is one object per line", () => {
  const lines = histogramText(disks, "json", { section_header: "disk" }).split("\n");
  expect(lines.map((line) => JSON.parse(line).disk)).toEqual(["sda", 'vd"a', "it's"]);
});
