import { unlinkSync } from "node:fs";
import { ClosedError, LayoutError, MapError, UnsupportedError } from "../../framework/core/errors.ts";
import { type Codec, roundUp } from "../../framework/core/layout.ts";
import { once, type Scope } from "../../framework/core/scope.ts";
import { isSharedMap, type RawMap, type SharedMap } from "../../framework/runtime/types.ts";
import { type BccText, bccText, perCpuText, plainText, scanAll } from "../codecs/bcc-text.ts";
import { type MapKindName, mapKinds } from "../kinds.ts";
import type { StreamFactory } from "./stream-factory.ts";

/** What every table is made of. */
export interface TableParts {
  readonly raw: RawMap;
  /** Owns the map; the table is closed when it is. */
  readonly scope: Scope;
  readonly streams: StreamFactory;
  /** Updates that the kernel refused so far, one total per CPU, where programs count them. */
  readonly failedUpdates?: (() => readonly bigint[]) | undefined;
}

/** What all tables share: a map, and being closed with the BPF object that owns it. */
export abstract class Table {
  /** The C variable's name. */
  readonly name: string;
  readonly kind: MapKindName;
  /** The kind's number, as `enum bpf_map_type` has it. */
  readonly ttype: number;
  /** The map's flags, as the kernel counts them: 1 is BPF_F_NO_PREALLOC. */
  readonly flags: number;
  /** How many entries fit; bytes for a ring buffer. */
  readonly max_entries: number;
  protected readonly streams: StreamFactory;
  readonly #raw: RawMap;
  readonly #scope: Scope;
  readonly #failedUpdates: (() => readonly bigint[]) | undefined;

  constructor(parts: TableParts) {
    this.#raw = parts.raw;
    this.#scope = parts.scope;
    this.streams = parts.streams;
    this.#failedUpdates = parts.failedUpdates;
    this.name = parts.raw.spec.name;
    this.kind = parts.raw.spec.kind;
    this.max_entries = parts.raw.spec.maxEntries;
    this.ttype = mapKinds[this.kind].type;
    this.flags = parts.raw.spec.flags;
  }

  /** Whether the table's map is gone. */
  get closed(): boolean {
    return this.#scope.closed;
  }

  /**
   * Updates by methods of this object's programs (`update`, `insert`, `lookup_or_init`, `increment`, `push`, …) that the
   * kernel refused since the object was made: because the table was full, mostly. That `insert` finds its key is none.
   * Undefined unless the object was made with `countFailedUpdates`, and of buffers, which have `lost`.
   */
  get failedUpdates(): number | undefined {
    this.assertOpen();
    return this.#failedUpdates?.().reduce((sum, count) => sum + Number(count), 0);
  }

  /**
   * The map's bytes.
   * @throws ClosedError after the BPF object was closed
   */
  get raw(): RawMap {
    this.assertOpen();
    return this.#raw;
  }

  /** The map's descriptor, which stays this table's: what goes into a table of tables. */
  get map_fd(): number {
    return this.#shared("descriptor").fd;
  }

  /** BCC's name for `map_fd`. */
  get_fd(): number {
    return this.map_fd;
  }

  /** The number the kernel gives the map, which bpftool and tables of tables show (4.13). */
  get id(): number {
    return this.#shared("id").id;
  }

  /** As `id`. */
  get map_id(): number {
    return this.id;
  }

  /** As `name`. */
  get _name(): string {
    return this.name;
  }

  /**
   * Keeps the map under a path of a BPF file system (4.4), beyond the end of this process; folders are made.
   * @throws MapError MAP_PIN when it cannot be, or when there is something already
   */
  pin(path: string): void {
    this.#shared("pin").pin(path);
  }

  /**
   * Removes a path that a map is kept under. The map lives on while anybody else holds it.
   * @throws MapError MAP_PIN when there is nothing
   */
  unpin(path: string): void {
    try {
      unlinkSync(path);
    } catch (cause) {
      throw new MapError(
        "MAP_PIN",
        `cannot unpin table "${this.name}": there is nothing to remove at ${path}`,
        { cause },
      );
    }
  }

  #shared(what: string): SharedMap {
    const { raw } = this;
    if (isSharedMap(raw)) return raw;
    throw new UnsupportedError(`table "${this.name}" has no ${what} on this runtime`);
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
    return this.#blame(role, () => {
      codec.write(into.view, 0, value);
      return into.bytes;
    });
  }

  /** A key or value as it is stored: what is left out is zero, and so is all of it where nothing is given. */
  protected stored<T>(codec: Codec<T>, value: Partial<T> | undefined, role: "key" | "value"): T {
    const into = bytesOf(codec.size);
    // Codecs of records take what is left out for zero.
    if (value !== undefined) this.encode(codec, value as T, into, role);
    return codec.read(into.view, 0);
  }

  /** A key or value as BCC's text. */
  protected printed<T>(codec: Codec<T>, value: T, role: "key" | "value"): string {
    const into = bytesOf(codec.size);
    this.encode(codec, value, into, role);
    return this.#textForm(role, codec.size).print(into.view, 0);
  }

  /** The key or value of such a text. */
  protected scanned<T>(codec: Codec<T>, text: string, role: "key" | "value"): T {
    const into = bytesOf(codec.size);
    return this.#blame(role, () => {
      scanAll(this.#textForm(role, codec.size), text, into.view);
      return codec.read(into.view, 0);
    });
  }

  #textForm(role: "key" | "value", size: number): BccText {
    const { btf, keyType, keySize, valueType, valueSize } = this.#raw.spec;
    const type = role === "key" ? keyType : valueType;
    const one =
      btf === null || type === 0 ? plainText(role === "key" ? keySize : valueSize) : bccText(btf, type);
    if (role === "key" || !mapKinds[this.kind].perCpu) return one;
    return perCpuText(one, size / roundUp(valueSize, 8));
  }

  /** Says in an error of layout which table it was about, and whether its key or value. */
  #blame<T>(role: "key" | "value", action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof LayoutError)) throw error;
      throw new LayoutError(`${role} of "${this.name}": ${error.message}`, {
        hint: error.hint ?? this.#typeHint(role),
        cause: error,
      });
    }
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
