import { ClosedError, LayoutError, UnsupportedError } from "../../framework/core/errors.ts";
import { type Codec, show } from "../../framework/core/layout.ts";
import type { RawMap, RingRoom, UserRing } from "../../framework/runtime/types.ts";
import { Table, type TableParts } from "./table.ts";

/** What a ring that programs drain is made of. */
export interface UserRingParts extends TableParts {
  /** The records' type; without it they are bytes. */
  readonly record: Codec<unknown> | undefined;
  readonly openUserRing: ((map: RawMap) => UserRing) | undefined;
}

/**
 * A ring buffer in the other direction: this process writes records, and a program takes them with
 * `user_ringbuf_drain`. Linux 6.1. Nobody wakes the program: it drains when it runs.
 */
export class UserRingTable<V> extends Table {
  readonly #record: Codec<unknown> | undefined;
  readonly #open: () => UserRing;
  #ring: UserRing | undefined;

  constructor(parts: UserRingParts) {
    super(parts);
    this.#record = parts.record;
    const { openUserRing, scope } = parts;
    this.#open = () => {
      if (openUserRing === undefined) {
        throw new UnsupportedError(`"${this.name}" cannot be written: this runtime has no user ring buffers`);
      }
      return scope.own(openUserRing(this.raw));
    };
  }

  /** Bytes that no program has drained yet, with 8 for each record. */
  get waiting(): number {
    return this.#opened.waiting;
  }

  /**
   * Sends a record; false when there is no room, because programs drain too slowly.
   * @throws LayoutError when the value does not fit the type, or no record of its length fits at all
   */
  send(value: V): boolean {
    const record = this.reserve(value instanceof Uint8Array ? value.length : undefined);
    if (record === undefined) return false;
    try {
      record.write(value);
    } catch (error) {
      record.discard();
      throw error;
    }
    record.submit();
    return true;
  }

  /**
   * Room for a record, which programs see when it is submitted; undefined when there is none. Records behind it wait
   * for it.
   *
   * @param length bytes; the type's, when there is one
   */
  reserve(length?: number): UserRecord<V> | undefined {
    this.assertOpen();
    const wanted = length ?? this.#record?.size;
    if (wanted === undefined || !Number.isInteger(wanted) || wanted < 1) {
      throw new LayoutError(`a record of "${this.name}" has a whole number of bytes from 1, not ${wanted}`);
    }
    const room = this.#opened.reserve(wanted);
    return room === null ? undefined : new UserRecord(this.name, room, wanted, this.#record);
  }

  get #opened(): UserRing {
    this.assertOpen();
    this.#ring ??= this.#open();
    return this.#ring;
  }
}

/** Room for a record, until it is submitted or discarded. */
export class UserRecord<V> implements Disposable {
  readonly #table: string;
  readonly #length: number;
  readonly #record: Codec<unknown> | undefined;
  #room: RingRoom | undefined;

  constructor(table: string, room: RingRoom, length: number, record: Codec<unknown> | undefined) {
    this.#table = table;
    this.#room = room;
    this.#length = length;
    this.#record = record;
    new Uint8Array(room.view.buffer, room.at, length).fill(0);
  }

  /**
   * Writes the whole record: a value of its type, or bytes.
   * @throws LayoutError when it does not fit; ClosedError when the record was submitted or discarded
   */
  write(value: V): void {
    const { view, at } = this.#open;
    if (value instanceof Uint8Array && value.length <= this.#length) {
      new Uint8Array(view.buffer, at, this.#length).set(value);
    } else if (this.#record !== undefined && this.#record.size <= this.#length) {
      this.#record.write(view, at, value);
    } else {
      throw new LayoutError(
        `a record of "${this.#table}" takes ${this.#length} bytes, and cannot hold ${show(value)}`,
      );
    }
  }

  /** Hands the record to the next program that drains. */
  submit(): void {
    this.#open.submit();
    this.#room = undefined;
  }

  /** Gives the room up; no program sees the record. */
  discard(): void {
    this.#open.discard();
    this.#room = undefined;
  }

  /** Discards a record that was not submitted. */
  [Symbol.dispose](): void {
    if (this.#room !== undefined) this.discard();
  }

  get #open(): RingRoom {
    if (this.#room !== undefined) return this.#room;
    throw new ClosedError(`a record of "${this.#table}" was submitted or discarded already`);
  }
}
