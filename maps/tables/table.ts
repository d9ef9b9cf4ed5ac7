import { ClosedError, LayoutError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import { once, type Scope } from "../../framework/core/scope.ts";
import type { RawMap } from "../../framework/runtime/types.ts";
import type { MapKindName } from "../kinds.ts";
import type { StreamFactory } from "./stream-factory.ts";

/** What every table is made of. */
export interface TableParts {
  readonly raw: RawMap;
  /** Owns the map; the table is closed when it is. */
  readonly scope: Scope;
  readonly streams: StreamFactory;
}

/** What all tables share: a map, and being closed with the BPF object that owns it. */
export abstract class Table {
  /** The C variable's name. */
  readonly name: string;
  readonly kind: MapKindName;
  /** How many entries fit; bytes for a ring buffer. */
  readonly max_entries: number;
  protected readonly streams: StreamFactory;
  readonly #raw: RawMap;
  readonly #scope: Scope;

  constructor(parts: TableParts) {
    this.#raw = parts.raw;
    this.#scope = parts.scope;
    this.streams = parts.streams;
    this.name = parts.raw.spec.name;
    this.kind = parts.raw.spec.kind;
    this.max_entries = parts.raw.spec.maxEntries;
  }

  /** Whether the table's map is gone. */
  get closed(): boolean {
    return this.#scope.closed;
  }

  /**
   * The map's bytes.
   * @throws ClosedError after the BPF object was closed
   */
  get raw(): RawMap {
    this.assertOpen();
    return this.#raw;
  }

  /** Calls the listener when the table is closed, unless the returned function is called first. */
  onClose(listener: () => void): () => void {
    this.assertOpen();
    const resource = { [Symbol.dispose]: once(listener) };
    this.#scope.own(resource);
    return () => this.#scope.disown(resource);
  }

  protected assertOpen(): void {
    if (this.#scope.closed) throw new ClosedError(`table "${this.name}" was closed with its BPF object`);
  }

  /** Encodes into bytes that were zero or hold an earlier value; errors say which table and whether key or value. */
  protected encode<T>(codec: Codec<T>, value: T, into: Bytes, role: "key" | "value"): Uint8Array {
    into.bytes.fill(0);
    try {
      codec.write(into.view, 0, value);
    } catch (error) {
      if (!(error instanceof LayoutError)) throw error;
      throw new LayoutError(`${role} of "${this.name}": ${error.message}`, {
        hint: error.hint ?? this.#typeHint(role),
        cause: error,
      });
    }
    return into.bytes;
  }

  #typeHint(role: "key" | "value"): string | undefined {
    const { btf, keyType, valueType } = this.#raw.spec;
    const type = role === "key" ? keyType : valueType;
    if (btf === null || type === 0) return undefined;
    return `in C the ${role} is of type ${btf.describe(type)}; numbers of 64 bits are bigints here, smaller ones numbers`;
  }
}

/** A buffer with the view that codecs want. */
export interface Bytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** A zeroed buffer. */
export function bytesOf(size: number): Bytes {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
}
