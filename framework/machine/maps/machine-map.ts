import { type MapKindName, mapKinds, valueBytes } from "../../../maps/kinds.ts";
import { ClosedError, MapError, UsageError } from "../../core/errors.ts";
import type { MapSpec } from "../../object/object-spec.ts";
import { type MapOperation, refusedOperation, refusedUpdate } from "../../runtime/map-errors.ts";
import type {
  BatchCursor,
  BatchTakeMap,
  BatchWriteMap,
  FilterMap,
  PopMap,
  SharedMap,
  UpdateMode,
} from "../../runtime/types.ts";
import { errno, errnoName } from "../errno.ts";
import { ALL_CPUS, ANY, EXIST, NOEXIST, type Store } from "./store.ts";

const modes: Readonly<Record<UpdateMode, number>> = { any: ANY, create: NOEXIST, replace: EXIST };

/** A map of the machine, as tables see it. */
export class MachineMap implements SharedMap {
  readonly spec: MapSpec;
  readonly store: Store;
  /** Names the map within its machine: what programs hold for it, and what maps of maps take. */
  readonly fd: number;
  protected readonly valueLength: number;
  readonly #keySize: number;
  /** Tells the machine that this one is gone. */
  readonly #release: () => void;
  readonly #cpuCount: number;
  /** Tables change it no longer. */
  protected frozen = false;
  #closed = false;
  /** Programs and maps of maps that refer to it, which keeps its contents after it was closed. */
  #references = 0;

  constructor(
    spec: MapSpec,
    store: Store,
    options: { readonly fd: number; readonly cpuCount: number; readonly release: () => void },
  ) {
    this.spec = spec;
    this.store = store;
    this.fd = options.fd;
    this.#keySize = spec.keySize;
    this.#release = options.release;
    this.#cpuCount = options.cpuCount;
    this.valueLength = valueBytes(spec.kind, spec.valueSize, options.cpuCount);
  }

  /** What a map of maps shows for it when read back. */
  get id(): number {
    return this.fd;
  }

  get closed(): boolean {
    return this.#closed;
  }

