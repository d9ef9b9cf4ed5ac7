import { TypeWriter } from "../../maps/codecs/typescript.ts";
import { type MapKindName, mapKinds, type TableClass } from "../../maps/kinds.ts";
import { declarationOf } from "../../maps/tables/declaration.ts";
import { variablesOf } from "../../maps/tables/variable.ts";
import { dropMapOf } from "../../rewriter/index.ts";
import type { Btf } from "../object/btf.ts";
import { describeLayout } from "../object/describe-layout.ts";
import type { MapSpec, ObjectSpec } from "../object/object-spec.ts";

/** The types of a table as TypeScript: of keys, values (all CPUs' where there are several) and records. */
interface Shown {
  readonly key: string;
  readonly value: string;
  readonly event: string;
  /** Whether records come through the table; a perf event array without any holds counters. */
  readonly hasEvents: boolean;
}

/** The class that users get for each kind of table; null where there is no table. */
const classes: Readonly<Record<TableClass, ((shown: Shown) => string) | null>> = {
  keyed: ({ key, value }) => `KeyedTable<${key}, ${value}>`,
  indexed: ({ value }) => `IndexedTable<${value}>`,
  queue: ({ value }) => `QueueTable<${value}>`,
  events: ({ event, hasEvents }) => (hasEvents ? `EventTable<${event}>` : "CounterTable"),
  stacks: () => "StackTable",
  programs: () => "ProgramTable",
  nested: ({ key }) => `NestedTable<${key}>`,
  references: ({ key, value }) => `ReferenceTable<${key}, ${value}>`,
  storage: ({ value }) => `StorageTable<${value}>`,
  filter: ({ value }) => `FilterTable<${value}>`,
  userRing: ({ event }) => `UserRingTable<${event}>`,
  none: null,
};

/** Names that the file itself uses. */
const OWN_NAMES = [
  "tables",
  "variables",
  "TableDeclaration",
  "VariableDeclaration",
  "iterators",
  "IteratorDeclaration",
  "CounterTable",
  ...Object.values(classes).flatMap(
    (type) => type?.({ key: "", value: "", event: "", hasEvents: true }).replace(/<.*/, "") ?? [],
  ),
];

/**
 * TypeScript declarations of an object's tables, the records they carry, and its global variables: a whole file, whose
 * constants `get_table` and `variable` take.
 *
 * @param source what the file says it was written from
 */
export function writeDeclarations(object: ObjectSpec, source: string): string {
  const writer = object.btf === null ? undefined : new TypeWriter(object.btf, OWN_NAMES);
  const maps = object.maps.filter(
    ({ name, kind }) => !name.startsWith(".") && classes[mapKinds[kind].table] !== null,
  );
  const tables = maps.map((spec) => ({ ...textsOf(declarationOf(spec)), type: tableType(spec, writer) }));
  const counters = new Set(maps.map(({ name }) => dropMapOf(name)));
  const variables = object.maps.flatMap((spec) => {
    if (object.btf === null || writer === undefined || counters.has(spec.name)) return [];
    return variablesOf(spec).map((found) => variableEntry(object.btf!, writer, found));
  });
  const iterators = object.programs
    .filter(({ kind, recordTypes }) => kind === "iter" && recordTypes.length > 0)
    .flatMap(({ name, recordTypes }) =>
      object.btf === null || writer === undefined
        ? []
        : [iteratorEntry(object.btf, writer, { name, recordTypes })],
    );
  const types = writer?.declarations ?? [];
  const blocks = [
    `// Written by "rxbpf types ${source}". Write it again when the source changes.`,
    importsOf(
      tables.map(({ type }) => type),
      { variables: variables.length > 0, iterators: iterators.length > 0 },
    ),
    ...types,
    constant(
      "tables",
      "For `get_table`, which compares them with what was loaded.",
      "TableDeclaration",
      tables,
    ),
    ...(variables.length === 0
      ? []
      : [constant("variables", "For `variable`, likewise.", "VariableDeclaration", variables)]),
    ...(iterators.length === 0
      ? []
      : [constant("iterators", "For `iterator`, likewise.", "IteratorDeclaration", iterators)]),
  ];
  return `${blocks.join("\n\n")}\n`;
}

/** One property of a constant: its name, its TypeScript type, and its members. */
interface Entry {
  readonly name: string;
  readonly type: string;
  readonly members: readonly string[];
}

