import { ClosedError, SyscallError } from "../core/errors.ts";
import { F_DUPFD_CLOEXEC } from "../uapi/constants.ts";
import { checked, lastErrno, libc } from "./libc.ts";

/** A descriptor that is open now. */
export interface OpenDescriptor {
  readonly label: string;
  readonly number: number;
  /** Where it was made. */
  readonly stack: string;
}

const open = new Map<Fd, Error>();

/** Every descriptor now open, oldest first: what a leak report shows. */
export function openDescriptors(): readonly OpenDescriptor[] {
  return Array.from(open, ([fd, origin]) => ({
    label: fd.label,
    number: fd.number,
    stack: origin.stack ?? "",
  }));
}

/** One open descriptor and its only owner. Closed once; closing again is harmless. */
export class Fd implements Disposable {
  /** What it is, for messages: "table counts". */
  readonly label: string;
  #number: number;

  /** Takes ownership of a descriptor just made. */
  constructor(number: number, label: string) {
    this.#number = number;
    this.label = label;
    open.set(this, new Error(`${label} was opened here`));
  }

  get closed(): boolean {
    return this.#number < 0;
  }

  /** @throws ClosedError after closing */
  get number(): number {
    if (this.#number < 0) throw new ClosedError(`${this.label} was closed`);
    return this.#number;
  }

  /** Hands the descriptor to the caller, who closes it; this object counts as closed. */
  release(): number {
    const { number } = this;
    this.#forget();
    return number;
  }

  [Symbol.dispose](): void {
    if (this.#number < 0) return;
    const number = this.#number;
    this.#forget();
    // Linux closes the descriptor whatever close returns, so a second try could close somebody else's.
    if (libc().close(number) < 0) throw new SyscallError(`close(${this.label})`, lastErrno());
  }

  #forget(): void {
    this.#number = -1;
    open.delete(this);
  }
}

/** A second descriptor of the same open file, closed on its own. */
export function duplicate(fd: number, label: string): Fd {
  return new Fd(checked(`fcntl(${label}, F_DUPFD_CLOEXEC)`, libc().fcntl(fd, F_DUPFD_CLOEXEC, 0)), label);
}
