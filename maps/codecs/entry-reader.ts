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
  /** Decodes each when the loop comes to it, and asks for the next entries when it has passed the last. */
  walk(batches: () => Iterator<EncodedEntries>): IterableIterator<[K, V]>;
}

/**
 * The reader for entries of two types. It is generated code, loops with both decoders in line: calling codecs for each
 * entry would cost more than the kernel takes to hand it over, and loops shared by all tables would be slow for each.
 */
export function entryReader<K, V>(key: Codec<K>, value: Codec<V>): EntryReader<K, V> {
  const readKey = compileReader<K>((bind) => sourceOf(key as Codec<unknown>, "at", bind));
  const readValue = compileReader<V>((bind) => sourceOf(value as Codec<unknown>, "at", bind));
  const entry = `readKey(keys, i * ${key.size}), readValue(values, i * ${value.size})`;
  // Engines put a loop over an iterator of a class in line, but never one over a generator.
  const body = `"use strict";
    class Walk {
      #open; #batches; #keys; #values; #i = 0; #count = 0;
      constructor(open) { this.#open = open; }
      [Symbol.iterator]() { return this; }
      next() {
        while (this.#i >= this.#count) if (!this.#turn()) return { value: undefined, done: true };
        const i = this.#i++, keys = this.#keys, values = this.#values;
        return { value: [${entry}], done: false };
      }
      return(value) {
        this.#open = undefined;
        this.#count = 0;
        this.#batches?.return?.();
        this.#batches = undefined;
        return { value, done: true };
      }
      #turn() {
        if (this.#open !== undefined) {
          const open = this.#open;
          this.#open = undefined;
          this.#batches = open();
        }
        const next = this.#batches?.next();
        if (next === undefined || next.done) {
          this.return();
          return false;
        }
        this.#i = 0;
        ({ keys: this.#keys, values: this.#values, count: this.#count } = next.value);
        return true;
      }
    }
    return {
      each({ keys, values, count }, visit) {
        for (let i = 0; i < count; i++) visit(${entry}, keys, i * ${key.size});
      },
      append({ keys, values, count }, to) {
        for (let i = 0; i < count; i++) to.push([${entry}]);
      },
      walk: (open) => new Walk(open),
    };`;
  return new Function("readKey", "readValue", body)(readKey, readValue) as EntryReader<K, V>;
}
