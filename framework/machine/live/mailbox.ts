/**
 * How the thread that traces talks to the thread that programs run in: one event at a time through shared memory. The
 * tracing thread sleeps until it has been dealt with, and the task stands still as long.
 */

/** What happened to a task. */
export const eventKinds = ["enter", "exit", "begin", "fork", "exec", "leave"] as const;

/**
 * enter, exit: of a system call. begin: a new task comes out of the call that made it. fork: it made a new task. exec: it
 * became another program. leave: it ends.
 */
export type EventKind = (typeof eventKinds)[number];

const STATE = 0;
const WORDS = [
  "state",
  "kind",
  "tid",
  "tgid",
  "parent",
  "uid",
  "gid",
  "number",
  "other",
  "isLast",
  "registersLength",
  "textLength",
  "isNative",
] as const;

/** The names of the words of an event. */
type Word = Exclude<(typeof WORDS)[number], "state" | "kind">;

const RESULT_AT = 64;
const ARGS_AT = 72;
const COMM_AT = 128;
const OTHER_COMM_AT = 144;
const COMM_BYTES = 16;
const REGISTERS_AT = 160;
const MOST_REGISTERS = 512;
const TEXT_AT = REGISTERS_AT + MOST_REGISTERS;
const MOST_TEXT = 4096;
const BYTES = TEXT_AT + MOST_TEXT;

const IDLE = 0;
const POSTED = 1;

/** One event at a time, in memory that two threads share. */
export class Mailbox {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  /** @param buffer that of the other thread's; a new one without it */
  constructor(buffer = new SharedArrayBuffer(BYTES)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, WORDS.length);
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  get kind(): EventKind {
    return eventKinds[this.#words[WORDS.indexOf("kind")]!]!;
  }

  set kind(kind: EventKind) {
    this.#words[WORDS.indexOf("kind")] = eventKinds.indexOf(kind);
  }

  get(word: Word): number {
    return this.#words[WORDS.indexOf(word)]!;
  }

  set(word: Word, value: number): void {
    this.#words[WORDS.indexOf(word)] = value;
  }

  get result(): bigint {
    return this.#view.getBigInt64(RESULT_AT, true);
  }

  set result(value: bigint) {
    this.#view.setBigInt64(RESULT_AT, value, true);
  }

  get args(): readonly bigint[] {
    return [0, 1, 2, 3, 4, 5].map((index) => this.#view.getBigUint64(ARGS_AT + 8 * index, true));
  }

  set args(args: readonly bigint[]) {
    for (let index = 0; index < 6; index++)
      this.#view.setBigUint64(ARGS_AT + 8 * index, args[index] ?? 0n, true);
  }

  /** A task's name: its own, or the new task's. */
  name(whose: "own" | "other"): string {
    const at = whose === "own" ? COMM_AT : OTHER_COMM_AT;
    const bytes = this.#bytes.slice(at, at + COMM_BYTES);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(bytes.subarray(0, end < 0 ? COMM_BYTES : end));
  }

  setName(whose: "own" | "other", name: Uint8Array): void {
    const at = whose === "own" ? COMM_AT : OTHER_COMM_AT;
    this.#bytes.fill(0, at, at + COMM_BYTES);
    this.#bytes.set(name.subarray(0, COMM_BYTES - 1), at);
  }

  /** A copy of the task's registers, empty when the event has none. */
  get registers(): Uint8Array {
    return this.#bytes.slice(REGISTERS_AT, REGISTERS_AT + this.get("registersLength"));
  }

  set registers(bytes: Uint8Array) {
    this.set("registersLength", bytes.length);
    this.#bytes.set(bytes.subarray(0, MOST_REGISTERS), REGISTERS_AT);
  }

  /** The path of a new program, without a NUL. */
  get text(): Uint8Array {
    return this.#bytes.slice(TEXT_AT, TEXT_AT + this.get("textLength"));
  }

  set text(bytes: Uint8Array) {
    const kept = bytes.subarray(0, MOST_TEXT);
    this.set("textLength", kept.length);
    this.#bytes.set(kept, TEXT_AT);
  }

  /** Hands the event over and waits for its answer. `notice` tells the other thread to look. */
  post(notice: () => void): void {
    Atomics.store(this.#words, STATE, POSTED);
    notice();
    Atomics.wait(this.#words, STATE, POSTED);
  }

  /** Lets the tracing thread go on. */
  answer(): void {
    Atomics.store(this.#words, STATE, IDLE);
    Atomics.notify(this.#words, STATE);
  }
}

/** Numbers from here on share a place: those of other kinds of programs, and calls that nobody knows. */
const OTHERS = 1023;
const TASKS = 1024;
const UNWATCHED = 1025;
const INTEREST_BYTES = 1026;

/** Bits of a call's place. */
export const ENTER = 1;
export const EXIT = 2;
/** Bits of the place of tasks' lives. */
export const FORK = 1;
export const EXEC = 2;
export const LEAVE = 4;

/** What somebody waits for, in memory that both threads share: other events cost only the stop. */
export class Interests {
  readonly buffer: SharedArrayBuffer;
  readonly #bytes: Uint8Array;

  constructor(buffer = new SharedArrayBuffer(INTEREST_BYTES)) {
    this.buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
  }

  /** ENTER and EXIT, for a system call's number; numbers of 32-bit programs are -1 here. */
  calls(number: number): number {
    return this.#bytes[number >= 0 && number < OTHERS ? number : OTHERS]!;
  }

  /** FORK, EXEC and LEAVE. */
  get tasks(): number {
    return this.#bytes[TASKS]!;
  }

  /** Whether there is nobody who could wait for anything: tasks need not stop at system calls. */
  get unwatched(): boolean {
    return this.#bytes[UNWATCHED] === 1;
  }

  /** Of all who watch, together; none at all: there is nobody. */
  set(watchers: readonly Wanted[]): void {
    this.#bytes.fill(0);
    this.#bytes[UNWATCHED] = watchers.length === 0 ? 1 : 0;
    for (const { all, calls, tasks } of watchers) {
      for (let number = 0; all !== 0 && number <= OTHERS; number++) this.#bytes[number]! |= all;
      for (const [number, bits] of calls) this.#bytes[number]! |= bits;
      this.#bytes[TASKS]! |= tasks;
    }
  }
}

/** What one watcher waits for. */
export interface Wanted {
  /** ENTER and EXIT: of every system call. */
  readonly all: number;
  /** ENTER and EXIT by a system call's number. */
  readonly calls: ReadonlyMap<number, number>;
  /** FORK, EXEC and LEAVE. */
  readonly tasks: number;
}

/** What the tracing thread is asked: to trace one more command, or (without one) to end. */
export interface Request {
  /** The read end of the pipe that wakes the thread for the next request. */
  readonly bell: number;
  readonly command: {
    readonly session: number;
    readonly pid: number;
    /** The write end of the command's gate. */
    readonly gate: number;
  } | null;
}

/** What the tracing thread tells: that an event is posted, or what became of a command. */
export type Report =
  | { readonly kind: "event" }
  | {
      readonly kind: "ended";
      readonly session: number;
      readonly code: number | null;
      readonly signal: number | null;
    }
  /** It could not be traced, or could not become the command. */
  | {
      readonly kind: "failed";
      readonly session: number;
      readonly doing: "ptrace" | "execve";
      readonly errno: string;
    };
