import { MapError } from "../../framework/core/errors.ts";
import { i32 } from "../../framework/core/layout.ts";
import { type KeyedParts, KeyedTable } from "./keyed.ts";

/** An entry of a stack of build ids. */
export interface BuildIdFrame {
  /** 1: `offset` is a place in the file of this build id; 2: it is an address; 0: behind the stack's end. */
  readonly status: number;
  readonly build_id: Uint8Array;
  readonly offset: bigint;
}

/** What a stack is made of: addresses, or build ids with offsets. */
export type StackFrame = bigint | BuildIdFrame;

/** A value of the map: `struct bpf_stacktrace` has `ip`, `struct bpf_stacktrace_buildid` has `trace`. */
export interface StackValue {
  readonly ip?: readonly bigint[];
  readonly trace?: readonly BuildIdFrame[];
}

/** BPF_STACK_BUILD_ID_EMPTY. */
const EMPTY = 0;

/** What a stack id below 0 says, by errno. */
const FAILURES: Readonly<Record<number, string>> = {
  [-14]: "there was no stack to take, as a kernel thread has none in user space (EFAULT)",
  [-17]: "another stack has the same hash: make the table larger, or pass BPF_F_REUSE_STACKID (EEXIST)",
  [-12]: "the table was full (ENOMEM)",
};

/**
 * Stacks that programs took, by the ids that `get_stackid` gave: BCC's StackTrace. Below 0 an id is an error number.
 *
 * The kernel keeps one stack per slot of its hash; a stack can be replaced by another one, when the program asks for
 * that, and then its id means the other.
 */
export class StackTable extends KeyedTable<number, StackValue> {
  constructor(parts: Omit<KeyedParts<number, StackValue>, "key">) {
    super({ ...parts, key: i32 });
  }

  /**
   * The frames of a stack, the innermost first; each through `resolve` when that is given: `(address) => b.ksym(address)`.
   *
   * @throws MapError KEY_MISSING for an id that is an error, or that the table no longer has
   */
  walk(stack_id: number): Generator<StackFrame>;
  walk<T>(stack_id: number, resolve: (frame: StackFrame) => T): Generator<T>;
  *walk<T>(stack_id: number, resolve?: (frame: StackFrame) => T): Generator<StackFrame | T> {
    for (const frame of this.#frames(stack_id)) yield resolve === undefined ? frame : resolve(frame);
  }

  #frames(id: number): readonly StackFrame[] {
    if (id < 0) {
      throw new MapError("KEY_MISSING", `${id} is no stack of "${this.name}" but an error`, {
        hint: FAILURES[id] ?? `the errno ${-id}`,
      });
    }
    const value = this.get(id);
    if (value === undefined) throw new MapError("KEY_MISSING", `"${this.name}" has no stack ${id}`);
    const { ip = [], trace } = value;
    if (trace === undefined) return upTo(ip, (address) => address === 0n);
    return upTo(trace, ({ status }) => status === EMPTY);
  }
}

/** The items before the first that ends the list. */
function upTo<T>(items: readonly T[], isEnd: (item: T) => boolean): readonly T[] {
  const end = items.findIndex(isEnd);
  return end < 0 ? items : items.slice(0, end);
}
