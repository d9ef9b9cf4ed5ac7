import type { MapSpec } from "../../object/object-spec.ts";
import { errno } from "../errno.ts";
import type { Runnable } from "../execution.ts";
import type { Region } from "../memory.ts";
import type { MachineMap } from "./machine-map.ts";

/** Flags of an update (BPF_ANY, BPF_NOEXIST, BPF_EXIST of linux/bpf.h). */
export const ANY = 0;
export const NOEXIST = 1;
export const EXIST = 2;

/** Stands for every CPU at once: how tables see a per-CPU value. */
export const ALL_CPUS = -1;

/**
 * What a map holds. Keys and values are bytes at an offset of somebody's memory, so that nothing is copied on the way
 * from a program's stack; errors are the kernel's numbers, since that is what programs get.
 */
export abstract class Store {
  readonly spec: MapSpec;

  constructor(spec: MapSpec) {
    this.spec = spec;
  }

  /** Where values are, for programs that look one up; null for kinds that give none. */
  get region(): Region | null {
    return null;
  }

  /** Further regions that a program of this map may touch. */
  get regions(): readonly Region[] {
    return this.region === null ? [] : [this.region];
  }

  /**
   * The offset of a key's value in the region, or -1.
   * @param cpu whose value, for per-CPU kinds; ALL_CPUS when no program asks
   */
  find(_key: Uint8Array, _at: number, _cpu: number): number {
    return -1;
  }

  /** How many instructions' time a lookup takes, for kinds where that depends on what is in the map. */
  get lookupSteps(): number {
    return 0;
  }

  /** Kinds that programs can walk over: the place of the entry after another one's, after -1 the first; -1 at the end. */
  placeAfter?(place: number): number;

  /** Copies the key of a place. */
  keyAt?(place: number, into: Uint8Array): void;

  /** Copies a value out, with all CPUs. 0 or an error. */
  read(_key: Uint8Array, _into: Uint8Array): number {
    return errno.ENOTSUPP;
  }

  /** Puts a value. 0 or an error. */
  update(
    _key: Uint8Array,
    _keyAt: number,
    _value: Uint8Array,
    _valueAt: number,
    _flags: number,
    _cpu: number,
  ): number {
    return errno.ENOTSUPP;
  }

  /** Takes an entry away. 0 or an error. */
  remove(_key: Uint8Array, _at: number): number {
    return errno.ENOTSUPP;
  }

  /** Copies the key after `after` into `into`; 0, or ENOENT at the end. */
  next(_after: Uint8Array | null, _into: Uint8Array): number {
    return errno.ENOTSUPP;
  }

  /** Queues and filters: adds a value. */
  push(_value: Uint8Array, _at: number, _flags: number): number {
    return errno.EINVAL;
  }

  /** Queues: takes the next value out, or with `keep` looks at it. */
  take(_into: Uint8Array, _at: number, _keep: boolean): number {
    return errno.EINVAL;
  }

  /** Kinds that timers can be in: the key of the value that an offset is in, and where that value begins. */
  entryAt?(offset: number): { readonly key: Uint8Array; readonly valueAt: number } | undefined;

  /** Program arrays: what a slot holds. */
  programAt?(index: number): Runnable | null;

  /** Maps of maps: what a key leads to. */
  mapAt?(key: Uint8Array, at: number): MachineMap | null;

  /** Frees memory and what it refers to. */
  dispose(): void {}
}
