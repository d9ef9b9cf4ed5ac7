import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import { type MapKindName, mapKinds } from "../../maps/kinds.ts";
import { type Declarator, type DeclaratorArgument, declarators, kindStrings } from "../declarators.ts";
import type { Edit } from "../edits.ts";
import type { TableFact } from "../facts.ts";
import { onOneLine } from "../lexer.ts";
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
    diagnostics.push({ ...range, severity: "error", code: "UNCLOSED_MACRO", message: `${macro}( has no closing bracket` });
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
    edits.push({ kind: "replace", start: use.start, end: use.end, text: definition(declared) + semicolon });
  }
  return { edits, diagnostics, tables };
}

/** C's own words, in which a declaration would only confuse the compiler. */
const KEYWORDS = new Set(
  "auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof static struct switch typedef typeof union unsigned void volatile while _Bool".split(
    " ",
  ),
);

interface Declared extends TableFact {
  readonly parts: Partial<Record<DeclaratorArgument, string>>;
}

function problem(use: DeclaratorUse, code: string, message: string, hint?: string): { problem: PassDiagnostic } {
  return { problem: { start: use.start, end: use.macroEnd, severity: "error", code, message, hint } };
}

function readDeclarator(text: string, use: DeclaratorUse): Declared | { problem: PassDiagnostic } {
  const { kind: fixedKind, forms, defaults }: Declarator = declarators[use.macro];
  const form = forms.find((candidate) => candidate.length === use.arguments.length);
  if (form === undefined) {
    const counts = forms.map((candidate) => candidate.length);
    const least = counts[0]!;
    const most = counts.at(-1)!;
    const wanted = least === most ? `${least} argument${least === 1 ? "" : "s"}` : `${least} to ${most} arguments`;
    return problem(
      use,
      "ARGUMENT_COUNT",
      `${use.macro} takes ${wanted}, not ${use.arguments.length}`,
      `${use.macro}(${forms.at(-1)!.join(", ")})`,
    );
  }
  const parts: Partial<Record<DeclaratorArgument, string>> = { ...defaults };
  form.forEach((argument, index) => {
    parts[argument] = onOneLine(text, use.arguments[index]!);
  });
  const empty = form.find((argument) => parts[argument] === "");
  if (empty !== undefined) return problem(use, "EMPTY_ARGUMENT", `${use.macro}: the ${empty} is empty`);
  const name = parts.name!;
  if (!/^[A-Za-z_]\w*$/.test(name) || KEYWORDS.has(name)) {
    return problem(use, "TABLE_NAME", `${use.macro}: ${JSON.stringify(name)} is no name for a table`);
  }
  const value = parts.value ?? "";
  if (fixedKind !== "named") return { name, kind: fixedKind, value, parts };

  const spelled = /^"(\w*)"$/.exec(parts.kind!)?.[1];
  const kind = spelled === undefined ? undefined : (kindStrings[spelled] ?? kernelKind(spelled));
  if (kind === undefined) {
    const known = [...Object.keys(kindStrings), ...Object.keys(mapKinds)];
    const hint = didYouMean(nearestNames(spelled ?? "", known)) ?? `kinds are ${known.join(", ")}`;
    return problem(use, "TABLE_KIND", `${use.macro}: no table kind ${parts.kind}`, hint);
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

function definition({ name, kind, parts }: Declared): string {
  if (kind === "ringbuf") {
    const bytes = parts.pages === undefined ? parts.entries! : `(${parts.pages}) * __RX_PAGE_SIZE`;
    const counter = mapText(dropCounterOf(name), `${mapKinds.percpu_array.type}`, {
      key: "int",
      value: "u64",
      entries: "1",
    });
    return `${mapText(name, `${mapKinds.ringbuf.type}`, { entries: bytes })}; ${counter}`;
  }
  if (kind === "histogram") {
    const isInt = `__builtin_types_compatible_p(__typeof__(${parts.key}), int)`;
    return mapText(name, `${isInt} ? ${mapKinds.array.type} : ${mapKinds.hash.type}`, parts);
  }
  const row = mapKinds[kind];
  const flags = [parts.flags === undefined ? "" : `(${parts.flags})`, row.flags === 0 ? "" : `${row.flags}`]
    .filter((part) => part !== "")
    .join(" | ");
  const entries = kind === "stack_trace" ? `__rx_power_of_two(${parts.entries})` : parts.entries;
  return mapText(name, `${row.type}`, {
    ...(row.keySize === 0 ? {} : { key: parts.key }),
    value: parts.value,
    entries,
    ...(flags === "" ? {} : { flags }),
  });
}

/** A definition as libbpf reads it: numbers as array lengths, types as pointers. */
function mapText(name: string, type: string, parts: Partial<Record<DeclaratorArgument, string | undefined>>): string {
  const members = [`int (*type)[${type}];`];
  if (parts.key !== undefined) members.push(`__typeof__(${parts.key}) *key;`);
  if (parts.value !== undefined) members.push(`__typeof__(${parts.value}) *value;`);
  if (parts.entries !== undefined && parts.entries !== "0") members.push(`int (*max_entries)[${parts.entries}];`);
  if (parts.flags !== undefined) members.push(`int (*map_flags)[${parts.flags}];`);
  return `struct { ${members.join(" ")} } ${name} __attribute__((section(".maps"), used))`;
}
