import { SyscallError } from "../core/errors.ts";
import { type StructCodec, type StructValue, viewOf } from "../core/layout.ts";
import { type BpfCommand, bpfCommands } from "../uapi/constants.ts";
import { withArena } from "./arena.ts";
import { lastErrno, libc } from "./libc.ts";
import { withoutSignals } from "./signals.ts";

/** Makes the system call: the command, the attr's address and its size; answers with the result or an errno name. */
export type BpfDoor = (command: BpfCommand, attr: number, size: number) => number | string;

const realDoor: BpfDoor = (command, attr, size) => {
  const { syscall3, numbers } = libc();
  const result = syscall3(numbers.bpf, bpfCommands[command], attr, size);
  return result < 0 ? lastErrno() : result;
};

let door: BpfDoor = realDoor;

/** Puts something else in place of the system call, for tests of errno paths. Disposing it puts the call back. */
export function replaceBpf(imitation: BpfDoor): Disposable {
  door = imitation;
  return {
    [Symbol.dispose]() {
      door = realDoor;
    },
  };
}

/** What a command answered: its result, and the attr as the kernel left it. */
export interface BpfReply<F> {
  readonly result: number;
  readonly attr: StructValue<F>;
}

/**
 * Tries of a call that signals interrupt. With the last they wait: a profiler's come too often for a long verification,
 * which begins anew each time.
 */
const MOST_TRIES = 5;

/**
 * Calls bpf(2). Pointers in `values` come from an arena frame of the caller's.
 *
 * @param values fields left out are zero
 * @returns what the call returned: a descriptor or 0
 * @throws SyscallError always to be wrapped by the caller, who knows what was being done
 */
export function bpf<F>(command: BpfCommand, layout: StructCodec<F>, values: Partial<StructValue<F>>): number {
  return bpfReply(command, layout, values).result;
}

/** The same for commands whose answer is inside of the attr. */
export function bpfReply<F>(
  command: BpfCommand,
  layout: StructCodec<F>,
  values: Partial<StructValue<F>>,
): BpfReply<F> {
  return withArena((arena) => {
    const attr = arena.out(layout.size);
    const view = viewOf(attr.bytes);
    attr.bytes.set(layout.encode(values));
    let result = door(command, Number(attr.address), layout.size);
    for (let tries = 2; tries <= MOST_TRIES && isInterruption(command, result); tries++) {
      const again = (): number | string => door(command, Number(attr.address), layout.size);
      result = tries < MOST_TRIES ? again() : withoutSignals(again);
    }
    if (typeof result === "string") throw new BpfFailure(command, result, attr.bytes.slice());
    return { result, attr: layout.read(view, 0) };
  });
}

function isInterruption(command: BpfCommand, result: number | string): boolean {
  return result === "EINTR" || (result === "EAGAIN" && command === "BPF_PROG_LOAD");
}

/** A failed bpf(2), with the attr as the kernel left it: a batch read says there how far it came. */
export class BpfFailure extends SyscallError {
  readonly attr: DataView;

  constructor(command: BpfCommand, errno: string, attr: Uint8Array) {
    super(`bpf(${command})`, errno);
    this.attr = viewOf(attr);
  }
}

/** The errno name of a SyscallError, or undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof SyscallError ? error.errno : undefined;
}
