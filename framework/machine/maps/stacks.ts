import type { MapSpec } from "../../object/object-spec.ts";
import { errno } from "../errno.ts";
import { indexAt } from "./array.ts";
import { Store } from "./store.ts";

/** Bits of the flags of bpf_get_stackid: how many frames to skip, whose stack, and what a collision does. */
const SKIP_MASK = 0xff;
export const USER_STACK = 0x100;
const REUSE = 0x400;
const KNOWN = SKIP_MASK | USER_STACK | 0x200 | REUSE;

/** stack_trace: stacks by a number made of their addresses. */
export class StackStore extends Store {
  readonly #stacks = new Map<number, readonly bigint[]>();
  readonly #buckets: number;

  constructor(spec: MapSpec) {
    super(spec);
    this.#buckets = 2 ** Math.ceil(Math.log2(spec.maxEntries));
  }

  /** bpf_get_stackid: the stack's number or an error. */
  keep(stack: readonly bigint[], flags: number): number {
    if (flags > KNOWN) return errno.EINVAL;
    const kept = stack.slice(flags & SKIP_MASK).slice(0, this.spec.valueSize / 8);
    if (kept.length === 0) return errno.EFAULT;
    const id = hashOf(kept) & (this.#buckets - 1);
    const before = this.#stacks.get(id);
    if (before !== undefined && !isSame(before, kept) && (flags & REUSE) === 0) return errno.EEXIST;
    this.#stacks.set(id, kept);
    return id;
  }

  override read(key: Uint8Array, into: Uint8Array): number {
    const stack = this.#stacks.get(indexAt(key, 0));
    if (stack === undefined) return errno.ENOENT;
    const view = new DataView(into.buffer, into.byteOffset, into.length);
    into.fill(0);
    for (const [index, address] of stack.entries()) view.setBigUint64(index * 8, address, true);
    return 0;
  }

  override update(): number {
    return errno.EINVAL;
  }

  override remove(key: Uint8Array, at: number): number {
    const index = indexAt(key, at);
    if (index >= this.#buckets) return errno.E2BIG;
    return this.#stacks.delete(index) ? 0 : errno.ENOENT;
  }

  override next(after: Uint8Array | null, into: Uint8Array): number {
    const ids = [...this.#stacks.keys()].sort((a, b) => a - b);
    const from = after === null ? -1 : indexAt(after, 0);
    const next = ids.find((id) => id > (this.#stacks.has(from) ? from : -1));
    if (next === undefined) return errno.ENOENT;
    new DataView(into.buffer, into.byteOffset, 4).setUint32(0, next, true);
    return 0;
  }
}

function hashOf(stack: readonly bigint[]): number {
  let hash = 0x811c9dc5;
  for (const address of stack) {
    hash = Math.imul(hash ^ Number(BigInt.asIntN(32, address)), 0x01000193);
    hash = Math.imul(hash ^ Number(BigInt.asIntN(32, address >> 32n)), 0x01000193);
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}

function isSame(a: readonly bigint[], b: readonly bigint[]): boolean {
  return a.length === b.length && a.every((address, index) => address === b[index]);
}
