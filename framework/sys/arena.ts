import { type PinnedMemory, pinned } from "./libc.ts";

const FIRST_CHUNK = 64 * 1024;

/** A place in memory that the kernel writes to. */
export interface OutPointer {
  readonly address: bigint;
  /** Valid until the arena's frame ends; copy what must stay. */
  readonly bytes: Uint8Array;
}

/**
 * One piece of memory, used again by every call, that pointers inside of system call attributes point into.
 *
 * Values are copied in, so no address of a caller's buffer ever sits in an attribute.
 */
class Arena {
  #chunk: PinnedMemory | undefined;
  #used = 0;
  /** Chunks that were too small while a frame was open: addresses into them are still in use. */
  #outgrown: PinnedMemory[] = [];
  #depth = 0;

  /** Zeroed bytes for the kernel to write to, aligned to 8. */
  out(size: number): OutPointer {
    const needed = Math.ceil(size / 8) * 8;
    if (this.#chunk === undefined || this.#used + needed > this.#chunk.bytes.length) {
      if (this.#chunk !== undefined) this.#outgrown.push(this.#chunk);
      this.#chunk = pinned(Math.max(FIRST_CHUNK, needed));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += needed;
    const bytes = this.#chunk.bytes.subarray(at, at + size);
    bytes.fill(0);
    return { address: BigInt(this.#chunk.address + at), bytes };
  }

  /** The address of a copy of the bytes; 0 for none at all. */
  in(bytes: Uint8Array): bigint {
    if (bytes.length === 0) return 0n;
    const { address, bytes: copy } = this.out(bytes.length);
    copy.set(bytes);
    return address;
  }

  /** The address of a copy of the text, UTF-8 with a NUL behind it. */
  text(text: string): bigint {
    return this.in(new TextEncoder().encode(`${text}\0`));
  }

  frame<T>(use: (arena: Arena) => T): T {
    const before = this.#chunk;
    const mark = this.#used;
    this.#depth++;
    try {
      return use(this);
    } finally {
      this.#depth--;
      if (this.#chunk === before) this.#used = mark;
      if (this.#depth === 0) this.#reset();
    }
  }

  #reset(): void {
    this.#outgrown = [];
    this.#used = 0;
    // A verifier log or a large object asked for more once; it does not stay for good.
    if (this.#chunk !== undefined && this.#chunk.bytes.length > FIRST_CHUNK) this.#chunk = undefined;
  }
}

export type { Arena };

const shared = new Arena();

/**
 * Runs one operation with the arena; what it allocated is free again afterwards. May be nested.
 */
export function withArena<T>(use: (arena: Arena) => T): T {
  return shared.frame(use);
}
