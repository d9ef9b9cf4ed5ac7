import { inspect } from "node:util";
import { LayoutError } from "../framework/core/errors.ts";

/** Counts by slot number; slots not in it are zero. */
export type Slots = readonly (number | bigint)[];

/** Widest bar of stars, in BCC's layout. */
const widestBar = 40;
/** Slots of a log2 histogram: 0 for nothing, 1 to 64 for the bits of a 64-bit value. */
const log2Slots = 65;
/** A linear histogram prints every slot up to the last, so a stray key must not make it print millions of lines. */
const linearSlots = 65536;

/**
 * A log2 histogram as BCC prints it: slot 1 is shown as 0 to 1, slot i as 2^(i-1) to 2^i - 1, and slot 0 not at all.
 *
 * @param type heads the first column, for instance "usecs"
 * @returns lines without a final newline; "" when no slot from 1 on has a count
 */
export function log2Histogram(slots: Slots, type: string, stripLeadingZero = false): string {
  const last = lastUsed(slots);
  if (last <= 0) return "";
  // Numbers of more than ten digits need the wide layout, which halves the bars.
  const isNarrow = last <= 32;
  const digits = isNarrow ? 10 : 20;
  const width = isNarrow ? widestBar : widestBar / 2;
  const label = isNarrow ? `     ${type.padEnd(19)}` : `               ${type.padEnd(29)}`;
  const rows = slots.slice(1, last + 1).map((count, i) => {
    const slot = BigInt(i + 1);
    const low = slot === 1n ? 0n : 1n << (slot - 1n);
    const range = `${`${low}`.padStart(digits)} -> ${`${(1n << slot) - 1n}`.padEnd(digits)}`;
    return { count, range };
  });
  return table(label, rows, { most: largest(slots), width, stripLeadingZero });
}

/**
 * A linear histogram as BCC prints it: one line for each slot from 0 to the last with a count.
 *
 * @param type heads the first column
 * @returns lines without a final newline; "" when every slot is zero
 */
export function linearHistogram(slots: Slots, type: string, stripLeadingZero = false): string {
  const last = lastUsed(slots);
  if (last < 0) return "";
  const rows = slots.slice(0, last + 1).map((count, i) => ({ count, range: `        ${`${i}`.padEnd(10)}` }));
  return table(`     ${type.padEnd(13)}`, rows, { most: largest(slots), width: widestBar, stripLeadingZero });
}

/**
 * A log2 histogram as one JSON object with BCC's members: ts, val_type, data (interval-start, interval-end, count), and
 * the section's name with its bucket. BCC prints the same as a Python dictionary, which JSON parsers refuse.
 */
export function jsonHistogram(
  slots: Slots,
  type: string,
  options: { section?: Section; at?: Date } = {},
): string {
  const data: string[] = [];
  for (let slot = 1; slot <= lastUsed(slots); slot++) {
    const low = slot === 1 ? 0n : 1n << BigInt(slot - 1);
    const high = (1n << BigInt(slot)) - 1n;
    data.push(`{"interval-start": ${low}, "interval-end": ${high}, "count": ${slots[slot] ?? 0}}`);
  }
  const members = [
    `"ts": ${JSON.stringify(timestamp(options.at ?? new Date()))}`,
    `"val_type": ${JSON.stringify(type)}`,
    `"data": [${data.join(", ")}]`,
  ];
  if (options.section !== undefined) {
    members.push(`${JSON.stringify(options.section.header)}: ${jsonValue(options.section.bucket)}`);
  }
  return `{${members.join(", ")}}`;
}

/** One of several histograms in a table whose keys are structs. */
export interface Section {
  readonly header: string;
  readonly bucket: unknown;
}

/** How a table's entries become histograms. Names and defaults are those of BCC's print_log2_hist. */
export interface HistogramOptions {
  /** Heads the first column; "value" by default. */
  readonly val_type?: string | undefined;
  /** Heads each section; "Bucket ptr" by default. */
  readonly section_header?: string | undefined;
  /** Prints a bucket. */
  readonly section_print_fn?: ((bucket: never) => unknown) | undefined;
  /** Makes the bucket out of the key's first field. Buckets with equal contents are one section. */
  readonly bucket_fn?: ((field: never) => unknown) | undefined;
  /** Leaves out empty slots before the first used one. */
  readonly strip_leading_zero?: boolean | undefined;
  /** Orders the sections; without it they come in the order the table gives them. */
  readonly bucket_sort_fn?: ((buckets: never[]) => readonly unknown[]) | undefined;
  /** Takes the text, without a final newline; console.log by default. */
  readonly write?: ((text: string) => void) | undefined;
}

export type HistogramForm = "log2" | "linear" | "json";

/**
 * The histograms of a table, as one text. With plain keys the key is the slot. With struct keys the first field chooses
 * the section and the second is the slot. A per-CPU count is the sum over the CPUs.
 *
 * @throws LayoutError when a slot is not a whole number within range
 */
export function histogramText(
  entries: Iterable<readonly [key: unknown, value: unknown]>,
  form: HistogramForm,
  options: HistogramOptions,
): string {
  const {
    val_type: type = "value",
    section_header: header = "Bucket ptr",
    strip_leading_zero: strip,
  } = options;
  const draw = { log2: log2Histogram, linear: linearHistogram }[form === "json" ? "log2" : form];
  const { plain, sections } = collect(entries, form, options);
  if (sections === undefined) {
    return form === "json" ? jsonHistogram(plain, type) : draw(plain, type, strip ?? false);
  }
  const print = options.section_print_fn as ((bucket: unknown) => unknown) | undefined;
  const texts = order(sections, options).map(({ bucket, slots }) => {
    if (form === "json")
      return jsonHistogram(slots, type, { section: { header, bucket: print ? print(bucket) : bucket } });
    const drawn = draw(slots, type, strip ?? false);
    const title = `\n${header} = ${print ? show(print(bucket)) : pythonText(bucket)}`;
    return drawn === "" ? title : `${title}\n${drawn}`;
  });
  return texts.join("\n");
}

