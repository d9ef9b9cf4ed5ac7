import { ClosedError, SyscallError } from "../core/errors.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/constants.ts";
import { lastErrno, libc, memoryAt } from "./libc.ts";

/** How to map. */
export interface MappingOptions {
  /** Bytes; a multiple of the page size. */
  readonly length: number;
  /** Bytes into the file; a multiple of the page size. */
  readonly offset: number;
  readonly writable: boolean;
}

/** Gives address space back once nothing can reach the pages any more. */
const reclaim = new FinalizationRegistry<{ readonly address: number; readonly length: number }>((range) => {
  libc().munmap(range.address, range.length);
});

/**
 * Shared pages of a descriptor, seen as an ArrayBuffer.
 *
 * A view over memory that is not mapped crashes the process, and JavaScript cannot take a view back. So disposing puts
 * private zero pages in place of the shared ones: the kernel sees the mapping go at once, a view somebody kept reads
 * zeros, and the address range is unmapped when the last view was collected.
 */
export class Mapping implements Disposable {
  readonly #label: string;
  readonly #address: number;
  readonly #length: number;
  #buffer: ArrayBuffer | undefined;

  /** @throws SyscallError to be wrapped by the caller */
  constructor(fd: number, label: string, options: MappingOptions) {
    const { length, offset, writable } = options;
    const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const address = libc().mmap(0, length, protection, MAP_SHARED, fd, offset);
    if (address === -1) throw new SyscallError(`mmap(${label})`, lastErrno());
    this.#label = label;
    this.#address = address;
    this.#length = length;
    this.#buffer = memoryAt(address, length);
  }

  /** @throws ClosedError after disposal */
  get buffer(): ArrayBuffer {
    if (this.#buffer === undefined) throw new ClosedError(`${this.#label} was closed`);
    return this.#buffer;
  }

  [Symbol.dispose](): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    const range = { address: this.#address, length: this.#length };
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    const replaced = libc().mmap(range.address, range.length, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (replaced === -1) throw new SyscallError(`mmap(${this.#label})`, lastErrno());
    reclaim.register(buffer, range);
  }
}
