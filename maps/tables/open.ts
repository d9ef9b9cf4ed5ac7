import { LayoutError, UnsupportedError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import type { BtfKind } from "../../framework/object/btf.ts";
import type { OpenDescriptor, RawMap } from "../../framework/runtime/types.ts";
import { codecOf } from "../codecs/from-btf.ts";
import { perCpu, reduced } from "../codecs/per-cpu.ts";
import { namedCodec, plainCodec } from "../codecs/plain.ts";
import { type MapKindName, mapKinds, type TableClass } from "../kinds.ts";
import { eventDecoding } from "./event-decoder.ts";
import { type EventParts, EventTable } from "./events.ts";
import { FilterTable } from "./filter.ts";
import { IndexedTable, indexCodec } from "./indexed.ts";
import { KeyedTable } from "./keyed.ts";
import { NestedTable } from "./nested.ts";
import { ProgramTable } from "./programs.ts";
import { QueueTable } from "./queue.ts";
import { ReferenceTable } from "./references.ts";
import { StackTable, type StackValue } from "./stacks.ts";
import { StorageTable } from "./storage.ts";
import type { Table, TableParts } from "./table.ts";
import { type UserRingParts, UserRingTable } from "./user-ring.ts";

/** A type given by hand: its C name ("u32", "char[16]", or one of the source's: "struct key_t"), or a codec. */
export type TypeChoice = string | Codec<unknown>;

/** What a table needs from its surroundings, besides the map. */
export interface TableContext
  extends Omit<TableParts, "raw">,
    Pick<EventParts, "openEvents" | "buffers" | "drops" | "openCounters">,
    Partial<Pick<UserRingParts, "openUserRing">> {
  /** Possible CPUs of the runtime. */
  readonly cpuCount: number;
  /** Opens a process by its id, for the keys of task storage; null when there is none. */
  readonly openProcess?: ((pid: number) => OpenDescriptor | null) | undefined;
  /** Instead of what BTF says, or of plain numbers where it says nothing. */
  readonly keyType?: TypeChoice | undefined;
  readonly valueType?: TypeChoice | undefined;
  /** Type of an event table's records. */
  readonly eventType?: TypeChoice | undefined;
  /** Per-CPU maps: folds the CPUs' values into one when reading. */
  readonly reducer?: ((left: never, right: never) => unknown) | undefined;
}

/**
 * A table of any kind. Which methods it really has follows from the map's kind, which the type system cannot see in a
 * table's name; `KeyedTable` and its relatives are classes, so `instanceof` tells.
 */
export type AnyTable<K = unknown, V = unknown> = KeyedTable<K, V> &
  Pick<IndexedTable<V>, "clearitem"> &
  QueueTable<V> &
  EventTable<V> &
  FilterTable<V> &
  ReferenceTable<K, V> &
  Pick<StackTable, "walk"> &
  ProgramTable &
  NestedTable<K> &
  UserRingTable<V>;

const openers: { readonly [C in TableClass]?: (raw: RawMap, context: TableContext) => Table } = {
  keyed: (raw, context) =>
    new KeyedTable({ raw, ...context, key: keyCodec(raw, context), value: valueCodec(raw, context) }),
  indexed: (raw, context) => new IndexedTable({ raw, ...context, value: valueCodec(raw, context) }),
  queue: (raw, context) => new QueueTable({ raw, ...context, value: valueCodec(raw, context) }),
  filter: (raw, context) => new FilterTable({ raw, ...context, value: valueCodec(raw, context) }),
  references: (raw, context) =>
    new ReferenceTable({
      raw,
      ...context,
      key: HASHED.has(raw.spec.kind) ? keyCodec(raw, context) : indexCodec(raw.spec.maxEntries),
      value: valueCodec(raw, context),
    }),
  storage: (raw, context) => new StorageTable({ raw, ...context, value: valueCodec(raw, context) }),
  nested: (raw, context) => {
    const key = raw.spec.kind === "array_of_maps" ? indexCodec(raw.spec.maxEntries) : keyCodec(raw, context);
    return new NestedTable<unknown>({ raw, ...context, key });
  },
  stacks: (raw, context) =>
    // The compiler lays the value out as the struct that StackValue describes.
    new StackTable({ raw, ...context, value: valueCodec(raw, context) as Codec<StackValue> }),
  programs: (raw, context) => new ProgramTable({ raw, ...context }),
  userRing: (raw, context) =>
    new UserRingTable({
      raw,
      ...context,
      record: chosen(raw, context.valueType) ?? sentCodec(raw),
      openUserRing: context.openUserRing,
    }),
  events: (raw, context) =>
    new EventTable({ raw, ...context, decoding: eventDecoding(raw.spec, chosen(raw, context.eventType)) }),
};

/** References under keys of any value; the others have an index. */
const HASHED: ReadonlySet<MapKindName> = new Set(["devmap_hash", "sockhash"]);

/**
 * The table for a map, by its kind.
 * @throws UnsupportedError for kinds that have no table; LayoutError when a type's size is not the map's
 */
export function openTable(raw: RawMap, context: TableContext): Table {
  const { kind, name } = raw.spec;
  const opener = openers[mapKinds[kind].table];
  if (opener === undefined) {
    throw new UnsupportedError(
      `"${name}" cannot be opened as a table: there is none for maps of kind ${kind}`,
      {
        hint: "programs can use the map; it cannot be read from here",
      },
    );
  }
  return opener(raw, context);
}

/** What a name of the source's may be, by the word before it. */
const kindsBehind: Readonly<Record<string, readonly BtfKind[]>> = {
  "": ["typedef", "struct", "union"],
  struct: ["struct"],
  union: ["union"],
  enum: ["enum", "enum64"],
};

/** What the declaration says that records are. */
function sentCodec({ spec: { btf, eventTypes } }: RawMap): Codec<unknown> | undefined {
  const [type] = eventTypes;
  return btf === null || type === undefined ? undefined : codecOf(btf, type);
}

function chosen({ spec }: RawMap, type: TypeChoice | undefined): Codec<unknown> | undefined {
  if (typeof type !== "string") return type;
  const [, kind = "", name = type] = /^(struct|union|enum)\s+(\w+)$/.exec(type.trim()) ?? [];
  const id = spec.btf?.find(name, ...(kindsBehind[kind] ?? [])) ?? 0;
  return id === 0 ? namedCodec(type) : codecOf(spec.btf!, id);
}

function keyCodec(raw: RawMap, context: TableContext): Codec<unknown> {
  const { spec } = raw;
  return fitting(
    raw,
    "key",
    spec.keySize,
    chosen(raw, context.keyType) ?? typed(raw, spec.keyType, spec.keySize),
  );
}

function valueCodec(raw: RawMap, context: TableContext): Codec<unknown> {
  const { spec } = raw;
  const one = fitting(
    raw,
    "value",
    spec.valueSize,
    chosen(raw, context.valueType) ?? typed(raw, spec.valueType, spec.valueSize),
  );
  if (!mapKinds[spec.kind].perCpu) return one;
  const all = perCpu(one, context.cpuCount);
  // The reducer takes and gives this table's values, whatever their type is.
  return context.reducer === undefined
    ? all
    : reduced(all, context.reducer as (left: unknown, right: unknown) => unknown);
}

function typed(raw: RawMap, typeId: number, size: number): Codec<unknown> {
  const { btf } = raw.spec;
  return btf !== null && typeId !== 0 ? codecOf(btf, typeId) : plainCodec(size);
}

function fitting(raw: RawMap, role: "key" | "value", size: number, codec: Codec<unknown>): Codec<unknown> {
  if (codec.size === size) return codec;
  // Compilers leave a data section's size open in its type; the section may end with padding.
  if (role === "value" && raw.spec.initial !== null && codec.size < size) return { ...codec, size };
  throw new LayoutError(
    `${role} of "${raw.spec.name}": the map has ${size} bytes for it, and its type takes ${codec.size}`,
  );
}
