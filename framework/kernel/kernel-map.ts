import { valueBytes } from "../../maps/kinds.ts";
import { MapError, SyscallError, UnsupportedError, UsageError } from "../core/errors.ts";
import { roundUp } from "../core/layout.ts";
import type { MapSpec } from "../object/object-spec.ts";
import { type MapOperation, refusedOperation, refusedUpdate } from "../runtime/map-errors.ts";
import type {
  BatchCursor,
  BatchTakeMap,
  BatchWriteMap,
  FilterMap,
  PopMap,
  SharedMap,
  UpdateMode,
} from "../runtime/types.ts";
import { BpfFailure, bpfReply } from "../sys/bpf.ts";
import { duplicate, type Fd } from "../sys/fd.ts";
import { addressOf, lastErrno, libc, type NativeSyscall, type PinnedMemory, pinned } from "../sys/libc.ts";
import { possibleCpus } from "../sys/proc.ts";
import { mapBatch, mapElem } from "../uapi/bpf-attr.ts";
import { BPF_ANY, BPF_EXIST, BPF_NOEXIST, type BpfCommand, bpfCommands } from "../uapi/constants.ts";
import { mapInfo } from "./map-info.ts";
import { pinAt } from "./pins.ts";

// Numbers of this file's own: loaders that compile imports to getters would make each use in an operation a call.
const LOOKUP = bpfCommands.BPF_MAP_LOOKUP_ELEM;
const UPDATE = bpfCommands.BPF_MAP_UPDATE_ELEM;
const DELETE = bpfCommands.BPF_MAP_DELETE_ELEM;
const NEXT_KEY = bpfCommands.BPF_MAP_GET_NEXT_KEY;
const TAKE = bpfCommands.BPF_MAP_LOOKUP_AND_DELETE_ELEM;
const ATTR_BYTES = mapElem.size;

/**
 * A map of the running kernel.
 *
 * Each map keeps its key, its value and the attrs that point at them in memory of its own, encoded once: an operation
 * copies its bytes there and makes the call, and allocates nothing.
 */
export class KernelMap implements SharedMap {
  readonly spec: MapSpec;
  readonly #fd: Fd;
  readonly #syscall: NativeSyscall;
  readonly #bpf: number;
  readonly #keySize: number;
  readonly #valueSize: number;
  readonly #memory: PinnedMemory;
  readonly #key: Uint8Array;
  readonly #value: Uint8Array;
  readonly #nextKey: Uint8Array;
  readonly #attrs: AttrAddresses;

  /** Takes ownership of the descriptor. */
  constructor(spec: MapSpec, fd: Fd) {
    this.spec = spec;
    this.#fd = fd;
    const { syscall3, numbers } = libc();
    this.#syscall = syscall3;
    this.#bpf = numbers.bpf;
    this.#keySize = spec.keySize;
    this.#valueSize = valueBytes(spec.kind, spec.valueSize, possibleCpus().length);
    const keyAt = ATTR_COUNT * mapElem.size;
    const nextKeyAt = roundUp(keyAt + this.#keySize, 8);
    const valueAt = roundUp(nextKeyAt + this.#keySize, 8);
    this.#memory = pinned(valueAt + this.#valueSize);
    const { address, bytes } = this.#memory;
    this.#key = bytes.subarray(keyAt, keyAt + this.#keySize);
    this.#nextKey = bytes.subarray(nextKeyAt, nextKeyAt + this.#keySize);
    this.#value = bytes.subarray(valueAt, valueAt + this.#valueSize);
    this.#attrs = writeAttrs(this.#memory, {
      map_fd: fd.number,
      key: this.#keySize === 0 ? 0n : BigInt(address + keyAt),
      value: BigInt(address + valueAt),
      nextKey: BigInt(address + nextKeyAt),
    });
  }

