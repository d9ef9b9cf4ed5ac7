/** No slot. */
export const NONE = -1;

/** Entries that a table has room for at first. */
const FIRST_ENTRIES = 16;

/**
 * Keys of fixed size and the slot of each: a hash table with chains, which doubles until it has room for `most`. Slots
 * are numbers from 0, used again after a key is gone.
 */
export class KeyTable {
  readonly #keySize: number;
  readonly #most: number;
  /** So that keys that collide in one process do not in the next. */
  readonly #seed = (Math.random() * 2 ** 32) | 0;
  #keys: Uint8Array;
  #next: Int32Array;
  #used: Uint8Array;
  #heads: Int32Array;
  /** Slots that were never used begin here. */
  #fresh = 0;
  /** The last slot that was freed; `#next` leads to the one before. */
  #free = NONE;
  size = 0;

  constructor(keySize: number, most: number) {
    const entries = Math.min(most, FIRST_ENTRIES);
    this.#keySize = keySize;
    this.#most = most;
    this.#keys = new Uint8Array(entries * keySize);
    this.#next = new Int32Array(entries);
    this.#used = new Uint8Array(entries);
    this.#heads = new Int32Array(2 * FIRST_ENTRIES).fill(NONE);
  }

  /** The slot of a key, or NONE. */
  find(key: Uint8Array, at: number): number {
    for (let slot = this.#heads[this.#bucket(key, at)]!; slot !== NONE; slot = this.#next[slot]!) {
      if (this.#equals(slot, key, at)) return slot;
    }
    return NONE;
  }

  /** A slot for a key that is not there; NONE when the table is full. */
  add(key: Uint8Array, at: number): number {
    if (this.size >= this.#most) return NONE;
    let slot = this.#free;
    if (slot !== NONE) this.#free = this.#next[slot]!;
    else {
      slot = this.#fresh++;
      if (slot >= this.#used.length) this.#grow();
    }
    this.size++;
    this.#used[slot] = 1;
    const place = slot * this.#keySize;
    for (let i = 0; i < this.#keySize; i++) this.#keys[place + i] = key[at + i]!;
    this.#link(slot);
    return slot;
  }

  /** Forgets a slot's key. */
  remove(slot: number): void {
    const bucket = this.#bucket(this.#keys, slot * this.#keySize);
    let before = NONE;
    for (let each = this.#heads[bucket]!; each !== slot; each = this.#next[each]!) before = each;
    if (before === NONE) this.#heads[bucket] = this.#next[slot]!;
    else this.#next[before] = this.#next[slot]!;
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#used[slot] = 0;
    this.size--;
  }

  /** The used slot after another one, or after NONE the first; NONE at the end. */
  after(slot: number): number {
    for (let next = slot + 1; next < this.#fresh; next++) if (this.#used[next] === 1) return next;
    return NONE;
  }

  /** Copies a slot's key. */
  copyKey(slot: number, into: Uint8Array, at = 0): void {
    const place = slot * this.#keySize;
    for (let i = 0; i < this.#keySize; i++) into[at + i] = this.#keys[place + i]!;
  }

  #link(slot: number): void {
    const bucket = this.#bucket(this.#keys, slot * this.#keySize);
    this.#next[slot] = this.#heads[bucket]!;
    this.#heads[bucket] = slot;
  }

  #grow(): void {
    const entries = Math.min(this.#most, this.#used.length * 2);
    this.#keys = enlarged(this.#keys, new Uint8Array(entries * this.#keySize));
    this.#used = enlarged(this.#used, new Uint8Array(entries));
    // Every slot was in use, so chains are all there is in here.
    this.#next = new Int32Array(entries);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(2 * entries))).fill(NONE);
    for (let slot = 0; slot < this.#fresh; slot++) if (this.#used[slot] === 1) this.#link(slot);
  }

  #bucket(key: Uint8Array, at: number): number {
    let hash = this.#seed;
    const words = at + (this.#keySize & ~3);
    const end = at + this.#keySize;
    let i = at;
    for (; i < words; i += 4) {
      const word = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24);
      hash = Math.imul(hash ^ word, 0x01000193);
      hash ^= hash >>> 15;
    }
    for (; i < end; i++) hash = Math.imul(hash ^ key[i]!, 0x01000193);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & (this.#heads.length - 1);
  }

  #equals(slot: number, key: Uint8Array, at: number): boolean {
    const place = slot * this.#keySize;
    for (let i = 0; i < this.#keySize; i++) if (this.#keys[place + i] !== key[at + i]) return false;
    return true;
  }
}

function enlarged(from: Uint8Array, into: Uint8Array): Uint8Array {
  into.set(from);
  return into;
}
