import type { Observable } from "rxjs";
import { MapError, UsageError } from "../../framework/core/errors.ts";
import { type Codec, viewOf } from "../../framework/core/layout.ts";
import {
  type DecodedVisitor,
  type EncodedEntries,
  type EntryReader,
  entryReader,
} from "../codecs/entry-reader.ts";
import { type HistogramForm, type HistogramOptions, histogramText } from "../histogram.ts";
import { mapKinds } from "../kinds.ts";
import {
  type Batch,
  deleteEntries,
  type EntrySizes,
  joined,
  readBatches,
  takeBatches,
  writeEntries,
} from "./batches.ts";
import type { Change, EntrySource, PeriodOptions, Pressure } from "./stream-factory.ts";
import { type Bytes, bytesOf, Table, type TableParts } from "./table.ts";

/** What a table with keys is made of. */
export interface KeyedParts<K, V> extends TableParts {
  readonly key: Codec<K>;
  /** For a per-CPU map: all CPUs' values. */
  readonly value: Codec<V>;
}

/** Where a map names no size (cgroup storage), a walk stops here. */
const mostWithoutSize = 1 << 20;

/** One CPU's value. */
export type PerCpuItem<V> = V extends readonly (infer T)[] ? T : never;

/**
 * A table of keys and values: the protocol of a JavaScript Map, and BCC's methods.
 *
 * Per-CPU tables are of this class too: their values are arrays with one item per possible CPU.
 *
 * Programs go on writing while a table is read. A walk meets entries that were there all the time; when the key it
 * stands on is deleted, the kernel starts again at the first, so keys may come twice, and a walk stops after
 * `max_entries` keys. Maps with batch reading are read in batches, which are consistent within a hash bucket.
 */
export class KeyedTable<K, V> extends Table implements EntrySource<K, V> {
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;
  readonly #keyBytes: Bytes;
  readonly #valueBytes: Bytes;
  #hasBatches = true;
  #reader: EntryReader<K, V> | undefined;

  constructor(parts: KeyedParts<K, V>) {
    super(parts);
    this.#key = parts.key;
    this.#value = parts.value;
    this.#keyBytes = bytesOf(parts.key.size);
    this.#valueBytes = bytesOf(parts.value.size);
  }

