import { UnsupportedError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import { isFilterMap } from "../../framework/runtime/types.ts";
import { type Bytes, bytesOf, Table, type TableParts } from "./table.ts";

/** A bloom filter: values are added and never taken out, and asking for one that was not added may still say yes. */
export class FilterTable<V> extends Table {
  readonly #value: Codec<V>;
  readonly #bytes: Bytes;

  constructor(parts: TableParts & { readonly value: Codec<V> }) {
    super(parts);
    this.#value = parts.value;
    this.#bytes = bytesOf(parts.value.size);
  }

  /** Adds a value. */
  add(value: V): this {
    this.raw.update(noKey, this.encode(this.#value, value, this.#bytes, "value"), "any");
    return this;
  }

  /** False only for a value that was never added. */
  has(value: V): boolean {
    const { raw } = this;
    if (!isFilterMap(raw)) {
      throw new UnsupportedError(`has on "${this.name}": a ${this.kind} cannot be asked for a value here`);
    }
    return raw.mayHave(this.encode(this.#value, value, this.#bytes, "value"));
  }
}

const noKey = new Uint8Array(0);
