import { mapKinds } from "../maps/kinds.ts";
import type { DeclaratorArgument } from "./declarators.ts";
import type { PlacedWords } from "./edits.ts";
import type { TableFact } from "./facts.ts";
import type { Range } from "./lexer.ts";
import { kindCountsUpdates } from "./methods.ts";

/** An argument as the source has it, or the words of a default. */
export type Part = string | Range;

/** What a declaring macro says. */
export interface Declared extends TableFact {
  /** The table that the tables inside of this one are like, or null. */
  readonly inner: string | null;
  readonly parts: Partial<Record<DeclaratorArgument, Part>>;
}

/** The counter of what a table loses: a C variable of one counter per CPU, in a data section of its own. */
export function dropCounterOf(table: string): string {
  return `__lost_${table}`;
}

/** The map that this counter is in. */
export function dropMapOf(table: string): string {
  return `.data.${dropCounterOf(table)}`;
}

/**
 * A map's definition without its semicolon.
 *
 * @param isInner other tables hold tables like this one: its struct gets a tag to name it by, so that it may be declared
 * before or after them
 */
export function definition(declared: Declared, isInner: boolean): readonly Part[] {
  const { name, kind } = declared;
  const map = mapDefinition(declared, isInner ? innerTag(name) : "");
  return kind !== "extern" && kindCountsUpdates(kind)
    ? [...map, `; bcc_update_counter(${dropCounterOf(name)})`]
    : map;
}

function mapDefinition({ name, kind, parts, inner }: Declared, tag: string): readonly Part[] {
  const { key, value, entries = "0", flags, pages } = parts;
  if (kind === "ringbuf") {
    const bytes = pages === undefined ? [entries] : ["(", pages, ") * __RX_PAGE_SIZE"];
    const map = mapText(name, tag, [`${mapKinds.ringbuf.type}`], { entries: bytes });
    return [...map, `; bcc_drop_counter(${dropCounterOf(name)})`];
  }
  if (kind === "user_ringbuf") {
    // The kernel takes no value type for these: it is anchored as the types of events are.
    const map = mapText(name, tag, [`${mapKinds.user_ringbuf.type}`], { entries: [entries] });
    return [...map, "; bcc_sent_type(", name, ", ", value ?? "char", ")"];
  }
  if (kind === "extern") {
    // A stand-in for the compiler: the other object's map takes its place when the programs are loaded.
    const map = mapText(name, tag, [`${mapKinds.hash.type}`], { key, value, entries: [entries] });
    return [...map, `; bcc_extern_drop_counter(${dropCounterOf(name)})`];
  }
  if (kind === "histogram") {
    const isInt = ["__builtin_types_compatible_p(__typeof__(", key!, "), int)"];
    const type = [...isInt, ` ? ${mapKinds.array.type} : ${mapKinds.hash.type}`];
    return mapText(name, tag, type, { key, value, entries: [entries] });
  }
  const row = mapKinds[kind];
  const allFlags = [
    ...(flags === undefined ? [] : [["(", flags, ")"]]),
    ...(row.flags === 0 ? [] : [[`${row.flags}`]]),
  ];
  return mapText(name, tag, [`${row.type}`], {
    key: row.keySize === 0 ? undefined : key,
    value,
    entries: kind === "stack_trace" ? ["__rx_power_of_two(", entries, ")"] : [entries],
    flags: allFlags.flatMap((one, index) => (index === 0 ? one : [" | ", ...one])),
    inner,
  });
}

function innerTag(name: string): string {
  return `__rx_table_${name} `;
}

/** A definition as libbpf reads it: numbers as array lengths, types as pointers. */
function mapText(
  name: string,
  tag: string,
  type: readonly Part[],
  parts: {
    readonly key?: Part | undefined;
    readonly value?: Part | undefined;
    readonly entries: readonly Part[];
    readonly flags?: readonly Part[];
    readonly inner?: string | null;
  },
): readonly Part[] {
  const { key, value, entries, flags = [], inner = null } = parts;
  return [
    `struct ${tag}{ int (*type)[`,
    ...type,
    "];",
    ...(key === undefined ? [] : [" __typeof__(", key, ") *key;"]),
    ...(value === undefined ? [] : [" __typeof__(", value, ") *value;"]),
    ...(entries.length === 1 && entries[0] === "0" ? [] : [" int (*max_entries)[", ...entries, "];"]),
    ...(flags.length === 0 ? [] : [" int (*map_flags)[", ...flags, "];"]),
    ...(inner === null ? [] : [` struct ${innerTag(inner)}*values[];`]),
    ` } ${name} __attribute__((section(".maps"), used))`,
  ];
}

/** Checks of a table's types for the end of the source, where all of them are complete. Findings lead to the macro. */
export function typeChecks({ name, kind, parts }: Declared, about: number): readonly PlacedWords[] {
  const row = kind === "histogram" || kind === "extern" ? mapKinds.hash : mapKinds[kind];
  const checks: PlacedWords[] = [];
  const check = (macro: string): void => {
    checks.push({ words: `${macro}(${name}); `, about });
  };
  if (row.keySize === "any" && parts.key !== undefined) check("bcc_check_key");
  if (row.valueSize === "any" && parts.value !== undefined) check("bcc_check_value");
  if (kind === "histogram") check("bcc_check_histogram");
  return checks;
}