  /** The value, or undefined when the key is absent. */
  get(key: K): V | undefined {
    const { raw } = this;
    if (!raw.lookup(this.#encodedKey(key), this.#valueBytes.bytes)) return undefined;
    return this.#value.read(this.#valueBytes.view, 0);
  }

  /**
   * Writes the value, whether or not the key is there. Fields of a struct that are left out become zero.
   * @throws MapError MAP_FULL when there is no room; LayoutError when key or value does not fit its type
   */
  set(key: K, value: V): this {
    const { raw } = this;
    raw.update(this.#encodedKey(key), this.encode(this.#value, value, this.#valueBytes, "value"), "any");
    return this;
  }

  has(key: K): boolean {
    const { raw } = this;
    return raw.lookup(this.#encodedKey(key), this.#valueBytes.bytes);
  }

  /** Returns false when the key was absent. */
  delete(key: K): boolean {
    const { raw } = this;
    return raw.delete(this.#encodedKey(key));
  }

  /** Deletes the key and gives the value that it had, or undefined when it was absent. */
  pop(key: K): V | undefined {
    const value = this.get(key);
    return value !== undefined && this.delete(key) ? value : undefined;
  }

  /** Sets all entries of another table, a Map or pairs, one after the other. */
  update(entries: Iterable<readonly [K, V]>): this {
    for (const [key, value] of entries) this.set(key, value);
    return this;
  }

  /** A key as the table stores it: what is left out is zero. Plain values serve everywhere as well. */
  Key(key?: Partial<K>): K {
    return this.stored(this.#key, key, "key");
  }

  /** A value as the table stores it: what is left out is zero. */
  Leaf(value?: Partial<V>): V {
    return this.stored(this.#value, value, "value");
  }

  /** A key as BCC writes it: `{ 0x1 "text" [ 0x2 0x3 ] }`. Bytes that are no UTF-8 come out as U+FFFD. */
  key_sprintf(key: K): string {
    return this.printed(this.#key, key, "key");
  }

  /** A value as BCC writes it; of a per-CPU table those of all CPUs, in brackets. */
  leaf_sprintf(value: V): string {
    return this.printed(this.#value, value, "value");
  }

  /** The key that `key_sprintf` wrote. @throws LayoutError for a text of another form */
  key_scanf(text: string): K {
    return this.scanned(this.#key, text, "key");
  }

  /** The value that `leaf_sprintf` wrote. @throws LayoutError for a text of another form */
  leaf_scanf(text: string): V {
    return this.scanned(this.#value, text, "value");
  }

  /** The key that the kernel has behind this one, or the first where this one is absent; undefined behind the last. */
  next(key: K): K | undefined {
    const after = new Uint8Array(this.#key.size);
    return this.raw.nextKey(this.encodeKey(key), after) ? this.decodeKey(after) : undefined;
  }

  /** Counts the entries by reading them all, in batches where the map can. */
  get size(): number {
    let size = 0;
    for (const { count } of this.#batches()) size += count;
    return size;
  }

  [Symbol.iterator](): Generator<[K, V]> {
    return this.iteritems();
  }

  entries(): Generator<[K, V]> {
    return this.iteritems();
  }

  forEach(callback: (value: V, key: K, table: this) => void): void {
    for (const [key, value] of this.items()) callback(value, key, this);
  }

  *keys(): Generator<K> {
    for (const key of this.keyWalk()) yield this.decodeKey(key);
  }

  /** All entries as they are now, as an array. */
  items(): [K, V][] {
    const items: [K, V][] = [];
    for (const batch of this.#batches()) this.#entryReader.append(viewsOf(batch), items);
    return items;
  }

  /** All values as they are now, as an array. */
  values(): V[] {
    const values: V[] = [];
    this.readDecoded((_key, value) => values.push(value));
    return values;
  }

  /** Entries one by one, each looked up when the loop comes to it; keys that vanish meanwhile are left out. */
  *iteritems(): Generator<[K, V]> {
    const value = bytesOf(this.#value.size);
    for (const key of this.keyWalk()) {
      if (this.raw.lookup(key, value.bytes)) yield [this.decodeKey(key), this.#value.read(value.view, 0)];
    }
  }

  *itervalues(): Generator<V> {
    for (const [, value] of this.iteritems()) yield value;
  }

  /** Deletes every key that is there when it starts. */
  clear(): void {
    const keys = this.#allKeys();
    deleteEntries(this.raw, this.#sizes, joined(keys, this.#key.size), keys.length);
  }

  /** Makes every value zero and keeps the keys. A key that a program deletes meanwhile stays deleted. */
  zero(): void {
    const zeros = new Uint8Array(this.#value.size);
    for (const key of this.#allKeys()) {
      try {
        this.raw.update(key, zeros, "replace");
      } catch (error) {
        if (!(error instanceof MapError && error.code === "KEY_MISSING")) throw error;
      }
    }
  }

  /**
   * Entries read in batches where the map can (Linux 5.6), else one by one. A batch is read when the loop comes to it, so
   * that large tables take little memory.
   */
  items_lookup_batch(): IterableIterator<[K, V]> {
    return this.#entryReader.walk(() => viewsOfAll(this.#batches()));
  }

  /**
   * Entries, deleted as they are read. Where the map gives them away in batches (hashes, Linux 5.6) nothing is lost;
   * elsewhere, what a program adds to an entry between its reading and its deletion is.
   */
  *items_lookup_and_delete_batch(): Generator<[K, V]> {
    const batches = takeBatches(this.raw, this.#sizes);
    if (batches !== undefined) {
      // All at once: who leaves the loop early must not leave half of them.
      const taken: [K, V][] = [];
      for (const batch of batches) this.#entryReader.append(viewsOf(batch), taken);
      yield* taken;
      return;
    }
    const entries: [Uint8Array, V][] = [];
    this.readEntries((key, value) => entries.push([key.slice(), this.decodeValue(value)]));
    for (const [key, value] of entries) {
      if (this.remove(key)) yield [this.decodeKey(key), value];
    }
  }

  /** Deletes the given keys, or all, in batches where the map can (Linux 5.6); absent keys are no error. */
  items_delete_batch(keys?: Iterable<K>): void {
    if (keys === undefined) {
      this.clear();
      return;
    }
    const encoded = Array.from(keys, (key) => this.encodeKey(key));
    deleteEntries(this.raw, this.#sizes, joined(encoded, this.#key.size), encoded.length);
  }

  /**
   * Writes `values[i]` under `keys[i]`, in batches where the map can (Linux 5.6).
   * @throws UsageError when there are not as many keys as values, LayoutError when one does not fit its type: then
   * nothing is written. MapError MAP_FULL when there is no room: then what came before is
   */
  items_update_batch(keys: Iterable<K>, values: Iterable<V>): void {
    const keyList = [...keys];
    const valueList = [...values];
    if (keyList.length !== valueList.length) {
      throw new UsageError(
        `items_update_batch on "${this.name}": ${keyList.length} keys do not go with ${valueList.length} values`,
      );
    }
    const keyBytes = joined(
      keyList.map((key) => this.encodeKey(key)),
      this.#key.size,
    );
    const valueBytes = joined(
      valueList.map((value) => this.encode(this.#value, value, bytesOf(this.#value.size), "value")),
      this.#value.size,
    );
    writeEntries(this.raw, this.#sizes, { keys: keyBytes, values: valueBytes, count: keyList.length });
  }

  /** Per-CPU tables: the values of all CPUs; undefined when the key is absent. */
  getvalue(key: K): V | undefined {
    this.#assertPerCpu("getvalue");
    return this.get(key);
  }

  /** Per-CPU tables of numbers: the sum over all CPUs, which may exceed the value's C type. */
  sum(key: K): PerCpuItem<V> | undefined {
    return this.#fold("sum", key, (values) => values.reduce((sum, value) => add(sum, value)));
  }

  /** Per-CPU tables of numbers: the sum divided by the number of possible CPUs; for bigint rounded towards zero. */
  average(key: K): PerCpuItem<V> | undefined {
    return this.#fold("average", key, (values) => {
      const sum = values.reduce((left, right) => add(left, right));
      return typeof sum === "bigint" ? sum / BigInt(values.length) : sum / values.length;
    });
  }

  /** Per-CPU tables of numbers: the largest CPU's value. */
  max(key: K): PerCpuItem<V> | undefined {
    return this.#fold("max", key, (values) => values.reduce(larger));
  }

  /**
   * Prints the table as a log2 histogram, in BCC's layout: the key is the slot that `bpf_log2l` gave, or a struct of a
   * bucket and a slot. Arguments by position as in BCC, or as one object; `write` takes the text instead of the console.
   */
  print_log2_hist(...args: HistogramArguments): void {
    this.#print("log2", histogramOptions(args));
  }

  /** Prints the table as a linear histogram: keys are slots, counted from 0. Arguments as for print_log2_hist. */
  print_linear_hist(...args: HistogramArguments): void {
    this.#print("linear", histogramOptions(args));
  }

  /** Prints a log2 histogram as JSON, one object per line and section. */
  print_json_hist(
    val_type?: string | HistogramOptions,
    section_header?: string,
    section_print_fn?: HistogramOptions["section_print_fn"],
    bucket_fn?: HistogramOptions["bucket_fn"],
    bucket_sort_fn?: HistogramOptions["bucket_sort_fn"],
  ): void {
    const args = [val_type, section_header, section_print_fn, bucket_fn, undefined, bucket_sort_fn] as const;
    this.#print("json", histogramOptions([...args]));
  }

  /** The table's whole contents, at once and then every period. */
  snapshots(periodMs: number, options: PeriodOptions = {}): Observable<ReadonlyMap<K, V>> {
    return this.streams.snapshots(this, periodMs, options);
  }

  /** What changed since the last look, at every period; the first look reports every entry as set. */
  changes(periodMs: number, options: PeriodOptions = {}): Observable<Change<K, V>> {
    return this.streams.changes(this, periodMs, options);
  }

  /** How full the table is now. Reads the whole table, as `size` does. */
  pressureNow(): Pressure {
    const { size: entries, max_entries: maxEntries, failedUpdates } = this;
    return { entries, maxEntries, share: maxEntries === 0 ? 0 : entries / maxEntries, failedUpdates };
  }

  /** How full the table is, at once and then every period. */
  pressure(periodMs: number, options: PeriodOptions = {}): Observable<Pressure> {
    return this.streams.pressure(this, periodMs, options);
  }

  /** Calls `visit` for each entry, in batches where the map can. The bytes are valid only during the call. */
  readEntries(visit: (key: Uint8Array, value: Uint8Array) => void): void {
    const keySize = this.#key.size;
    const valueSize = this.#value.size;
    for (const { keys, values, count } of this.#batches()) {
      for (let i = 0; i < count; i++) {
        const key = keys.bytes.subarray(i * keySize, (i + 1) * keySize);
        visit(key, values.bytes.subarray(i * valueSize, (i + 1) * valueSize));
      }
    }
  }

  /** The same, decoded. */
  readDecoded(visit: DecodedVisitor<K, V>): void {
    for (const batch of this.#batches()) this.#entryReader.each(viewsOf(batch), visit);
  }

  decodeKey(bytes: Uint8Array): K {
    return this.#key.read(viewOf(bytes), 0);
  }

  decodeValue(bytes: Uint8Array): V {
    return this.#value.read(viewOf(bytes), 0);
  }

  encodeKey(key: K): Uint8Array {
    return this.encode(this.#key, key, bytesOf(this.#key.size), "key");
  }

  /** Deletes an entry by its key's bytes; false when it was absent. */
  protected remove(key: Uint8Array): boolean {
    return this.raw.delete(key);
  }

  /** Bytes of one key. */
  get keySize(): number {
    return this.#key.size;
  }

  /** Bytes of one value, of all CPUs where the map is per CPU. */
  protected get valueBytes(): number {
    return this.#value.size;
  }

  /** Keys as bytes, in the same buffer each time; at most `max_entries`. */
  protected *keyWalk(): Generator<Uint8Array> {
    const most = this.max_entries === 0 ? mostWithoutSize : this.max_entries;
    const key = new Uint8Array(this.#key.size);
    let after: Uint8Array | null = null;
    for (let i = 0; i < most && this.raw.nextKey(after, key); i++) {
      yield key;
      after ??= new Uint8Array(key.length);
      after.set(key);
    }
  }

  #encodedKey(key: K): Uint8Array {
    return this.encode(this.#key, key, this.#keyBytes, "key");
  }

  #allKeys(): readonly Uint8Array[] {
    return Array.from(this.keyWalk(), (key) => key.slice());
  }

  get #entryReader(): EntryReader<K, V> {
    this.#reader ??= entryReader(this.#key, this.#value);
    return this.#reader;
  }

  /** All entries, in batches where the map can, else one by one. */
  #batches(): Iterable<Batch> {
    const { raw } = this;
    if (this.#hasBatches && mapKinds[this.kind].batch) {
      const batches = readBatches(raw, this.#sizes);
      if (batches !== undefined) return batches;
      this.#hasBatches = false;
    }
    return this.#oneByOne();
  }

  *#oneByOne(): Generator<Batch> {
    const values = bytesOf(this.#value.size);
    for (const key of this.keyWalk()) {
      if (this.raw.lookup(key, values.bytes))
        yield { keys: { bytes: key, view: viewOf(key) }, values, count: 1 };
    }
  }

  get #sizes(): EntrySizes {
    return { key: this.#key.size, value: this.#value.size, mostEntries: this.max_entries };
  }

  #print(form: HistogramForm, options: HistogramOptions): void {
    const text = histogramText(this.items(), form, options);
    const write = options.write ?? ((line: string) => console.log(line));
    if (text !== "") write(text);
  }

  #assertPerCpu(method: string): void {
    if (mapKinds[this.kind].perCpu) return;
    throw new UsageError(
      `${method} on "${this.name}": a ${this.kind} has one value per key, not one per CPU`,
      {
        hint: "use get(key), or declare the table per CPU",
      },
    );
  }

  #fold(
    method: string,
    key: K,
    fold: (values: readonly (number | bigint)[]) => number | bigint,
  ): PerCpuItem<V> | undefined {
    this.#assertPerCpu(method);
    const values: unknown = this.get(key);
    if (values === undefined) return undefined;
    if (
      !Array.isArray(values) ||
      !values.every((value) => typeof value === "number" || typeof value === "bigint")
    ) {
      throw new UsageError(`${method} on "${this.name}": its values are not plain numbers, one per CPU`, {
        hint: "use get(key) and fold the values yourself",
      });
    }
    // The items were just seen to be numbers of one kind, and V is the array they came in.
    return fold(values) as PerCpuItem<V>;
  }
}

function* viewsOfAll(batches: Iterable<Batch>): Generator<EncodedEntries> {
  for (const batch of batches) yield viewsOf(batch);
}

function viewsOf({ keys, values, count }: Batch): EncodedEntries {
  return { keys: keys.view, values: values.view, count };
}

function add(left: number | bigint, right: number | bigint): number | bigint {
  return typeof left === "bigint" ? left + BigInt(right) : left + Number(right);
}

function larger(left: number | bigint, right: number | bigint): number | bigint {
  if (right > left) return right;
  return left;
}

/** BCC's positional arguments, or the same as an object. */
export type HistogramArguments = [
  val_type?: string | HistogramOptions | undefined,
  section_header?: string | undefined,
  section_print_fn?: HistogramOptions["section_print_fn"],
  bucket_fn?: HistogramOptions["bucket_fn"],
  strip_leading_zero?: boolean | undefined,
  bucket_sort_fn?: HistogramOptions["bucket_sort_fn"],
];

function histogramOptions(args: HistogramArguments): HistogramOptions {
  const [first, section_header, section_print_fn, bucket_fn, strip_leading_zero, bucket_sort_fn] = args;
  if (typeof first === "object") return first;
  return { val_type: first, section_header, section_print_fn, bucket_fn, strip_leading_zero, bucket_sort_fn };
}
