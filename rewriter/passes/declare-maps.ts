import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import { type MapKindName, mapKinds } from "../../maps/kinds.ts";
import { type Declarator, type DeclaratorArgument, declarators, kindStrings } from "../declarators.ts";
import type { Edit } from "../edits.ts";
import type { TableFact, TableKind } from "../facts.ts";
import { onOneLine } from "../lexer.ts";
import { type Declared, definition, type Part, typeChecks } from "../map-definition.ts";
import type { DeclaratorUse, NormalizedText } from "../normalize.ts";
import type { PassDiagnostic, PassResult } from "./index.ts";

/** Declaring macros become map definitions as libbpf writes them; the tables they name come out beside the edits. */
export function declareMaps(
  text: string,
  normalized: NormalizedText,
): PassResult & { readonly tables: ReadonlyMap<string, TableFact> } {
  const diagnostics: PassDiagnostic[] = [];
  const found: { readonly use: DeclaratorUse; readonly declared: Declared }[] = [];
  const tables = new Map<string, Declared>();
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
    } else if (tables.has(declared.name)) {
      diagnostics.push(problem(use, "DUPLICATE_TABLE", `table "${declared.name}" is declared twice`));
    } else {
      tables.set(declared.name, declared);
      found.push({ use, declared });
    }
  }
  const inner = new Set<string>();
  const edits: Edit[] = [];
  for (const { use, declared } of found) {
    const finding = checkInner(use, declared, tables);
    if (finding !== undefined) diagnostics.push(finding);
    else if (declared.inner !== null) inner.add(declared.inner);
  }
  for (const { use, declared } of found) {
    const { start, end } = use;
    const semicolon = /^\s*;/.test(text.slice(end)) ? "" : ";";
    edits.push({
      kind: "replace",
      start,
      end,
      text: [...definition(declared, inner.has(declared.name)), semicolon],
    });
  }
  const checks = found.flatMap(({ use, declared }) => typeChecks(declared, use.start));
  const at = text.length;
  if (checks.length > 0) edits.push({ kind: "replace", start: at, end: at, text: ["\n", ...checks, "\n"] });
  return { edits, diagnostics, tables: new Map([...tables].map(([name, table]) => [name, factOf(table)])) };
}

function factOf({ name, kind, value, pin, isPublic, offset }: Declared): TableFact {
  return { name, kind, value, pin, isPublic, offset };
}

/** C's own words, in which a declaration would only confuse the compiler. */
const KEYWORDS = new Set(
  `auto break case char const continue default do double else enum extern float for goto if inline int long register
  restrict return short signed sizeof static struct switch typedef typeof union unsigned void volatile while asm _Bool
  _Alignas _Alignof _Atomic _Generic _Noreturn _Static_assert _Thread_local __attribute__ __typeof__ __auto_type`.split(
    /\s+/,
  ),
);

/** Kinds that are more than a table: no macro says all that they need, and this library loads none of them. */
const NOT_DECLARABLE: Readonly<Record<string, string>> = {
  struct_ops: "it holds one of the kernel's structs of functions",
  arena: "its memory has an address space of its own",
};

function problem(use: DeclaratorUse, code: string, message: string, hint?: string): PassDiagnostic {
  return { start: use.start, end: use.macroEnd, severity: "error", code, message, hint };
}

