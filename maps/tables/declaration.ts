import { MapError } from "../../framework/core/errors.ts";
import type { Btf } from "../../framework/object/btf.ts";
import {
  describeLayout,
  isSameLayout,
  type Layout,
  showLayouts,
} from "../../framework/object/describe-layout.ts";
import type { MapSpec } from "../../framework/object/object-spec.ts";
import { type MapKindName, mapKinds, type TableClass } from "../kinds.ts";
import type { Table } from "./table.ts";

export type { Layout };

/**
 * What `rxbpf types` wrote down about a table: its types for TypeScript, and the layouts they were made from, which are
 * compared with the loaded table's when it is opened.
 */
export interface TableDeclaration<T extends Table = Table> {
  readonly name: string;
  readonly kind: MapKindName;
  readonly key?: Layout;
  readonly value?: Layout;
  /** Of the records that programs send, in source order. */
  readonly events?: readonly Layout[];
  /** Never there: carries the table's type. */
  readonly table?: T;
}

/** What `rxbpf types` wrote down about a global variable. */
export interface VariableDeclaration<T = unknown> {
  readonly name: string;
  readonly type: Layout;
  /** Never there: carries the value's type. */
  readonly value?: T;
}

/** What `rxbpf types` wrote down about an iterator that writes records. */
export interface IteratorDeclaration<T = unknown> {
  /** The function's name. */
  readonly name: string;
  /** Of what it writes, in source order. */
  readonly records: readonly Layout[];
  /** Never there: carries the records' type. */
  readonly record?: T;
}

/** The parts of a map whose types a table of each class shows. */
const shown: Readonly<Record<TableClass, readonly ("key" | "value" | "events")[]>> = {
  keyed: ["key", "value"],
  indexed: ["value"],
  queue: ["value"],
  events: ["events"],
  stacks: [],
  programs: [],
  nested: ["key"],
  references: ["key", "value"],
  storage: ["value"],
  filter: ["value"],
  userRing: ["events"],
  none: [],
};

/** The declaration of a table as it is now. */
export function declarationOf(spec: MapSpec): TableDeclaration {
  const { name, kind, btf } = spec;
  const parts = shown[mapKinds[kind].table];
  return {
    name,
    kind,
    ...(parts.includes("key") && { key: layoutOf(spec, spec.keyType, spec.keySize) }),
    ...(parts.includes("value") && { value: layoutOf(spec, spec.valueType, spec.valueSize) }),
    ...(parts.includes("events") && {
      events: btf === null ? [] : spec.eventTypes.map((type) => describeLayout(btf, type)),
    }),
  };
}

/**
 * Checks that a table is still as it was declared. Another kind of table with the same methods and types will do.
 * @throws MapError MAP_MISMATCH with both layouts
 */
export function assertDeclared(declared: TableDeclaration, spec: MapSpec): void {
  const is = declarationOf(spec);
  const sort = (kind: MapKindName): string => `${mapKinds[kind].table} ${mapKinds[kind].perCpu}`;
  if (sort(declared.kind) !== sort(is.kind)) {
    throw outdated(`table "${spec.name}"`, `it was a ${declared.kind} and is a ${is.kind}`);
  }
  const parts = [
    ["key", declared.key, is.key],
    ["value", declared.value, is.value],
    ["record", declared.events?.flat(), is.events?.flat()],
  ] as const;
  for (const [part, then = [], now = []] of parts) assertSame(`table "${spec.name}"`, part, then, now);
}

/**
 * Checks that an iterator's records are still as they were declared.
 * @throws MapError MAP_MISMATCH with both layouts
 */
export function assertDeclaredRecords(
  declared: IteratorDeclaration,
  btf: Btf | null,
  types: readonly number[],
): void {
  const loaded = btf === null ? [] : types.flatMap((type) => describeLayout(btf, type));
  assertSame(`iterator "${declared.name}"`, "record", declared.records.flat(), loaded);
}

/** @throws MapError MAP_MISMATCH with both layouts */
export function assertSame(what: string, part: string, declared: Layout, loaded: Layout): void {
  if (isSameLayout(declared, loaded)) return;
  throw outdated(what, `its ${part} is another\n${showLayouts({ declared, loaded })}`);
}

function outdated(what: string, why: string): MapError {
  return new MapError("MAP_MISMATCH", `${what} is not as its declaration says: ${why}`, {
    hint: "the source changed: write the declarations again with rxbpf types FILE.c",
  });
}

function layoutOf({ btf }: MapSpec, type: number, size: number): Layout {
  return btf === null || type === 0 ? [`${size} bytes`] : describeLayout(btf, type);
}
