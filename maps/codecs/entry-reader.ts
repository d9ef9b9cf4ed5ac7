import type { Codec } from "../../framework/core/layout.ts";
import { compileReader, sourceOf } from "./inline-codec.ts";

/** Takes an entry, and where its key's bytes are; those are valid only during the call. */
export type DecodedVisitor<K, V> = (key: K, value: V, keys: DataView, keyAt: number) => void;

/** Decodes entries that stand one after another, keys in one memory and values in another. */
export type EntryReader<K, V> = (
  keys: DataView,
  values: DataView,
  count: number,
  visit: DecodedVisitor<K, V>,
) => void;

/**
 * The reader for entries of two types. It is generated code, a loop with both decoders in line: calling codecs for each
 * entry would cost more than the kernel takes to hand it over.
 */
export function entryReader<K, V>(key: Codec<K>, value: Codec<V>): EntryReader<K, V> {
  const readKey = compileReader<K>((bind) => sourceOf(key as Codec<unknown>, "at", bind));
  const readValue = compileReader<V>((bind) => sourceOf(value as Codec<unknown>, "at", bind));
  const body = `"use strict";
    return (keys, values, count, visit) => {
      for (let i = 0; i < count; i++) {
        const keyAt = i * ${key.size};
        visit(readKey(keys, keyAt), readValue(values, i * ${value.size}), keys, keyAt);
      }
    };`;
  return new Function("readKey", "readValue", body)(readKey, readValue) as EntryReader<K, V>;
}
