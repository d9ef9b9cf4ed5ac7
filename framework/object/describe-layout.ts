import type { Btf, BtfType } from "./btf.ts";
import { isFlexible, type RecordField, recordFields } from "./record-fields.ts";

/** Records inside records followed; damaged types may have no end. */
const MOST_DEPTH = 32;

/** Enumerators that a line shows; types of the kernel can have hundreds. */
const MOST_ENUMERATORS = 24;

/** A type's layout, line by line; see `describeLayout`. */
export type Layout = readonly string[];

/**
 * A type's layout as lines, the same for two types exactly when values of both are read and written alike: sizes, and
 * every field's place, name and meaning. Names of types are left out, since they change nothing.
 *
 * A plain type is one line (`u64`); a record is one line for each field, those of records inside behind them, and one
 * for its size:
 *
 * ```text
 * at 0 pid: u32
 * at 4 comm: char[16]
 * at 20 point: 8 bytes
 * at 20 point.x: s32
 * at 24 point.y: s32
 * 28 bytes
 * ```
 */
export function describeLayout(btf: Btf, typeId: number): Layout {
  const id = btf.resolve(typeId);
  return [...(linesOf(btf, id, { path: "", bit: 0, depth: 0 }) ?? []), wordOf(btf, id)];
}

/** Whether two types are read and written alike. */
export function isSameLayout(left: Layout, right: Layout): boolean {
  return left.length === right.length && left.every((line, i) => line === right[i]);
}

/** Two layouts that should be the same, for an error's message: each under its heading. */
export function showLayouts(layouts: Readonly<Record<string, Layout>>): string {
  return Object.entries(layouts)
    .map(([heading, lines]) => [`${heading}:`, ...lines.map((line) => `  ${line}`)].join("\n"))
    .join("\n");
}

interface Place {
  /** What stands before the names of fields: "" or "point." */
  readonly path: string;
  readonly bit: number;
  readonly depth: number;
}

/** The lines of a record's fields; null for what is no record and no array of them. */
function linesOf(btf: Btf, id: number, place: Place): readonly string[] | null {
  const type = btf.type(id);
  if (place.depth >= MOST_DEPTH) return null;
  if (type.kind === "array") {
    const { path } = place;
    const element = btf.resolve(type.element);
    return linesOf(btf, element, { ...place, path: `${path.replace(/\.$/, "")}[].`, depth: place.depth + 1 });
  }
  if (type.kind !== "struct" && type.kind !== "union") return null;
  return recordFields(btf, type.members).flatMap((field) => fieldLines(btf, field, place));
}

function fieldLines(btf: Btf, field: RecordField, { path, bit, depth }: Place): readonly string[] {
  const start = bit + field.bitOffset;
  const word = wordOf(btf, field.type);
  const name = `${path}${field.name}`;
  if (field.bits !== 0) {
    return [`at ${Math.floor(start / 8)}, bit ${start % 8} ${name}: ${field.bits} bits of ${word}`];
  }
  const inner = linesOf(btf, field.type, { path: `${name}.`, bit: start, depth: depth + 1 }) ?? [];
  return [`at ${start / 8} ${name}: ${isFlexible(btf, field) ? openArray(btf, field) : word}`, ...inner];
}

function openArray(btf: Btf, { type }: RecordField): string {
  return wordOf(btf, type).replace("[0]", "[]");
}

/** A type in one word: what it means, not what it is called. */
function wordOf(btf: Btf, typeId: number): string {
  const id = btf.resolve(typeId);
  const type = btf.type(id);
  switch (type.kind) {
    case "int":
      if (type.bool) return "bool";
      // Arrays of plain char are text, those of its relatives are not.
      return type.name === "char" ? "char" : `${type.signed ? "s" : "u"}${type.size * 8}`;
    case "enum":
    case "enum64":
      return `${type.signed ? "s" : "u"}${type.size * 8} enum {${enumerators(type)}}`;
    case "float":
      return type.size === 4 ? "float" : "double";
    case "ptr":
      return "pointer";
    case "array":
      return `${wordOf(btf, type.element)}[${type.length}]`;
    case "struct":
    case "union":
    case "datasec":
      return `${type.size} bytes`;
    default:
      return btf.describe(id);
  }
}

function enumerators({ values }: Extract<BtfType, { kind: "enum" | "enum64" }>): string {
  const shown = values.slice(0, MOST_ENUMERATORS).map(({ name, value }) => `${name} ${value}`);
  const more = values.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}
