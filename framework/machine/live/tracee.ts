import { closeSync, openSync, readFileSync, readSync } from "node:fs";

/** A command that is traced, with all that it starts. */
export interface Session {
  readonly number: number;
  readonly root: number;
  /** A process waits to become the command, calls execve, or is the command. */
  state: "waiting" | "becoming" | "running";
  /** Why the process could not become the command. */
  refusal: string;
}

/** A task's process and credentials. */
export interface Identity {
  readonly tgid: number;
  readonly parent: number;
  readonly uid: number;
  readonly gid: number;
}

/** Nobody's: a task that ended before it could be asked. */
const UNKNOWN: Identity = { tgid: 0, parent: 0, uid: 0, gid: 0 };

const COMM_BYTES = 16;

/** One task that is traced, with what is known of it. */
export class Tracee implements Disposable {
  readonly tid: number;
  readonly session: Session;
  /** The system call it is in, or -1. */
  call = -1;
  /** Whether the call is of the machine's own kind, not of 32-bit programs. */
  isNative = true;
  /** What it is about to become, while it calls execve. */
  path: Uint8Array = new Uint8Array(0);
  /** Whether its first stop is still to come. */
  isNew: boolean;
  /** Whether it is about to end. */
  isLeaving = false;
  #identity: Identity | undefined;
  #name: Uint8Array = new Uint8Array(0);
  #nameFile = -1;

  constructor(tid: number, session: Session, isNew: boolean) {
    this.tid = tid;
    this.session = session;
    this.isNew = isNew;
  }

  /** Ids, as /proc/TID/status tells them, kept until `forget`. */
  get identity(): Identity {
    this.#identity ??= readIdentity(this.tid) ?? { ...UNKNOWN, tgid: this.tid };
    return this.#identity;
  }

  /** Its credentials may be others now. */
  forgetIdentity(): void {
    this.#identity = undefined;
  }

  /** Its name now, which it may have changed itself; the last one known when the task is gone. */
  get name(): Uint8Array {
    try {
      if (this.#nameFile < 0) this.#nameFile = openSync(`/proc/${this.tid}/comm`, "r");
      const bytes = new Uint8Array(COMM_BYTES);
      const length = readSync(this.#nameFile, bytes, 0, COMM_BYTES, 0);
      // A line feed is behind it.
      this.#name = bytes.subarray(0, Math.max(0, length - 1));
    } catch {
      // Gone, or out of descriptors: what was seen last is all there is to know.
    }
    return this.#name;
  }

  [Symbol.dispose](): void {
    if (this.#nameFile >= 0) closeSync(this.#nameFile);
    this.#nameFile = -1;
  }
}

function readIdentity(tid: number): Identity | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/${tid}/status`, "latin1");
  } catch {
    return undefined; // the task is gone
  }
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status)?.[1]);
  return { tgid: field("Tgid"), parent: field("PPid"), uid: field("Uid"), gid: field("Gid") };
}