  /**
   * The descriptor, borrowed.
   * @throws ClosedError after disposal
   */
  get fd(): number {
    return this.#fd.number;
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  /** @throws UnsupportedError before Linux 4.13 */
  get id(): number {
    return mapInfo(this.#fd).id;
  }

  share(spec: MapSpec): KernelMap {
    const fd = duplicate(this.fd, `table "${spec.name}"`);
    return new (this.constructor as typeof KernelMap)(spec, fd);
  }

  pin(path: string): void {
    const { name } = this.spec;
    if (pinAt(path, this.fd, name)) return;
    throw new MapError("MAP_PIN", `cannot pin table "${name}" at ${path}: there is something already`);
  }

  lookup(key: Uint8Array, into: Uint8Array): boolean {
    this.#setKey(key);
    this.#checkValue(into);
    if (this.#call(LOOKUP, this.#attrs.any) < 0) return this.#absent("BPF_MAP_LOOKUP_ELEM");
    into.set(this.#value);
    return true;
  }

  /** Asks for a value as the key, as filters are asked. */
  protected lookupValue(value: Uint8Array): boolean {
    this.#checkValue(value);
    this.#value.set(value);
    return this.#call(LOOKUP, this.#attrs.any) === 0 || this.#absent("BPF_MAP_LOOKUP_ELEM");
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): void {
    this.#setKey(key);
    this.#checkValue(value);
    this.#value.set(value);
    if (this.#call(UPDATE, this.#attrs[mode]) < 0) throw this.#refusedUpdate(key, lastErrno());
  }

  delete(key: Uint8Array): boolean {
    this.#setKey(key);
    return this.#call(DELETE, this.#attrs.remove) === 0 || this.#absent("BPF_MAP_DELETE_ELEM");
  }

  nextKey(after: Uint8Array | null, into: Uint8Array): boolean {
    if (into.length !== this.#keySize) throw this.#wrongSize("key", into.length, this.#keySize);
    if (after !== null) this.#setKey(after);
    const attr = after === null ? this.#attrs.first : this.#attrs.next;
    if (this.#call(NEXT_KEY, attr) < 0) return this.#absent("BPF_MAP_GET_NEXT_KEY");
    into.set(this.#nextKey);
    return true;
  }

  /** Takes the value out; of a queue or stack the next one. False when there is none. Since Linux 4.20. */
  protected takeValue(key: Uint8Array, into: Uint8Array): boolean {
    this.#setKey(key);
    this.#checkValue(into);
    if (this.#call(TAKE, this.#attrs.any) < 0) return this.#absent("BPF_MAP_LOOKUP_AND_DELETE_ELEM");
    into.set(this.#value);
    return true;
  }

  /** Bytes of a value with all its CPUs. */
  protected get valueLength(): number {
    return this.#valueSize;
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }

  #call(command: number, attr: number): number {
    // Reading the number throws when the map was closed; the attr holds a number that may be another file's by then.
    void this.#fd.number;
    return this.#syscall(this.#bpf, command, attr, ATTR_BYTES);
  }

  #setKey(key: Uint8Array): void {
    if (key.length !== this.#keySize) throw this.#wrongSize("key", key.length, this.#keySize);
    this.#key.set(key);
  }

  #checkValue(value: Uint8Array): void {
    if (value.length !== this.#valueSize) throw this.#wrongSize("value", value.length, this.#valueSize);
  }

  #wrongSize(what: string, given: number, wanted: number): UsageError {
    return new UsageError(`a ${what} of table "${this.spec.name}" takes ${wanted} bytes, not ${given}`);
  }

  /** False for a key that is not there; throws for any other failure. */
  #absent(command: BpfCommand): false {
    const errno = lastErrno();
    if (errno === "ENOENT") return false;
    throw this.#refused(command, errno);
  }

  #refusedUpdate(key: Uint8Array, errno: string): MapError {
    const cause = new SyscallError("bpf(BPF_MAP_UPDATE_ELEM)", errno);
    return refusedUpdate({ runtime: "kernel", spec: this.spec, errno, cause }, key);
  }

  #refused(command: BpfCommand, errno: string): MapError {
    const cause = new SyscallError(`bpf(${command})`, errno);
    const operation = operations[command] ?? "lookup";
    return refusedOperation({ runtime: "kernel", spec: this.spec, errno, cause }, operation);
  }
}

/** Addresses of the encoded attrs: one per update mode, "any" also for lookup; first and next key; delete. */
type AttrAddresses = Readonly<Record<UpdateMode | "first" | "next" | "remove", number>>;

const ATTR_COUNT = 6;

/** Encodes the attrs, one after another, at the start of a map's memory. */
function writeAttrs(
  memory: PinnedMemory,
  places: { readonly map_fd: number; readonly key: bigint; readonly value: bigint; readonly nextKey: bigint },
): AttrAddresses {
  const { map_fd, key, value, nextKey } = places;
  const attrs = [
    { map_fd, key, value, flags: BigInt(BPF_ANY) },
    { map_fd, key, value, flags: BigInt(BPF_NOEXIST) },
    { map_fd, key, value, flags: BigInt(BPF_EXIST) },
    { map_fd, key: 0n, value: nextKey, flags: 0n },
    { map_fd, key, value: nextKey, flags: 0n },
    // Deleting takes no value, and the kernel refuses an attr with anything in a field it does not take.
    { map_fd, key, value: 0n, flags: 0n },
  ];
  attrs.forEach((attr, index) => {
    mapElem.write(memory.view, index * mapElem.size, attr);
  });
  const at = (index: number): number => memory.address + index * mapElem.size;
  return { any: at(0), create: at(1), replace: at(2), first: at(3), next: at(4), remove: at(5) };
}

const operations: Partial<Record<BpfCommand, MapOperation>> = {
  BPF_MAP_LOOKUP_ELEM: "lookup",
  BPF_MAP_UPDATE_ELEM: "update",
  BPF_MAP_DELETE_ELEM: "delete",
  BPF_MAP_GET_NEXT_KEY: "nextKey",
  BPF_MAP_LOOKUP_AND_DELETE_ELEM: "take",
};

/** A map that reads and writes many entries in one call. Since Linux 5.6; per-CPU arrays since 5.13. */
export class KernelBatchMap extends KernelMap implements BatchWriteMap {
  lookupBatch(cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number): number {
    return this.readBatch("BPF_MAP_LOOKUP_BATCH", cursor, { keys, values, most });
  }

  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): number {
    return this.#writeBatch("BPF_MAP_UPDATE_BATCH", count, keys, values);
  }

  deleteBatch(keys: Uint8Array, count: number): number {
    return this.#writeBatch("BPF_MAP_DELETE_BATCH", count, keys, undefined);
  }

  protected readBatch(
    command: "BPF_MAP_LOOKUP_BATCH" | "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
    cursor: BatchCursor,
    room: { readonly keys: Uint8Array; readonly values: Uint8Array; readonly most: number },
  ): number {
    const { keys, values, most } = room;
    this.#checkRoom(most, keys, values);
    if (cursor.done || most === 0) return 0;
    const after = cursor.position;
    // Hash maps keep a 4-byte bucket number here, others a key.
    const position = new Uint8Array(Math.max(8, this.spec.keySize));
    try {
      const { attr } = bpfReply(command, mapBatch, {
        map_fd: this.fd,
        count: most,
        in_batch: after === null ? 0n : addressOf(after),
        out_batch: addressOf(position),
        keys: addressOf(keys),
        values: addressOf(values),
      });
      cursor.position = position;
      return attr.count;
    } catch (error) {
      if (!(error instanceof BpfFailure)) throw error;
      if (error.errno === "ENOENT") {
        cursor.done = true;
        return mapBatch.read(error.attr, 0).count;
      }
      throw this.#refusedBatch(error, `read table "${this.spec.name}" in batches of ${most}`);
    }
  }

  #writeBatch(
    command: "BPF_MAP_UPDATE_BATCH" | "BPF_MAP_DELETE_BATCH",
    count: number,
    keys: Uint8Array,
    values: Uint8Array | undefined,
  ): number {
    this.#checkRoom(count, keys, values);
    if (count === 0) return 0;
    try {
      const { attr } = bpfReply(command, mapBatch, {
        map_fd: this.fd,
        count,
        keys: addressOf(keys),
        values: values === undefined ? 0n : addressOf(values),
      });
      return attr.count;
    } catch (error) {
      if (!(error instanceof BpfFailure)) throw error;
      // The kernel says how many entries it had done when one was refused, except where it refuses the call itself.
      const done = mapBatch.read(error.attr, 0).count;
      if (isUnsupportedErrno(error.errno) || done >= count) {
        throw this.#refusedBatch(error, `change table "${this.spec.name}" in batches of ${count}`);
      }
      return done;
    }
  }

  #checkRoom(count: number, keys: Uint8Array, values: Uint8Array | undefined): void {
    const fits =
      keys.length >= count * this.spec.keySize &&
      (values === undefined || values.length >= count * this.valueLength);
    if (fits) return;
    throw new UsageError(
      `${count} entries of table "${this.spec.name}" at once need room for as many keys and values`,
    );
  }

  #refusedBatch(cause: BpfFailure, doing: string): MapError | UnsupportedError {
    const { errno } = cause;
    if (isUnsupportedErrno(errno)) {
      return new UnsupportedError(`cannot ${doing}: this kernel has no batches for ${this.spec.kind} maps`, {
        cause,
      });
    }
    if (errno === "ENOSPC") {
      return new MapError("BATCH_SIZE", `cannot ${doing}: a bucket of the hash holds more`, { cause });
    }
    return new MapError("MAP_OPERATION", `cannot ${doing}: ${errno}`, { cause });
  }
}

/** What the kernel answers where a map has no batches of this kind. */
function isUnsupportedErrno(errno: string): boolean {
  return errno === "ENOTSUPP" || errno === "EOPNOTSUPP" || errno === "EINVAL";
}

/** A hash, which also gives its entries away in batches. */
export class KernelHashMap extends KernelBatchMap implements BatchTakeMap {
  takeBatch(cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number): number {
    return this.readBatch("BPF_MAP_LOOKUP_AND_DELETE_BATCH", cursor, { keys, values, most });
  }
}

/** A queue or stack. */
export class KernelQueue extends KernelMap implements PopMap {
  pop(into: Uint8Array): boolean {
    return this.takeValue(NO_KEY, into);
  }
}

/** A bloom filter. Since Linux 5.16. */
export class KernelFilter extends KernelMap implements FilterMap {
  mayHave(value: Uint8Array): boolean {
    return this.lookupValue(value);
  }
}

const NO_KEY = new Uint8Array(0);