  share(spec: MapSpec): MachineMap {
    this.assertOpen();
    this.retain();
    const Kind = classOf(spec.kind);
    return new Kind(spec, this.store, { fd: this.fd, cpuCount: this.#cpuCount, release: () => this.drop() });
  }

  pin(path: string): void {
    throw new MapError(
      "MAP_PIN",
      `cannot pin table "${this.spec.name}" to ${path}: the machine has no file system`,
      {
        hint: 'use { runtime: "kernel" }: what it makes can outlive the process',
      },
    );
  }

  /** Lets tables change it no longer. */
  freeze(): void {
    this.frozen = true;
  }

  lookup(key: Uint8Array, into: Uint8Array): boolean {
    this.#checkKey(key);
    this.#checkValue(into);
    return this.#found("lookup", this.store.read(key, into));
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): void {
    this.#checkKey(key);
    this.#checkValue(value);
    const answer = this.frozen ? errno.EPERM : this.store.update(key, 0, value, 0, modes[mode], ALL_CPUS);
    if (answer < 0) throw refusedUpdate(this.#refusal(answer), key);
  }

  delete(key: Uint8Array): boolean {
    this.#checkKey(key);
    return this.#found("delete", this.frozen ? errno.EPERM : this.store.remove(key, 0));
  }

  nextKey(after: Uint8Array | null, into: Uint8Array): boolean {
    this.assertOpen();
    if (into.length !== this.#keySize) throw this.#wrongSize("key", into.length, this.#keySize);
    if (after !== null) this.#checkKey(after);
    return this.#found("nextKey", this.store.next(after, into));
  }

  /** Takes a queue's next value. */
  protected takeValue(into: Uint8Array): boolean {
    this.assertOpen();
    this.#checkValue(into);
    return this.#found("take", this.store.take(into, 0, false));
  }

  /** @throws ClosedError after disposal */
  protected assertOpen(): void {
    if (this.#closed) throw new ClosedError(`table "${this.spec.name}" was closed`);
  }

  #found(operation: MapOperation, answer: number): boolean {
    if (answer >= 0) return true;
    if (answer === errno.ENOENT) return false;
    throw this.refused(operation, answer);
  }

  protected refused(operation: MapOperation, answer: number): MapError {
    return refusedOperation(this.#refusal(answer), operation);
  }

  #refusal(answer: number) {
    return { runtime: "machine", spec: this.spec, errno: errnoName(answer) } as const;
  }

  #checkKey(key: Uint8Array): void {
    this.assertOpen();
    if (key.length !== this.#keySize) throw this.#wrongSize("key", key.length, this.#keySize);
  }

  #checkValue(value: Uint8Array): void {
    if (value.length !== this.valueLength) throw this.#wrongSize("value", value.length, this.valueLength);
  }

  #wrongSize(what: string, given: number, wanted: number): UsageError {
    return new UsageError(`a ${what} of table "${this.spec.name}" takes ${wanted} bytes, not ${given}`);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#freeIfUnused();
  }

  /** Counts one more that refers to it. */
  retain(): void {
    this.#references++;
  }

  /** Counts one less. */
  drop(): void {
    this.#references--;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (!this.#closed || this.#references > 0) return;
    this.#release();
  }
}

/** A map that is read and written many entries at a time. */
export class MachineBatchMap extends MachineMap implements BatchWriteMap {
  lookupBatch(cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number): number {
    this.checkRoom(most, keys, values);
    const { keySize } = this.spec;
    let count = 0;
    const next = new Uint8Array(keySize);
    while (count < most && !cursor.done) {
      if (this.store.next(cursor.position, next) < 0) {
        cursor.done = true;
        break;
      }
      cursor.position ??= new Uint8Array(keySize);
      cursor.position.set(next);
      keys.set(next, count * keySize);
      if (this.store.read(next, this.valueIn(values, count)) === 0) count++;
    }
    return count;
  }

  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): number {
    this.checkRoom(count, keys, values);
    for (let done = 0; done < count; done++) {
      const keyAt = done * this.spec.keySize;
      if (this.frozen || this.store.update(keys, keyAt, values, done * this.valueLength, ANY, ALL_CPUS) < 0)
        return done;
    }
    return count;
  }

  deleteBatch(keys: Uint8Array, count: number): number {
    this.checkRoom(count, keys);
    for (let done = 0; done < count; done++) {
      const answer = this.frozen ? errno.EPERM : this.store.remove(keys, done * this.spec.keySize);
      if (answer === errno.EINVAL) throw this.refused("delete", answer);
      if (answer < 0) return done;
    }
    return count;
  }

  protected valueIn(values: Uint8Array, index: number): Uint8Array {
    return values.subarray(index * this.valueLength, (index + 1) * this.valueLength);
  }

  protected checkRoom(count: number, keys: Uint8Array, values?: Uint8Array): void {
    this.assertOpen();
    const fits =
      keys.length >= count * this.spec.keySize &&
      (values === undefined || values.length >= count * this.valueLength);
    if (fits) return;
    throw new UsageError(
      `${count} entries of table "${this.spec.name}" at once need room for as many keys and values`,
    );
  }
}

/** A hash, whose entries can be taken out many at a time. */
export class MachineHashMap extends MachineBatchMap implements BatchTakeMap {
  takeBatch(cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number): number {
    const count = this.lookupBatch({ position: null, done: false }, keys, values, most);
    this.deleteBatch(keys, count);
    cursor.done = count < most;
    return count;
  }
}

/** A queue or stack. */
export class MachineQueue extends MachineMap implements PopMap {
  pop(into: Uint8Array): boolean {
    return this.takeValue(into);
  }
}

/** A bloom filter. */
export class MachineFilter extends MachineMap implements FilterMap {
  mayHave(value: Uint8Array): boolean {
    return this.lookup(NO_KEY, value);
  }
}

const NO_KEY = new Uint8Array(0);

/** The class for maps of a kind, which has the powers that the kernel's maps of that kind have. */
export function classOf(kind: MapKindName): typeof MachineMap {
  if (kind === "bloom_filter") return MachineFilter;
  if (mapKinds[kind].table === "queue") return MachineQueue;
  if (!mapKinds[kind].batch) return MachineMap;
  return mapKinds[kind].table === "keyed" && kind !== "lpm_trie" ? MachineHashMap : MachineBatchMap;
}
