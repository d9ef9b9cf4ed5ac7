import type { ArgumentValue, UserMemory } from "../runtime/events.ts";

/** Where the bytes of events are in a process, and in the kernel: below the machine's own regions. */
const USER_BASE = 0x7fff_5000_0000n;
const KERNEL_BASE = 0xffff_0000_1000_0000n;
/** Between pieces, so that what runs over the end of one is seen. */
const GAP = 64n;

interface Piece {
  readonly at: bigint;
  readonly bytes: Uint8Array;
}

/** Memory of texts and bytes that an event came with; what is not there is asked of the process. */
export class GivenMemory implements UserMemory {
  readonly #pieces: Piece[] = [];
  readonly #process: UserMemory | null;
  #user = USER_BASE;
  #kernel = KERNEL_BASE;

  /** @param process memory of the process, behind the event's own */
  constructor(process: UserMemory | null) {
    this.#process = process;
  }

  /** The number that stands for a value: itself, or the address that its bytes got. */
  number(value: ArgumentValue): bigint {
    if (typeof value === "number" || typeof value === "bigint") return BigInt(value);
    if (typeof value === "string" || value instanceof Uint8Array) return this.#place(value, false);
    return this.#place(value.kernel, true);
  }

  #place(value: string | Uint8Array, isKernel: boolean): bigint {
    const bytes = typeof value === "string" ? new TextEncoder().encode(`${value}\0`) : value;
    const at = isKernel ? this.#kernel : this.#user;
    const next = (at + BigInt(bytes.length) + 2n * GAP - 1n) & -GAP;
    if (isKernel) this.#kernel = next;
    else this.#user = next;
    this.#pieces.push({ at, bytes });
    return at;
  }

  read(address: bigint, into: Uint8Array): boolean {
    const from = this.#find(address, into.length);
    if (from === undefined) return address < KERNEL_BASE && (this.#process?.read(address, into) ?? false);
    into.set(from);
    return true;
  }

  write(address: bigint, bytes: Uint8Array): boolean {
    const to = this.#find(address, bytes.length);
    if (to === undefined) return address < KERNEL_BASE && (this.#process?.write(address, bytes) ?? false);
    to.set(bytes);
    return true;
  }

  #find(address: bigint, size: number): Uint8Array | undefined {
    for (const { at, bytes } of this.#pieces) {
      const offset = address - at;
      if (offset >= 0n && offset + BigInt(size) <= BigInt(bytes.length))
        return bytes.subarray(Number(offset), Number(offset) + size);
    }
    return undefined;
  }
}