interface Bucket {
  readonly bucket: unknown;
  readonly slots: (number | bigint)[];
}

/** Sorts the counts into slots, and the slots into sections when keys are structs. */
function collect(
  entries: Iterable<readonly [unknown, unknown]>,
  form: HistogramForm,
  options: HistogramOptions,
): { readonly plain: Slots; readonly sections: ReadonlyMap<string, Bucket> | undefined } {
  const plain: (number | bigint)[] = [];
  const sections = new Map<string, Bucket>();
  const makeBucket = options.bucket_fn as ((field: unknown) => unknown) | undefined;
  for (const [key, value] of entries) {
    if (typeof key !== "object" || key === null || ArrayBuffer.isView(key)) {
      put(plain, key, value, form);
      continue;
    }
    const [first, slot] = twoFields(key as Record<string, unknown>);
    const bucket = makeBucket ? makeBucket(first) : first;
    const name = pythonText(bucket);
    const section = sections.get(name) ?? { bucket, slots: [] };
    sections.set(name, section);
    put(section.slots, slot, value, form);
  }
  return { plain, sections: sections.size === 0 ? undefined : sections };
}

/** The bucket and the slot: the first two fields, not counting padding that was written out between them. */
function twoFields(key: Record<string, unknown>): readonly [unknown, unknown] {
  const names = Object.keys(key);
  const [first, second] = names.filter((name, i) => i === 0 || !name.startsWith("__pad"));
  if (first === undefined || second === undefined) {
    throw new LayoutError(`a histogram's key needs two fields, bucket and slot, not ${names.join(", ")}`);
  }
  return [key[first], key[second]];
}

function put(slots: (number | bigint)[], key: unknown, value: unknown, form: HistogramForm): void {
  const slot = typeof key === "bigint" || typeof key === "number" ? Number(key) : Number.NaN;
  const limit = form === "linear" ? linearSlots : log2Slots;
  if (!Number.isInteger(slot) || slot < 0 || slot >= limit) {
    throw new LayoutError(
      `a ${form} histogram has slots 0 to ${limit - 1}, and this table has a key ${inspect(key)}`,
      {
        hint: "fill it with counts.increment(bpf_log2l(value)), or with small whole numbers for a linear histogram",
      },
    );
  }
  for (let i = slots.length; i < slot; i++) slots.push(0);
  slots[slot] = total(value);
}

function total(value: unknown): number | bigint {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (Array.isArray(value)) return value.reduce<bigint>((sum, item) => sum + BigInt(total(item)), 0n);
  throw new LayoutError(
    `a histogram counts whole numbers, and this table holds ${inspect(value, { depth: 0 })}`,
  );
}

function order(sections: ReadonlyMap<string, Bucket>, options: HistogramOptions): readonly Bucket[] {
  const all = [...sections.values()];
  const sort = options.bucket_sort_fn as ((buckets: unknown[]) => readonly unknown[]) | undefined;
  if (sort === undefined) return all;
  return sort(all.map((section) => section.bucket)).flatMap(
    (bucket) => sections.get(pythonText(bucket)) ?? [],
  );
}

function table(
  label: string,
  rows: readonly { readonly count: number | bigint; readonly range: string }[],
  layout: { readonly most: number; readonly width: number; readonly stripLeadingZero: boolean },
): string {
  const first = layout.stripLeadingZero ? rows.findIndex((row) => row.count > 0) : 0;
  const lines = rows.slice(first).map(({ count, range }) => {
    const stars = Math.floor((layout.width * Number(count)) / layout.most);
    return `${range} : ${`${count}`.padEnd(8)} |${"*".repeat(stars).padEnd(layout.width)}|`;
  });
  return [`${label} : count     distribution`, ...lines].join("\n");
}

function lastUsed(slots: Slots): number {
  return slots.findLastIndex((count) => count > 0);
}

function largest(slots: Slots): number {
  return slots.reduce<number>((most, count) => Math.max(most, Number(count)), 0);
}

function show(value: unknown): string {
  return typeof value === "object" ? inspect(value) : String(value);
}

/** A bucket as Python prints it, since BCC does: texts out of a key are bytes there, and several fields a tuple. */
function pythonText(value: unknown): string {
  if (typeof value === "string") return pythonBytes(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value instanceof Uint8Array) return `[${[...value].join(", ")}]`;
  if (Array.isArray(value)) return `(${value.map(pythonText).join(", ")}${value.length === 1 ? "," : ""})`;
  return typeof value === "object"
    ? inspect(value, { breakLength: Number.POSITIVE_INFINITY })
    : String(value);
}

function pythonBytes(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named: Readonly<Record<number, string>> = { 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" };
  const body = [...Buffer.from(text)].map((byte) => {
    if (byte === quote.charCodeAt(0)) return `\\${quote}`;
    const printable =
      byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
    return named[byte] ?? printable;
  });
  return `b${quote}${body.join("")}${quote}`;
}

function jsonValue(value: unknown): string {
  if (typeof value === "bigint") return `${value}`;
  return JSON.stringify(value, (_, item: unknown) => {
    if (item instanceof Uint8Array) return [...item];
    return typeof item === "bigint" ? `${item}` : item;
  });
}

/** Local time as "2024-05-31 18:05:09". */
function timestamp(at: Date): string {
  const two = (part: number): string => `${part}`.padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