function readDeclarator(text: string, use: DeclaratorUse): Declared | { readonly problem: PassDiagnostic } {
  const { macro } = use;
  const { kind: fixedKind, forms, defaults, isPublic }: Declarator = declarators[macro];
  const fail = (code: string, message: string, hint?: string) => ({
    problem: problem(use, code, message, hint),
  });
  const form = forms.find((candidate) => candidate.length === use.arguments.length);
  if (form === undefined) {
    const counts = forms.map((candidate) => candidate.length);
    const least = counts[0]!;
    const most = counts.at(-1)!;
    const wanted =
      least === most ? `${least} argument${least === 1 ? "" : "s"}` : `${least} to ${most} arguments`;
    const usage = `${macro}(${forms.at(-1)!.join(", ")})`;
    return fail("ARGUMENT_COUNT", `${macro} takes ${wanted}, not ${use.arguments.length}`, usage);
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
  if (empty !== undefined) return fail("EMPTY_ARGUMENT", `${macro}: the ${empty} is empty`);
  const name = spelledOf("name");
  if (!/^[A-Za-z_]\w*$/.test(name) || KEYWORDS.has(name)) {
    const hint = KEYWORDS.has(name) ? `"${name}" is a word of C` : undefined;
    return fail("TABLE_NAME", `${macro}: ${JSON.stringify(name)} is no name for a table`, hint);
  }
  const kind = fixedKind === "named" ? readKind(macro, spelledOf("kind")) : { kind: fixedKind };
  if ("hint" in kind) return fail(kind.code, kind.message, kind.hint);
  const inner = parts.inner === undefined ? (kind.inner ?? null) : stringOf(spelledOf("inner"));
  if (parts.inner !== undefined && inner === null)
    return fail(
      "INNER_TABLE",
      `${macro}: the inner table's name is a text in quotes, not ${spelledOf("inner")}`,
    );
  const pin = parts.path === undefined ? (kind.pin ?? null) : stringOf(spelledOf("path"));
  if (parts.path !== undefined && !pin?.startsWith("/")) {
    const hint = 'such as "/sys/fs/bpf/counts"';
    return fail(
      "PIN_PATH",
      `${macro}: the path is a text that begins with "/", not ${spelledOf("path")}`,
      hint,
    );
  }
  return {
    name,
    kind: kind.kind,
    value: spelledOf("value"),
    pin,
    isPublic: isPublic === true,
    inner,
    offset: use.start,
    parts,
  };
}

interface KindText {
  readonly kind: TableKind;
  readonly pin?: string | undefined;
  readonly inner?: string | undefined;
}

/** What BPF_TABLE's string says: a kind, and behind it, as in BCC, "$" and an inner table or ":" and a path. */
function readKind(
  macro: string,
  spelled: string,
): KindText | { readonly code: string; readonly message: string; readonly hint: string } {
  const text = stringOf(spelled);
  const [, word = "", inner, pin] = /^([^$:]*)(?:\$(\w+))?(?::(\/.*))?$/.exec(text ?? "") ?? [];
  const cannot = Object.hasOwn(NOT_DECLARABLE, word) ? NOT_DECLARABLE[word] : undefined;
  if (cannot !== undefined)
    return { code: "TABLE_KIND", message: `${macro}: maps of kind ${word} are no tables`, hint: cannot };
  const kind = Object.hasOwn(kindStrings, word)
    ? kindStrings[word]
    : Object.hasOwn(mapKinds, word)
      ? (word as MapKindName)
      : undefined;
  if (kind !== undefined) return { kind, inner, pin };
  const known = [...Object.keys(kindStrings), ...Object.keys(mapKinds)].filter(
    (name) => !Object.hasOwn(NOT_DECLARABLE, name),
  );
  const hint = didYouMean(nearestNames(word, known)) ?? `kinds are ${known.join(", ")}`;
  return { code: "TABLE_KIND", message: `${macro}: no table kind ${spelled}`, hint };
}

/** What C's adjacent string literals say together, or null for anything else. */
function stringOf(spelled: string): string | null {
  if (!/^(?:"(?:[^"\\]|\\.)*"\s*)+$/.test(spelled)) return null;
  return [...spelled.matchAll(/"((?:[^"\\]|\\.)*)"/g)]
    .map(([, body = ""]) => body.replace(/\\(.)/g, "$1"))
    .join("");
}

function checkInner(
  use: DeclaratorUse,
  { name, kind, inner, parts }: Declared,
  tables: ReadonlyMap<string, Declared>,
): PassDiagnostic | undefined {
  const isNested = kind === "array_of_maps" || kind === "hash_of_maps";
  const { macro } = use;
  const fail = (code: string, message: string, hint?: string): PassDiagnostic => {
    const place = parts.inner === undefined ? parts.kind : parts.inner;
    const range = typeof place === "object" && "start" in place ? place : { start: use.start, end: use.end };
    return { ...range, severity: "error", code, message, hint };
  };
  if (!isNested) {
    return inner === null
      ? undefined
      : fail("INNER_TABLE", `${macro}: only tables of tables have an inner table, not a ${kind}`);
  }
  if (inner === null) {
    const hint = `declare the inner table and write "${kind}$inner", or BPF_${kind.toUpperCase()}(${name}, "inner", …)`;
    return fail("INNER_TABLE", `${macro}: "${name}" does not say what its inner tables are like`, hint);
  }
  const table = tables.get(inner);
  if (table === undefined) {
    const hint =
      didYouMean(nearestNames(inner, tables.keys())) ?? "declare a table that its inner ones are like";
    return fail("INNER_TABLE", `${macro}: no table "${inner}" is declared`, hint);
  }
  if (table.kind === "array_of_maps" || table.kind === "hash_of_maps") {
    return fail("INNER_TABLE", `${macro}: "${inner}" has inner tables itself, and they nest only once`);
  }
  return table.kind === "extern"
    ? fail("INNER_TABLE", `${macro}: "${inner}" is another object's table, whose kind is known only later`)
    : undefined;
}
