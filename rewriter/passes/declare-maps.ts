import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import { type MapKindName, mapKinds } from "../../maps/kinds.ts";
import { type Declarator, type DeclaratorArgument, declarators, kindStrings } from "../declarators.ts";
import type { Edit } from "../edits.ts";
import type { TableFact } from "../facts.ts";
import { onOneLine, type Range } from "../lexer.ts";
import type { DeclaratorUse, NormalizedText } from "../normalize.ts";
import type { PassDiagnostic, PassResult } from "./index.ts";

/** Declaring macros become map definitions as libbpf writes them; the tables they name come out beside the edits. */
export function declareMaps(
  text: string,
  normalized: NormalizedText,
): PassResult & { readonly tables: ReadonlyMap<string, TableFact> } {
  const edits: Edit[] = [];
  const diagnostics: PassDiagnostic[] = [];
  const tables = new Map<string, TableFact>();
  for (const range of normalized.unclosed) {
    const macro = text.slice(range.start, range.end);
    diagnostics.push({
      ...range,
      severity: "error",
      code: "UNCLOSED_MACRO",
      message: `${macro}( has no closing bracket`,
    });
  }
  for (const use of normalized.declarators) {
    const declared = readDeclarator(text, use);
    if ("problem" in declared) {
      diagnostics.push(declared.problem);
      continue;
    }
    const { name, kind, value } = declared;
    if (tables.has(name)) {
      diagnostics.push(problem(use, "DUPLICATE_TABLE", `table "${name}" is declared twice`).problem);
      continue;
    }
    tables.set(name, { name, kind, value });
    const semicolon = /^\s*;/.test(text.slice(use.end)) ? "" : ";";
    edits.push({
      kind: "replace",
      start: use.start,
      end: use.end,
      text: [...definition(declared), semicolon],
    });
  }
  return { edits, diagnostics, tables };
}

/** C's own words, in which a declaration would only confuse the compiler. */
const KEYWORDS = new Set(
  "auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof static struct switch typedef typeof union unsigned void volatile while _Bool".split(
    " ",
  ),
);

/** An argument as the source has it, or the words of a default. */
type Part = string | Range;

interface Declared extends TableFact {
  readonly parts: Partial<Record<DeclaratorArgument, Part>>;
}

function problem(
  use: DeclaratorUse,
  code: string,
  message: string,
  hint?: string,
): { problem: PassDiagnostic } {
  return { problem: { start: use.start, end: use.macroEnd, severity: "error", code, message, hint } };
}

function readDeclarator(text: string, use: DeclaratorUse): Declared | { problem: PassDiagnostic } {
  const { kind: fixedKind, forms, defaults }: Declarator = declarators[use.macro];
  const form = forms.find((candidate) => candidate.length === use.arguments.length);
  if (form === undefined) {
    const counts = forms.map((candidate) => candidate.length);
    const least = counts[0]!;
    const most = counts.at(-1)!;
    const wanted =
      least === most ? `${least} argument${least === 1 ? "" : "s"}` : `${least} to ${most} arguments`;
    return problem(
      use,
      "ARGUMENT_COUNT",
      `${use.macro} takes ${wanted}, not ${use.arguments.length}`,
      `${use.macro}(${forms.at(-1)!.join(", ")})`,
    );
  }
  const parts: Partial<Record<DeclaratorArgument, Part>> = { ...defaults };
  form.forEach((argument, index) => {
    parts[argument] = use.arguments[index]!;
  });
  const spelledOf = (argument: DeclaratorArgument): string => {
    const part = parts[argument] ?? "";
    return typeof part === "string" ? part : onOneLine(text, part);
  };
  // A table that grows by itself states no size.
  if (spelledOf("entries") === "0") parts.entries = "0";
  const empty = form.find((argument) => spelledOf(argument) === "");
  if (empty !== undefined) return problem(use, "EMPTY_ARGUMENT", `${use.macro}: the ${empty} is empty`);
  const name = spelledOf("name");
  if (!/^[A-Za-z_]\w*$/.test(name) || KEYWORDS.has(name)) {
    return problem(use, "TABLE_NAME", `${use.macro}: ${JSON.stringify(name)} is no name for a table`);
  }
  const value = spelledOf("value");
  if (fixedKind !== "named") return { name, kind: fixedKind, value, parts };

  const spelled = /^"(\w*)"$/.exec(spelledOf("kind"))?.[1];
  const kind = spelled === undefined ? undefined : (kindStrings[spelled] ?? kernelKind(spelled));
  if (kind === undefined) {
    const known = [...Object.keys(kindStrings), ...Object.keys(mapKinds)];
    const hint = didYouMean(nearestNames(spelled ?? "", known)) ?? `kinds are ${known.join(", ")}`;
    return problem(use, "TABLE_KIND", `${use.macro}: no table kind ${spelledOf("kind")}`, hint);
  }
  return { name, kind, value, parts };
}

function kernelKind(word: string): MapKindName | undefined {
  return Object.hasOwn(mapKinds, word) ? (word as MapKindName) : undefined;
}

/** The drop counter beside a ring buffer. */
export function dropCounterOf(table: string): string {
  return `__lost_${table}`;
}

function definition({ name, kind, parts }: Declared): readonly Part[] {
  if (kind === "ringbuf") {
    const { pages, entries = "" } = parts;
    const bytes = pages === undefined ? [entries] : ["(", pages, ") * __RX_PAGE_SIZE"];
    const counter = { key: "int", value: "u64", entries: ["1"] };
    return [
      ...mapText(name, [`${mapKinds.ringbuf.type}`], { entries: bytes }),
      "; ",
      ...mapText(dropCounterOf(name), [`${mapKinds.percpu_array.type}`], counter),
    ];
  }
  const { key, value, entries = "0", flags } = parts;
  if (kind === "histogram") {
    const isInt = ["__builtin_types_compatible_p(__typeof__(", key!, "), int)"];
    const type = [...isInt, ` ? ${mapKinds.array.type} : ${mapKinds.hash.type}`];
    return mapText(name, type, { key, value, entries: [entries] });
  }
  const row = mapKinds[kind];
  const allFlags = [
    ...(flags === undefined ? [] : [["(", flags, ")"]]),
    ...(row.flags === 0 ? [] : [[`${row.flags}`]]),
  ];
  return mapText(name, [`${row.type}`], {
    key: row.keySize === 0 ? undefined : key,
    value,
    entries: kind === "stack_trace" ? ["__rx_power_of_two(", entries, ")"] : [entries],
    flags: allFlags.flatMap((one, index) => (index === 0 ? one : [" | ", ...one])),
  });
}

/** A definition as libbpf reads it: numbers as array lengths, types as pointers. */
function mapText(
  name: string,
  type: readonly Part[],
  parts: {
    readonly key?: Part | undefined;
    readonly value?: Part | undefined;
    readonly entries: readonly Part[];
    readonly flags?: readonly Part[];
  },
): readonly Part[] {
  const { key, value, entries, flags = [] } = parts;
  return [
    "struct { int (*type)[",
    ...type,
    "];",
    ...(key === undefined ? [] : [" __typeof__(", key, ") *key;"]),
    ...(value === undefined ? [] : [" __typeof__(", value, ") *value;"]),
    ...(entries.length === 1 && entries[0] === "0" ? [] : [" int (*max_entries)[", ...entries, "];"]),
    ...(flags.length === 0 ? [] : [" int (*map_flags)[", ...flags, "];"]),
    ` } ${name} __attribute__((section(".maps"), used))`,
  ];
}
