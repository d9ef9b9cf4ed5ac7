import type { RawMap } from "../framework/runtime/types.ts";
import { streamFactory } from "./streams/factory.ts";
import { type AnyTable, openTable as openWith, type TableContext } from "./tables/open.ts";

export { type Enumeration, enumerationOf } from "./codecs/enumeration.ts";
export { copyOfView, type EventView } from "./codecs/event-view.ts";
export { codecOf } from "./codecs/from-btf.ts";
export { perCpu, reduced } from "./codecs/per-cpu.ts";
export { namedCodec, plainCodec } from "./codecs/plain.ts";
export type { HistogramOptions } from "./histogram.ts";
export { jsonHistogram, linearHistogram, log2Histogram } from "./histogram.ts";
export { type MapKind, type MapKindName, mapKinds } from "./kinds.ts";
export type { IterableStream, IterateOptions } from "./streams/iterate.ts";
export { iterate } from "./streams/iterate.ts";
export { traceLines } from "./streams/lines.ts";
export { select } from "./streams/select.ts";
export type { Watched } from "./streams/snapshots.ts";
export { walkSnapshots, walkStream } from "./streams/walks.ts";
export type { PollOptions } from "./tables/buffers.ts";
export { BufferGroup } from "./tables/buffers.ts";
export type {
  CounterTable,
  EventBuffers,
  PerfBufferOptions,
  PerfCallback,
  RingCallback,
} from "./tables/events.ts";
export { EventTable } from "./tables/events.ts";
export { FilterTable } from "./tables/filter.ts";
export { IndexedTable } from "./tables/indexed.ts";
export type { PerCpuItem } from "./tables/keyed.ts";
export { KeyedTable } from "./tables/keyed.ts";
export type { Loss, LossCount, LossReason } from "./tables/losses.ts";
export type { TableLike } from "./tables/nested.ts";
export { NestedTable } from "./tables/nested.ts";
export type { AnyTable, TypeChoice } from "./tables/open.ts";
export type { ProgramLike } from "./tables/programs.ts";
export { ProgramTable } from "./tables/programs.ts";
export { QueueTable } from "./tables/queue.ts";
export type { HasDescriptor } from "./tables/references.ts";
export { ReferenceTable } from "./tables/references.ts";
export type { BuildIdFrame, StackFrame, StackValue } from "./tables/stacks.ts";
export { StackTable } from "./tables/stacks.ts";
export type { StorageOwner } from "./tables/storage.ts";
export { StorageTable } from "./tables/storage.ts";
export type { Change, EventStreamOptions, PeriodOptions, Pressure } from "./tables/stream-factory.ts";
export { Table } from "./tables/table.ts";
export { UserRecord, UserRingTable } from "./tables/user-ring.ts";

/** What a table needs from its surroundings; its streams come from here. */
export type OpenContext = Omit<TableContext, "streams">;

/**
 * The table for a map, by its kind, with streams.
 *
 * Typed as a table of every kind, since a map's name does not tell its kind; `instanceof KeyedTable` and the like do.
 * @throws UnsupportedError for kinds that have no table; LayoutError when a type's size is not the map's
 */
export function openTable<K = unknown, V = unknown>(raw: RawMap, context: OpenContext): AnyTable<K, V> {
  return openWith(raw, { ...context, streams: streamFactory }) as AnyTable<K, V>;
}
