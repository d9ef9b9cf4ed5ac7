import type { Observable } from "rxjs";

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
const LINE = /^(.{16,}?)-(\d+)\s+(?:\([\s\d-]+\)\s+)?\[(\d+)\]\s+(\S+)\s+(\d+\.\d+): (?:(?:0|0x[\da-f]+|): )?(?:bpf_trace_printk: )?(.*)$/s;

/** Reads a line; undefined for lines that no program printed, such as reports of lost events. */
export function parseTraceLine(line: string): TraceLine | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, task, pid, cpu, flags, ts, msg] = match as unknown as [string, string, string, string, string, string, string];
  return { task: task.trim(), pid: Number(pid), cpu: Number(cpu), flags, ts: Number(ts), msg };
}

/** A line's fields in the order of BCC's trace_fields. */
export type TraceFields = readonly [task: string, pid: number, cpu: number, flags: string, ts: number, msg: string];

/** The fields of a line as BCC orders them. */
export function traceFields(line: TraceLine): TraceFields {
  return [line.task, line.pid, line.cpu, line.flags, line.ts, line.msg];
}

/** Python's `format` with positions, as trace_print takes it: "{1} {5}". Doubled braces stand for themselves. */
export function formatFields(format: string, fields: TraceFields): string {
  return format.replace(/\{\{|\}\}|\{(\d)\}/g, (whole, index?: string) =>
    index === undefined ? whole[0]! : String(fields[Number(index)] ?? ""),
  );
}

/** The trace pipe as BCC's methods read it: lines wait in a queue until somebody asks for one. */
export class TracePipe implements Disposable {
  readonly #open: () => Observable<string>;
  #lines: Observable<string> | undefined;
  readonly #waiting: string[] = [];
  readonly #readers: ((line: string | undefined) => void)[] = [];
  #subscription: { unsubscribe(): void } | undefined;
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

  /** The next line. Undefined when there is none now (with `nonblocking`), after an abort, and after closing. */
  next(options: { readonly nonblocking: boolean; readonly signal?: AbortSignal | undefined }): Promise<string | undefined> {
    this.#start();
    const line = this.#waiting.shift();
    const { nonblocking, signal } = options;
    if (line !== undefined || this.#closed || signal?.aborted === true) return Promise.resolve(line);
    if (nonblocking) {
      // The pipe is read from the event loop: give it one turn.
      return new Promise((resolve) => setImmediate(() => resolve(this.#waiting.shift())));
    }
    return new Promise((resolve) => {
      const reader = (next: string | undefined): void => {
        signal?.removeEventListener("abort", giveUp);
        resolve(next);
      };
      const giveUp = (): void => {
        const at = this.#readers.indexOf(reader);
        if (at >= 0) this.#readers.splice(at, 1);
        resolve(undefined);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      this.#readers.push(reader);
    });
  }

  /** Stops reading. Lines that came and were not asked for are gone; waiting readers get undefined. */
  stop(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    for (const reader of this.#readers.splice(0)) reader(undefined);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.stop();
  }

  #start(): void {
    if (this.#closed) return;
    this.#subscription ??= this.lines.subscribe((line) => {
      const reader = this.#readers.shift();
      if (reader === undefined) this.#waiting.push(line);
      else reader(line);
    });
  }
}
