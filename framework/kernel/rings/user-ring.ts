import { LayoutError, MapError, SyscallError } from "../../core/errors.ts";
import { Scope } from "../../core/scope.ts";
import type { RingRoom, UserRing } from "../../runtime/types.ts";
import { libc } from "../../sys/libc.ts";
import { Mapping } from "../../sys/mmap.ts";
import { BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ } from "../../uapi/constants.ts";
import type { KernelMap } from "../kernel-map.ts";

/**
 * A ring buffer that this process writes and programs drain (kernel/bpf/ringbuf.c, bpf_user_ringbuf_drain). Linux 6.1.
 *
 * Its pages are as those of a ring buffer, with the writing reversed: the consumer position is the kernel's; the
 * producer position and the data, mapped twice in a row, are ours.
 */
export class KernelUserRing implements UserRing {
  readonly #scope: Scope;
  readonly #name: string;
  readonly #size: number;
  readonly #dataAt: number;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #producer: BigInt64Array;
  readonly #consumer: BigInt64Array;
  #closed = false;

  /** @throws MapError when the pages cannot be mapped */
  constructor(map: KernelMap) {
    const { maxEntries: size, name } = map.spec;
    const page = libc().getpagesize();
    const label = `user ring buffer "${name}"`;
    this.#name = name;
    this.#scope = new Scope(`the ${label}`);
    try {
      const theirs = { length: page, offset: 0, writable: false };
      const ours = { length: page + 2 * size, offset: page, writable: true };
      this.#consumer = new BigInt64Array(this.#scope.own(new Mapping(map.fd, label, theirs)).buffer, 0, 1);
      const { buffer } = this.#scope.own(new Mapping(map.fd, label, ours));
      this.#producer = new BigInt64Array(buffer, 0, 1);
      this.#words = new Int32Array(buffer);
      this.#view = new DataView(buffer);
    } catch (cause) {
      this.#scope[Symbol.dispose]();
      if (!(cause instanceof SyscallError)) throw cause;
      throw new MapError("MAP_OPERATION", `cannot open ${label}: ${cause.errno}`, { cause });
    }
    this.#size = size;
    this.#dataAt = page;
  }

  get waiting(): number {
    return Number(Atomics.load(this.#producer, 0) - Atomics.load(this.#consumer, 0));
  }

  reserve(length: number): RingRoom | null {
    const whole = BPF_RINGBUF_HDR_SZ + Math.ceil(length / 8) * 8;
    if (whole > this.#size) {
      throw new LayoutError(
        `a record of ${length} bytes does not fit into "${this.#name}", which has ${this.#size} with 8 for each record`,
      );
    }
    if (this.waiting + whole > this.#size) return null;
    const position = Atomics.load(this.#producer, 0);
    const at = this.#dataAt + Number(position & BigInt(this.#size - 1));
    this.#view.setInt32(at + 4, 0, true);
    Atomics.store(this.#words, at >>> 2, length | BPF_RINGBUF_BUSY_BIT);
    Atomics.store(this.#producer, 0, position + BigInt(whole));
    const finish = (header: number): void => {
      if (!this.#closed) Atomics.store(this.#words, at >>> 2, header);
    };
    return {
      view: this.#view,
      at: at + BPF_RINGBUF_HDR_SZ,
      submit: () => finish(length),
      discard: () => finish(length | BPF_RINGBUF_DISCARD_BIT),
    };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#scope[Symbol.dispose]();
  }
}
