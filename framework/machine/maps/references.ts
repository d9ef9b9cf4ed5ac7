import { mapKinds } from "../../../maps/kinds.ts";
import type { MapSpec } from "../../object/object-spec.ts";
import { type ProgramKindName, programKinds } from "../../programs/kinds.ts";
import { errno } from "../errno.ts";
import type { Runnable } from "../execution.ts";
import { indexAt, nextIndex } from "./array.ts";
import { KeyTable, NONE } from "./key-table.ts";
import type { MachineMap } from "./machine-map.ts";
import { EXIST, NOEXIST, Store } from "./store.ts";

/** A program that slots of program arrays can hold. */
export interface Referable extends Runnable {
  readonly fd: number;
  readonly id: number;
  readonly kind: ProgramKindName;
}

/** Slots that hold something that numbers name; an empty slot is absent. */
abstract class SlotStore<T extends { readonly id: number }> extends Store {
  protected readonly slots = new Map<number, T>();

  override read(key: Uint8Array, into: Uint8Array): number {
    const held = this.slots.get(indexAt(key, 0));
    if (held === undefined) return errno.ENOENT;
    new DataView(into.buffer, into.byteOffset, 4).setUint32(0, held.id, true);
    return 0;
  }

  override remove(key: Uint8Array, at: number): number {
    const index = indexAt(key, at);
    if (index >= this.spec.maxEntries) return errno.E2BIG;
    const held = this.slots.get(index);
    if (held === undefined) return errno.ENOENT;
    this.slots.delete(index);
    this.letGo(held);
    return 0;
  }

  /** Puts something into a slot in place of what is there. */
  protected put(index: number, held: T): void {
    const before = this.slots.get(index);
    this.slots.set(index, held);
    if (before !== undefined) this.letGo(before);
  }

  /** Called for what leaves a slot. */
  protected letGo(_held: T): void {}

  override next(after: Uint8Array | null, into: Uint8Array): number {
    return nextIndex(this.spec.maxEntries, after, into);
  }

  override dispose(): void {
    for (const held of this.slots.values()) this.letGo(held);
    this.slots.clear();
  }
}

/** prog_array: programs for tail calls, all of one type. */
export class ProgramStore extends SlotStore<Referable> {
  readonly #programOf: (fd: number) => Referable | undefined;
  #type: number | undefined;

  constructor(spec: MapSpec, programOf: (fd: number) => Referable | undefined) {
    super(spec);
    this.#programOf = programOf;
  }

  override update(key: Uint8Array, keyAt: number, value: Uint8Array, valueAt: number, flags: number): number {
    const index = indexAt(key, keyAt);
    if (flags !== 0) return errno.EINVAL;
    if (index >= this.spec.maxEntries) return errno.E2BIG;
    const program = this.#programOf(indexAt(value, valueAt));
    if (program === undefined) return errno.EBADF;
    if (!this.binds(program.kind)) return errno.EINVAL;
    this.put(index, program);
    return 0;
  }

  /** Whether programs of a kind may be in this array or use it: the first one decides. */
  binds(kind: ProgramKindName): boolean {
    this.#type ??= programKinds[kind].type;
    return this.#type === programKinds[kind].type;
  }

  override programAt(index: number): Runnable | null {
    return this.slots.get(index) ?? null;
  }
}

/** BPF_F_INNER_MAP: arrays inside may have any number of entries. */
const ANY_SIZE = 0x1000;

/**
 * Whether a map may be in slots that are declared for maps like another one: the same kind, sizes and flags, and for
 * arrays the same number of entries (array_map_meta_equal of kernel/bpf/arraymap.c).
 */
function isLike(wanted: MapSpec, { store: { spec } }: MachineMap): boolean {
  const shape = ({ kind, keySize, valueSize, flags, frozen, maxEntries }: MapSpec): string => {
    const all = flags | mapKinds[kind].flags;
    const entries = kind === "array" && (all & ANY_SIZE) === 0 ? maxEntries : "any";
    return [kind, keySize, valueSize, all, frozen, entries].join(" ");
  };
  return shape(wanted) === shape(spec);
}

