import type { Observable } from "rxjs";
import { BpfError, UsageError } from "../core/errors.ts";
import { once } from "../core/scope.ts";
import type { TraceSource } from "../runtime/types.ts";

/** One line of the trace pipe that a program printed. */
export interface TraceLine {
  /** Name of the task that ran, "<idle>" or "<...>" when the kernel has none. */
  readonly task: string;
  readonly pid: number;
  readonly cpu: number;
  /** Interrupt and preemption flags, for instance "...21". */
  readonly flags: string;
  /** Seconds since boot. */
  readonly ts: number;
  readonly msg: string;
}

/**
 * Task and pid, "[cpu]", flags, time, then the printing function: "bpf_trace_printk:" now, "0:" or an address before
 * 5.9, some kernels both. The task's name is right-aligned in 16 columns and may hold any character.
 */
const LINE =
  /^(.{16,}?)-(\d+)\s+(?:\([\s\d-]+\)\s+)?\[(\d+)\]\s+(\S+)\s+(\d+\.\d+): (?:(?:0|0x[\da-f]+|): )?(?:bpf_trace_printk: )?(.*)$/s;

/** Reads a line; undefined for lines that no program printed, such as reports of lost events. */
export function parseTraceLine(line: string): TraceLine | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, task, pid, cpu, flags, ts, msg] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return { task: task.trim(), pid: Number(pid), cpu: Number(cpu), flags, ts: Number(ts), msg };
}

/** A line's fields in the order of BCC's trace_fields. */
export type TraceFields = readonly [
  task: string,
  pid: number,
  cpu: number,
  flags: string,
  ts: number,
  msg: string,
];

/** The fields of a line as BCC orders them. */
export function traceFields(line: TraceLine): TraceFields {
  return [line.task, line.pid, line.cpu, line.flags, line.ts, line.msg];
}

const FIELD_NAMES = ["task", "pid", "cpu", "flags", "ts", "msg"];

/**
 * Python's `format` with positions, as trace_print takes it: "{1} {5}", or "{} {}" for the fields in turn. Doubled
 * braces stand for themselves.
 *
 * @throws UsageError for braces that name no field
 */
export function lineFormat(format: string): (fields: TraceFields) => string {
  let turn = 0;
  const parts = format.split(/(\{\{|\}\}|\{[^{}]*\}?|\})/).map((part, index): string | number => {
    if (index % 2 === 0) return part;
    if (part === "{{" || part === "}}") return part[0]!;
    const position = part === "{}" ? turn++ : Number(/^\{(\d+)\}$/.exec(part)?.[1]);
    if (position < FIELD_NAMES.length) return position;
    throw new UsageError(`the format ${JSON.stringify(format)} names no field with ${part}`, {
      hint: `fields are ${FIELD_NAMES.map((name, at) => `{${at}} ${name}`).join(", ")}; double a brace to print it`,
    });
  });
  return (fields) => parts.map((part) => (typeof part === "string" ? part : fields[part])).join("");
}

/** Lines that wait in a queue at most; the rest waits in the pipe, where the kernel drops the oldest when it is full. */
const MOST_WAITING = 4096;
/** Turns of the event loop from a readable pipe to its line: the look at descriptors, then the watcher's own turn. */
const READING_TURNS = 3;

interface Reader {
  readonly resolve: (line: string | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** How many pipes this process is reading now. */
let readers = 0;

/** The same pipe, counted as being read until it is disposed. */
export function countedSource(source: TraceSource): TraceSource {
  readers++;
  const leave = once(() => readers--);
  return {
    read: () => source.read(),
    watch: (onReady) => source.watch(onReady),
    [Symbol.dispose]() {
      leave();
      source[Symbol.dispose]();
    },
  };
}

/** Reads that emptying the pipe may take: a pipe that fills faster than it is read is left as it is. */
const MOST_STALE_READS = 256;

/**
 * Takes out of the trace pipe what earlier programs left in it, so that the first line read is one of this object's time.
 * A pipe that another object of this process is reading is left alone, and one that cannot be opened: whoever reads it
 * gets the error.
 */
export function discardStaleLines(open: () => TraceSource): void {
  if (readers > 0) return;
  try {
    using source = open();
    for (let i = 0; i < MOST_STALE_READS && source.read() !== ""; i++);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
  }
}

/** The trace pipe as BCC's methods read it: lines wait in a queue until somebody asks for one. */
export class TracePipe implements Disposable {
  readonly #open: () => Observable<string>;
  #lines: Observable<string> | undefined;
  readonly #waiting: string[] = [];
  readonly #readers: Reader[] = [];
  #subscription: { unsubscribe(): void } | undefined;
  #failure: { readonly error: unknown } | undefined;
  #closed = false;

  /** @param open gives the pipe's lines; called for the first reader */
  constructor(open: () => Observable<string>) {
    this.#open = open;
  }

  /** The lines, for any number of subscribers. */
  get lines(): Observable<string> {
    this.#lines ??= this.#open();
    return this.#lines;
  }

  /**
   * The next line. Undefined when there is none now (with `nonblocking`), after an abort, and after closing.
   *
   * Rejects with PermissionError or UnsupportedError when the pipe cannot be opened.
   */
  async next(options: {
    readonly nonblocking: boolean;
    readonly signal?: AbortSignal | undefined;
  }): Promise<string | undefined> {
    this.#start();
    const { nonblocking, signal } = options;
    if (nonblocking) await this.#lookNow();
    const line = this.#waiting.shift();
    if (line !== undefined) return line;
    if (this.#failure !== undefined) {
      const { error } = this.#failure;
      this.#failure = undefined;
      throw error;
    }
    return nonblocking || this.#closed || signal?.aborted === true ? undefined : await this.#wait(signal);
  }

  /** Ends reading: readers that wait get undefined. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#pause();
    for (const { resolve } of this.#readers.splice(0)) resolve(undefined);
  }

  async #lookNow(): Promise<void> {
    for (let turn = 0; turn < READING_TURNS && this.#waiting.length === 0; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const reader: Reader = {
        resolve(line) {
          signal?.removeEventListener("abort", giveUp);
          resolve(line);
        },
        reject(error) {
          signal?.removeEventListener("abort", giveUp);
          reject(error);
        },
      };
      const giveUp = (): void => {
        this.#readers.splice(this.#readers.indexOf(reader), 1);
        resolve(undefined);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      this.#readers.push(reader);
    });
  }

  #start(): void {
    if (this.#closed || this.#waiting.length > 0 || this.#subscription !== undefined) return;
    this.#failure = undefined;
    const subscription = this.lines.subscribe({
      next: (line) => this.#take(line),
      error: (error: unknown) => this.#fail(error),
    });
    if (this.#failure === undefined) this.#subscription = subscription;
  }

  #take(line: string): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve(line);
      return;
    }
    this.#waiting.push(line);
    // Not at once: the lines that were read together with this one would be lost.
    if (this.#waiting.length === MOST_WAITING)
      setImmediate(() => this.#readers.length === 0 && this.#pause());
  }

  #fail(error: unknown): void {
    this.#subscription = undefined;
    const readers = this.#readers.splice(0);
    if (readers.length === 0) this.#failure = { error };
    for (const { reject } of readers) reject(error);
  }

  #pause(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }
}
