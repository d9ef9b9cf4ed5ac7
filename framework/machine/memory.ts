/**
 * Addresses of the machine.
 *
 * Every piece of memory that programs may touch is a region. The upper half of an address names the region, the lower
 * half is an offset into it, counted from `LOW_BASE`: so a pointer may go a little below its region and come back, and
 * no arithmetic on it leads into another region that happens to be near. All of them look like the kernel's addresses.
 */

/** Upper half of the first region's addresses, signed: 0xffff8000. */
export const FIRST_HIGH = -0x8000;
/** Where a region begins in the lower half. */
export const LOW_BASE = 0x1000_0000;
/** Upper half of what a program holds for a map: not memory, but a name. */
export const MAP_HIGH = -0x1000;
/** Upper half of what a program holds for one of its functions. */
export const FUNCTION_HIGH = -0x2000;

/** Regions that one machine can have at a time. */
const MOST_REGIONS = 0x6000;

/** How a region that is not simply bytes is read and written. */
export interface RegionRules {
  /**
   * Reads `size` bytes at an offset into `into[at]` and `into[at + 1]`, the lower and upper half. False when the
   * program may not.
   */
  load(offset: number, size: number, into: Int32Array, at: number): boolean;
  /** Writes; false when the program may not. */
  store(offset: number, size: number, low: number, high: number): boolean;
}

/** What a region is made of. */
export interface RegionOptions {
  /** What faults call it, for instance `the value of map "counts"`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly writable: boolean;
  /** Elements of `limit` bytes, each `stride` apart: an access must stay within one. Both 0 for one piece. */
  readonly stride?: number;
  readonly limit?: number;
  readonly rules?: RegionRules | null;
}

/**
 * A piece of memory.
 *
 * An access within the window (`from` to `end`, `writeFrom` to `writeEnd`) is allowed without further questions; it is
 * what engines test first. All others ask `allows`, which may move the window to where the access was.
 */
export class Region {
  readonly id: number;
  readonly name: string;
  readonly writable: boolean;
  readonly rules: RegionRules | null;
  readonly stride: number;
  readonly limit: number;
  bytes: Uint8Array;
  view: DataView;
  /** First offset that is memory. */
  start = 0;
  /** Offset behind the last one. */
  length: number;
  from = 0;
  end = 0;
  writeFrom = 0;
  writeEnd = 0;

  constructor(id: number, options: RegionOptions) {
    const { name, bytes, writable, stride = 0, limit = 0, rules = null } = options;
    this.id = id;
    this.name = name;
    this.writable = writable;
    this.rules = rules;
    this.stride = stride;
    this.limit = limit;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = bytes.length;
    if (stride === 0 && rules === null) this.setWindow(0, bytes.length);
  }

  /** The signed upper half of its addresses. */
  get high(): number {
    return FIRST_HIGH + this.id;
  }

  /** The lower half of an offset's address. */
  low(offset: number): number {
    return LOW_BASE + offset;
  }

  /** The address of an offset. */
  address(offset: number): bigint {
    return BigInt.asUintN(64, (BigInt(this.high) << 32n) | BigInt(LOW_BASE + offset));
  }

  /** Puts other bytes in place: a store that grew, a packet of the next run. */
  replace(bytes: Uint8Array, start = 0, length = bytes.length): void {
    if (this.bytes !== bytes) {
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.start = start;
    this.length = length;
    if (this.stride === 0 && this.rules === null) this.setWindow(start, length);
    else this.setWindow(0, 0);
  }

  setWindow(from: number, end: number): void {
    this.from = from;
    this.end = end;
    this.writeFrom = this.writable ? from : 0;
    this.writeEnd = this.writable ? end : 0;
  }

  /** Moves the window to the element that begins at an offset: what was looked up is what is touched next. */
  openAt(offset: number): void {
    if (this.stride !== 0) this.setWindow(offset, offset + this.limit);
  }

  /** Whether bytes may be read or written directly; never for a region with rules. */
  allows(offset: number, size: number, write: boolean): boolean {
    if (this.rules !== null || offset < this.start || offset + size > this.length) return false;
    if (write && !this.writable) return false;
    if (this.stride === 0) return true;
    const within = offset % this.stride;
    if (within + size > this.limit) return false;
    this.setWindow(offset - within, offset - within + this.limit);
    return true;
  }
}

/** Stands in tables where a program has no region: nothing is allowed there. */
export const NO_REGION = new Region(-1, { name: "nothing", bytes: new Uint8Array(0), writable: false });

/** All regions of one machine. */
export class AddressSpace {
  readonly #regions: Region[] = [];
  readonly #free: number[] = [];
  readonly #reserved: number;

  /** @param reserved ids below this one are given out by `fixed` only */
  constructor(reserved: number) {
    this.#reserved = reserved;
  }

  /** A new region, or null when there are too many. */
  create(options: RegionOptions): Region | null {
    const id = this.#free.pop() ?? this.#reserved + this.#regions.length;
    if (id >= MOST_REGIONS) return null;
    const region = new Region(id, options);
    this.#regions[id - this.#reserved] = region;
    return region;
  }

  /** Forgets a region; its addresses may come to mean another one. */
  remove(region: Region): void {
    if (this.#regions[region.id - this.#reserved] !== region) return;
    this.#regions[region.id - this.#reserved] = NO_REGION;
    this.#free.push(region.id);
  }

  /** The region of an address' upper half. */
  at(high: number): Region {
    return this.#regions[high - FIRST_HIGH - this.#reserved] ?? NO_REGION;
  }
}

/** An address as messages show it. */
export function showAddress(address: bigint): string {
  return `0x${address.toString(16)}`;
}
