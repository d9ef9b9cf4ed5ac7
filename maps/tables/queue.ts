import { UnsupportedError, UsageError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import { isPopMap } from "../../framework/runtime/types.ts";
import { type Bytes, bytesOf, Table, type TableParts } from "./table.ts";

/** BPF_ANY and BPF_EXIST of include/uapi/linux/bpf.h: whether a full queue drops its oldest value for a new one. */
const pushModes = new Map([
  [0, "any"],
  [2, "replace"],
] as const);

/** A queue (first in, first out) or a stack (last in, first out). Linux 4.20. */
export class QueueTable<V> extends Table {
  readonly #value: Codec<V>;
  readonly #bytes: Bytes;
  readonly #noKey = new Uint8Array(0);

  constructor(parts: TableParts & { readonly value: Codec<V> }) {
    super(parts);
    this.#value = parts.value;
    this.#bytes = bytesOf(parts.value.size);
  }

  /**
   * Adds a value.
   * @param flags 2 (BPF_EXIST) makes room by dropping the oldest value when full
   * @throws MapError MAP_FULL when there is no room
   */
  push(value: V, flags = 0): void {
    const { raw } = this;
    const mode = pushModes.get(flags as 0 | 2);
    if (mode === undefined) {
      throw new UsageError(`push on "${this.name}": flags must be 0 or 2 (BPF_EXIST), not ${flags}`);
    }
    raw.update(this.#noKey, this.encode(this.#value, value, this.#bytes, "value"), mode);
  }

  /** Takes the next value out; undefined when there is none. */
  pop(): V | undefined {
    const { raw } = this;
    if (!isPopMap(raw)) {
      throw new UnsupportedError(`pop on "${this.name}": values of a ${this.kind} cannot be taken out here`);
    }
    return raw.pop(this.#bytes.bytes) ? this.#value.read(this.#bytes.view, 0) : undefined;
  }

  /** The value that pop would take; undefined when there is none. */
  peek(): V | undefined {
    const { raw } = this;
    return raw.lookup(this.#noKey, this.#bytes.bytes) ? this.#value.read(this.#bytes.view, 0) : undefined;
  }

  /** A value as the table stores it: what is left out is zero. */
  Leaf(value?: Partial<V>): V {
    return this.stored(this.#value, value, "value");
  }

  /** A value as BCC writes it: `{ 0x1 "text" [ 0x2 0x3 ] }`. Bytes that are no UTF-8 come out as U+FFFD. */
  leaf_sprintf(value: V): string {
    return this.printed(this.#value, value, "value");
  }

  /** The value that `leaf_sprintf` wrote. @throws LayoutError for a text of another form */
  leaf_scanf(text: string): V {
    return this.scanned(this.#value, text, "value");
  }

  /** Takes all values out, at most `max_entries`, so that a program that goes on pushing cannot hold the caller. */
  values(): V[] {
    return [...this.itervalues()];
  }

  /** Takes values out one by one, at most `max_entries`. */
  *itervalues(): Generator<V> {
    for (let i = 0; i < this.max_entries; i++) {
      const value = this.pop();
      if (value === undefined) return;
      yield value;
    }
  }
}
