import { roundUp } from "../../core/layout.ts";
import type { AddressSpace, Region } from "../memory.ts";

/** Between values, so that what runs over the end of one is seen. */
const GAP = 8;

/** Bytes of memory that one map may take. */
export const MOST_BYTES = 2 ** 30;

/** What a slab holds. */
export interface SlabOptions {
  readonly name: string;
  readonly valueSize: number;
  /** Values of each entry. */
  readonly cpus: number;
  readonly entries: number;
  /** Whether programs may write. */
  readonly writable: boolean;
}

/** The values of a map: a region with one place for each entry and CPU, which grows as entries come. */
export class Slab {
  readonly region: Region;
  readonly #space: AddressSpace;
  readonly #valueSize: number;
  readonly #slot: number;
  readonly #stride: number;
  readonly #cpus: number;
  readonly #most: number;

  private constructor(space: AddressSpace, region: Region, options: SlabOptions) {
    this.#space = space;
    this.region = region;
    this.#valueSize = options.valueSize;
    this.#slot = slotBytes(options.valueSize);
    this.#cpus = options.cpus;
    this.#stride = this.#slot * options.cpus;
    this.#most = options.entries;
  }

  /** Null when the machine has no addresses left. */
  static create(space: AddressSpace, options: SlabOptions, atFirst = options.entries): Slab | null {
    const { name, valueSize, cpus, writable } = options;
    const slot = slotBytes(valueSize);
    const isOne = options.entries * cpus === 1;
    const region = space.create({
      name,
      bytes: new Uint8Array(isOne ? valueSize : slot * cpus * atFirst),
      writable,
      ...(isOne ? {} : { stride: slot, limit: valueSize }),
    });
    return region === null ? null : new Slab(space, region, options);
  }

  /** Bytes that a slab of this many entries takes. */
  static bytesOf(valueSize: number, cpus: number, entries: number): number {
    return slotBytes(valueSize) * cpus * entries;
  }

  /** Where an entry's value begins, for one CPU. */
  offset(index: number, cpu: number): number {
    return index * this.#stride + (this.#cpus === 1 || cpu < 0 ? 0 : cpu * this.#slot);
  }

  /** The entry that an offset is in. */
  indexOf(offset: number): number {
    return Math.floor(offset / this.#stride);
  }

  /** Makes room for entries up to an index. */
  reserve(index: number): void {
    const needed = (index + 1) * this.#stride;
    const { bytes } = this.region;
    if (needed <= bytes.length || this.#most * this.#cpus === 1) return;
    const grown = new Uint8Array(Math.min(this.#most * this.#stride, Math.max(needed, 2 * bytes.length)));
    grown.set(bytes);
    this.region.replace(grown);
  }

  /** Copies an entry's values out: one after another, each padded to 8 bytes when there are several CPUs. */
  read(index: number, into: Uint8Array, isPerCpu: boolean): void {
    const { bytes } = this.region;
    const padded = roundUp(this.#valueSize, 8);
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      const from = this.offset(index, cpu);
      into.set(bytes.subarray(from, from + this.#valueSize), isPerCpu ? cpu * padded : 0);
      if (isPerCpu) into.fill(0, cpu * padded + this.#valueSize, (cpu + 1) * padded);
    }
  }

  /** Writes one CPU's value, or all of them as `read` gives them. */
  write(index: number, value: Uint8Array, at: number, cpu: number): void {
    if (this.#cpus === 1 || cpu >= 0) {
      this.#put(this.offset(index, cpu), value, at);
      return;
    }
    const padded = roundUp(this.#valueSize, 8);
    for (let each = 0; each < this.#cpus; each++)
      this.#put(this.offset(index, each), value, at + each * padded);
  }

  #put(to: number, value: Uint8Array, at: number): void {
    const size = this.#valueSize;
    const { bytes } = this.region;
    if (size <= 16) for (let i = 0; i < size; i++) bytes[to + i] = value[at + i]!;
    else bytes.set(value.subarray(at, at + size), to);
  }

  /** Makes an entry's values zero. */
  clear(index: number): void {
    const from = this.offset(index, 0);
    this.region.bytes.fill(0, from, Math.min(from + this.#stride, this.region.bytes.length));
  }

  dispose(): void {
    this.#space.remove(this.region);
  }
}

function slotBytes(valueSize: number): number {
  return roundUp(valueSize, 8) + GAP;
}