/** Finds the map that a descriptor in a value means, for slots that are declared for maps like `wanted`. */
export class InnerMaps {
  readonly #wanted: MapSpec;
  readonly #mapOf: (fd: number) => MachineMap | undefined;

  constructor(wanted: MapSpec, mapOf: (fd: number) => MachineMap | undefined) {
    this.#wanted = wanted;
    this.#mapOf = mapOf;
  }

  /** The map, or an error. */
  take(value: Uint8Array, at: number): MachineMap | number {
    const map = this.#mapOf(indexAt(value, at));
    if (map === undefined) return errno.EBADF;
    return isLike(this.#wanted, map) ? map : errno.EINVAL;
  }
}

/** array_of_maps */
export class MapArrayStore extends SlotStore<MachineMap> {
  readonly #inner: InnerMaps;

  constructor(spec: MapSpec, inner: InnerMaps) {
    super(spec);
    this.#inner = inner;
  }

  override update(key: Uint8Array, keyAt: number, value: Uint8Array, valueAt: number, flags: number): number {
    const index = indexAt(key, keyAt);
    if (flags !== 0) return errno.EINVAL;
    if (index >= this.spec.maxEntries) return errno.E2BIG;
    const inner = this.#inner.take(value, valueAt);
    if (typeof inner === "number") return inner;
    inner.retain();
    this.put(index, inner);
    return 0;
  }

  protected override letGo(inner: MachineMap): void {
    inner.drop();
  }

  override mapAt(key: Uint8Array, at: number): MachineMap | null {
    return this.slots.get(indexAt(key, at)) ?? null;
  }
}

/** hash_of_maps */
export class MapHashStore extends Store {
  readonly #keys: KeyTable;
  /** By the slots of keys. */
  readonly #held: (MachineMap | undefined)[] = [];
  readonly #inner: InnerMaps;

  constructor(spec: MapSpec, inner: InnerMaps) {
    super(spec);
    this.#keys = new KeyTable(spec.keySize, spec.maxEntries);
    this.#inner = inner;
  }

  override read(key: Uint8Array, into: Uint8Array): number {
    const inner = this.mapAt(key, 0);
    if (inner === null) return errno.ENOENT;
    new DataView(into.buffer, into.byteOffset, 4).setUint32(0, inner.id, true);
    return 0;
  }

  override update(key: Uint8Array, keyAt: number, value: Uint8Array, valueAt: number, flags: number): number {
    const inner = this.#inner.take(value, valueAt);
    if (typeof inner === "number") return inner;
    if (flags > EXIST) return errno.EINVAL;
    let slot = this.#keys.find(key, keyAt);
    if (slot === NONE) {
      if (flags === EXIST) return errno.ENOENT;
      slot = this.#keys.add(key, keyAt);
      if (slot === NONE) return errno.E2BIG;
    } else if (flags === NOEXIST) return errno.EEXIST;
    inner.retain();
    this.#held[slot]?.drop();
    this.#held[slot] = inner;
    return 0;
  }

  override remove(key: Uint8Array, at: number): number {
    const slot = this.#keys.find(key, at);
    if (slot === NONE) return errno.ENOENT;
    this.#keys.remove(slot);
    this.#held[slot]?.drop();
    this.#held[slot] = undefined;
    return 0;
  }

  override next(after: Uint8Array | null, into: Uint8Array): number {
    const slot = this.#keys.after(after === null ? NONE : this.#keys.find(after, 0));
    if (slot === NONE) return errno.ENOENT;
    this.#keys.copyKey(slot, into);
    return 0;
  }

  override mapAt(key: Uint8Array, at: number): MachineMap | null {
    const slot = this.#keys.find(key, at);
    return slot === NONE ? null : (this.#held[slot] ?? null);
  }

  override dispose(): void {
    for (const inner of this.#held) inner?.drop();
    this.#held.length = 0;
  }
}
