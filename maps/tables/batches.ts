import { MapError, UnsupportedError } from "../../framework/core/errors.ts";
import {
  type BatchCursor,
  type BatchWriteMap,
  isBatchMap,
  isBatchTakeMap,
  isBatchWriteMap,
  type RawMap,
} from "../../framework/runtime/types.ts";
import { type Bytes, bytesOf } from "./table.ts";

/** Bytes of one batch: large enough that the system call's cost disappears, small enough to stay in a CPU's cache. */
const batchBytes = 1 << 16;

/** Called with `count` entries, keys one after another and values too; the buffers are valid only during the call. */
export type BatchVisitor = (keys: Bytes, values: Bytes, count: number) => void;

/** What one entry takes, and how many a map holds. */
export interface EntrySizes {
  readonly key: number;
  /** With all CPUs' slots, where the map is per CPU. */
  readonly value: number;
  readonly mostEntries: number;
}

/**
 * Visits all entries in batches. A bucket that holds more than a batch is read with a larger one.
 *
 * @returns false when the map or the kernel has no batches; then nothing was visited
 */
export function readInBatches(raw: RawMap, sizes: EntrySizes, visit: BatchVisitor): boolean {
  if (!isBatchMap(raw)) return false;
  return eachBatch(sizes, visit, (cursor, keys, values, most) => raw.lookupBatch(cursor, keys, values, most));
}

/** The same; the entries are gone from the map when they are visited. */
export function takeInBatches(raw: RawMap, sizes: EntrySizes, visit: BatchVisitor): boolean {
  if (!isBatchTakeMap(raw)) return false;
  return eachBatch(sizes, visit, (cursor, keys, values, most) => raw.takeBatch(cursor, keys, values, most));
}

type ReadBatch = (cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number) => number;

function eachBatch(sizes: EntrySizes, visit: BatchVisitor, read: ReadBatch): boolean {
  const fitting = Math.floor(batchBytes / (sizes.key + sizes.value));
  let most = Math.max(16, Math.min(fitting, sizes.mostEntries));
  let keys = bytesOf(sizes.key * most);
  let values = bytesOf(sizes.value * most);
  const cursor: BatchCursor = { position: null, done: false };
  for (let seen = 0; !cursor.done && seen < sizes.mostEntries; ) {
    let count: number;
    try {
      count = read(cursor, keys.bytes, values.bytes, most);
    } catch (error) {
      if (error instanceof MapError && error.code === "BATCH_SIZE" && most < sizes.mostEntries) {
        most = Math.min(most * 4, sizes.mostEntries);
        keys = bytesOf(sizes.key * most);
        values = bytesOf(sizes.value * most);
        continue;
      }
      const isRefused = error instanceof UnsupportedError || error instanceof MapError;
      if (!isRefused || seen > 0) throw error;
      return false;
    }
    if (count > 0) visit(keys, values, count);
    if (count === 0) break;
    seen += count;
  }
  return true;
}

/**
 * Writes `count` entries, in batches where the map can. An entry that is refused in a batch is written once more
 * alone, so that its error says why.
 */
export function writeEntries(
  raw: RawMap,
  sizes: EntrySizes,
  entries: { readonly keys: Uint8Array; readonly values: Uint8Array; readonly count: number },
): void {
  const { keys, values, count } = entries;
  inBatches(raw, sizes, count, {
    batch: (writer, from, to) =>
      writer.updateBatch(
        keys.subarray(from * sizes.key, to * sizes.key),
        values.subarray(from * sizes.value, to * sizes.value),
        to - from,
      ),
    one: (index) => raw.update(pieceOf(keys, index, sizes.key), pieceOf(values, index, sizes.value), "any"),
  });
}

/** Deletes `count` keys, in batches where the map can. Absent keys are no error. */
export function deleteEntries(raw: RawMap, sizes: EntrySizes, keys: Uint8Array, count: number): void {
  inBatches(raw, sizes, count, {
    batch: (writer, from, to) =>
      writer.deleteBatch(keys.subarray(from * sizes.key, to * sizes.key), to - from),
    one: (index) => void raw.delete(pieceOf(keys, index, sizes.key)),
  });
}

interface Steps {
  /** Does entries `from` up to `to` and returns how many. */
  batch(writer: BatchWriteMap, from: number, to: number): number;
  one(index: number): void;
}

function inBatches(raw: RawMap, sizes: EntrySizes, count: number, { batch, one }: Steps): void {
  const most = Math.max(16, Math.floor(batchBytes / (sizes.key + sizes.value)));
  let inBatch = isBatchWriteMap(raw);
  for (let at = 0; at < count; ) {
    const to = Math.min(count, at + most);
    if (inBatch && isBatchWriteMap(raw)) {
      try {
        at += batch(raw, at, to);
        if (at === to) continue;
      } catch (error) {
        if (!(error instanceof UnsupportedError)) throw error;
        inBatch = false;
      }
    }
    one(at++);
  }
}

function pieceOf(bytes: Uint8Array, index: number, size: number): Uint8Array {
  return bytes.subarray(index * size, (index + 1) * size);
}