function tableType(spec: MapSpec, writer: TypeWriter | undefined): string {
  const { table, perCpu } = mapKinds[spec.kind];
  const typed = (type: number, size: number): string =>
    type === 0 || writer === undefined ? plainType(size) : writer.typeOf(type);
  const one = (): string => typed(spec.valueType, spec.valueSize);
  const shown: Shown = {
    get key() {
      return hasIndex(spec.kind) ? "number" : typed(spec.keyType, spec.keySize);
    },
    get value() {
      return perCpu ? arrayOf(one()) : one();
    },
    get event() {
      return spec.eventTypes.length === 0
        ? "Uint8Array"
        : [...new Set(spec.eventTypes.map((type) => typed(type, 0)))].join(" | ");
    },
    // An output's size is the number of CPUs, which nobody writes down.
    hasEvents: spec.eventTypes.length > 0 || spec.kind !== "perf_event_array" || spec.maxEntries === 0,
  };
  return classes[table]?.(shown) ?? "Table";
}

/** Whether keys are indexes, whatever type the source gives them. */
function hasIndex(kind: MapKindName): boolean {
  const { keySize, table } = mapKinds[kind];
  return keySize === 4 && kind !== "devmap_hash" && table !== "storage";
}

function arrayOf(type: string): string {
  return /[ |{]/.test(type) ? `(${type})[]` : `${type}[]`;
}

/** What a value of so many bytes is read as when nothing tells its type. */
function plainType(size: number): string {
  if (size === 8) return "bigint";
  return size === 1 || size === 2 || size === 4 ? "number" : "Uint8Array";
}

function textsOf({ name, kind, key, value, events }: ReturnType<typeof declarationOf>): Omit<Entry, "type"> {
  const members = [`name: ${JSON.stringify(name)}`, `kind: ${JSON.stringify(kind)}`];
  if (key !== undefined) members.push(`key: ${listOf(key)}`);
  if (value !== undefined) members.push(`value: ${listOf(value)}`);
  if (events !== undefined) members.push(`events: [${events.map(listOf).join(", ")}]`);
  return { name, members };
}

function variableEntry(
  btf: Btf,
  writer: TypeWriter,
  { name, type }: { readonly name: string; readonly type: number },
): Entry {
  const layout = listOf(describeLayout(btf, type));
  return { name, type: writer.typeOf(type), members: [`name: ${JSON.stringify(name)}`, `type: ${layout}`] };
}

function iteratorEntry(
  btf: Btf,
  writer: TypeWriter,
  { name, recordTypes }: { readonly name: string; readonly recordTypes: readonly number[] },
): Entry {
  const layouts = recordTypes.map((type) => listOf(describeLayout(btf, type)));
  return {
    name,
    type: [...new Set(recordTypes.map((type) => writer.typeOf(type)))].join(" | "),
    members: [`name: ${JSON.stringify(name)}`, `records: [${layouts.join(", ")}]`],
  };
}

function listOf(lines: readonly string[]): string {
  const items = lines.map((line) => JSON.stringify(line));
  return items.length === 1 ? `[${items}]` : `[\n${items.map((item) => `      ${item},`).join("\n")}\n    ]`;
}

function importsOf(
  types: readonly string[],
  has: { readonly variables: boolean; readonly iterators: boolean },
): string {
  const classNames = types.map((type) => type.slice(0, `${type}<`.indexOf("<")));
  const names = new Set([
    ...classNames,
    "TableDeclaration",
    ...(has.variables ? ["VariableDeclaration"] : []),
    ...(has.iterators ? ["IteratorDeclaration"] : []),
  ]);
  return `import type { ${[...names].sort().join(", ")} } from "rxbpf";`;
}

function constant(name: string, about: string, declaration: string, entries: readonly Entry[]): string {
  const types = entries.map(
    (entry) => `  readonly ${entry.name}: ${declaration}<${entry.type.replaceAll("\n", "\n  ")}>;`,
  );
  const values = entries.map((entry) => {
    const members = entry.members.map((member) => `    ${member},`);
    return [`  ${entry.name}: {`, ...members, "  },"].join("\n");
  });
  if (entries.length === 0) return `/** ${about} */\nexport const ${name} = {};`;
  return [`/** ${about} */`, `export const ${name}: {`, ...types, "} = {", ...values, "};"].join("\n");
}
