import type { Codec } from "../../framework/core/layout.ts";
import { compileReader, sourceOf } from "./inline-codec.ts";

/** Takes an entry, and where its key's bytes are; those are valid only during the call. */
export type DecodedVisitor<K, V> = (key: K, value: V, keys: DataView, keyAt: number) => void;

/** Entries that stand one after another, keys in one memory and values in another. */
export interface EncodedEntries {
  readonly keys: DataView;
  readonly values: DataView;
  readonly count: number;
}

/** Decodes entries of two types. */
export interface EntryReader<K, V> {
  /** Calls `visit` for each. */
  each(entries: EncodedEntries, visit: DecodedVisitor<K, V>): void;
  /** Appends all of them to an array. */
  append(entries: EncodedEntries, to: [K, V][]): void;
  /** Decodes each when the loop comes to it; the memory must stay as it is until then. */
  walk(entries: EncodedEntries): Generator<[K, V]>;
}

/**
 * The reader for entries of two types. It is generated code, loops with both decoders in line: calling codecs for each
 * entry would cost more than the kernel takes to hand it over, and loops shared by all tables would be slow for each.
 */
export function entryReader<K, V>(key: Codec<K>, value: Codec<V>): EntryReader<K, V> {
  const readKey = compileReader<K>((bind) => sourceOf(key as Codec<unknown>, "at", bind));
  const readValue = compileReader<V>((bind) => sourceOf(value as Codec<unknown>, "at", bind));
  const entry = `readKey(keys, i * ${key.size}), readValue(values, i * ${value.size})`;
  const body = `"use strict";
    return {
      each({ keys, values, count }, visit) {
        for (let i = 0; i < count; i++) visit(${entry}, keys, i * ${key.size});
      },
      append({ keys, values, count }, to) {
        for (let i = 0; i < count; i++) to.push([${entry}]);
      },
      *walk({ keys, values, count }) {
        for (let i = 0; i < count; i++) yield [${entry}];
      },
    };`;
  return new Function("readKey", "readValue", body)(readKey, readValue) as EntryReader<K, V>;
}
