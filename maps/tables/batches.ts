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
const batchBytes = 1 << 18;

/** Entries, keys one after another and values too. The next batch is read into the same buffers. */
export interface Batch {
  readonly keys: Bytes;
  readonly values: Bytes;
  readonly count: number;
}

/** What one entry takes, and how many a map holds. */
export interface EntrySizes {
  readonly key: number;
  /** With all CPUs' slots, where the map is per CPU. */
  readonly value: number;
  readonly mostEntries: number;
}

/**
 * All entries in batches, each read when the loop comes to it. A bucket that holds more than a batch is read with a
 * larger one.
 *
 * @returns undefined when the map or the kernel has no batches
 */
export function readBatches(raw: RawMap, sizes: EntrySizes): Iterable<Batch> | undefined {
  if (!isBatchMap(raw)) return undefined;
  return begun(sizes, (cursor, keys, values, most) => raw.lookupBatch(cursor, keys, values, most));
}

/** The same; the entries are gone from the map when they are read. */
export function takeBatches(raw: RawMap, sizes: EntrySizes): Iterable<Batch> | undefined {
  if (!isBatchTakeMap(raw)) return undefined;
  return begun(sizes, (cursor, keys, values, most) => raw.takeBatch(cursor, keys, values, most));
}

type ReadBatch = (cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number) => number;

/** Reads the first batch, which tells whether there are any; undefined when there are none. */
function begun(sizes: EntrySizes, read: ReadBatch): Iterable<Batch> | undefined {
  const reading = new Reading(sizes, read);
  try {
    const first = reading.next();
    return first === undefined ? [] : reading.goOn(first);
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof MapError) return undefined;
    throw error;
  }
}

/** A walk over a map, batch by batch. */
class Reading {
  readonly #sizes: EntrySizes;
  readonly #read: ReadBatch;
  readonly #cursor: BatchCursor = { position: null, done: false };
  #most: number;
  #keys: Bytes;
  #values: Bytes;
  #seen = 0;

  constructor(sizes: EntrySizes, read: ReadBatch) {
    this.#sizes = sizes;
    this.#read = read;
    const fitting = Math.floor(batchBytes / (sizes.key + sizes.value));
    this.#most = Math.max(16, Math.min(fitting, sizes.mostEntries));
    this.#keys = bytesOf(sizes.key * this.#most);
    this.#values = bytesOf(sizes.value * this.#most);
  }

  /** The first batch, which was read already, and all that follow. */
  *goOn(first: Batch): Generator<Batch> {
    for (let batch: Batch | undefined = first; batch !== undefined; batch = this.next()) yield batch;
  }

  /** The next batch; undefined behind the last. */
  next(): Batch | undefined {
    if (this.#cursor.done || this.#seen >= this.#sizes.mostEntries) return undefined;
    const count = this.#readNext();
    this.#seen += count;
    return count === 0 ? undefined : { keys: this.#keys, values: this.#values, count };
  }

  #readNext(): number {
    for (;;) {
      try {
        return this.#read(this.#cursor, this.#keys.bytes, this.#values.bytes, this.#most);
      } catch (error) {
        const isSmall = error instanceof MapError && error.code === "BATCH_SIZE";
        if (!isSmall || this.#most >= this.#sizes.mostEntries) throw error;
        this.#most = Math.min(this.#most * 4, this.#sizes.mostEntries);
        this.#keys = bytesOf(this.#sizes.key * this.#most);
        this.#values = bytesOf(this.#sizes.value * this.#most);
      }
    }
  }
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

/** Pieces of one size, one after another. */
export function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(pieces.length * size);
  pieces.forEach((piece, index) => {
    bytes.set(piece, index * size);
  });
  return bytes;
}
