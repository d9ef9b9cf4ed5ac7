import type { TraceSource } from "../runtime/types.ts";
import { Watchers } from "./maps/byte-ring.ts";
import type { Printed } from "./services.ts";

/** Characters that wait for a reader; what comes then is dropped, as in a full trace pipe. */
const MOST_WAITING = 2 ** 20;

/** What programs of one machine print, in the form of the kernel's trace pipe: each line is read by one reader. */
export class TraceLines {
  #waiting: string[] = [];
  #length = 0;
  readonly #watchers = new Watchers(this);

  get hasData(): boolean {
    return this.#waiting.length > 0;
  }

  print(printed: Printed): void {
    if (this.#length > MOST_WAITING) return;
    const line = traceLine(printed);
    this.#waiting.push(line);
    this.#length += line.length;
    this.#watchers.wake();
  }

  open(): TraceSource {
    const stops = new Set<() => void>();
    const close = (): void => {
      for (const stop of [...stops]) stop();
    };
    return {
      read: () => this.#take(),
      watch: (onReady) => {
        const remove = this.#watchers.add(onReady);
        const stop = (): void => {
          stops.delete(stop);
          remove();
        };
        stops.add(stop);
        return stop;
      },
      [Symbol.dispose]: close,
    };
  }

  #take(): string {
    const text = this.#waiting.join("");
    this.#waiting = [];
    this.#length = 0;
    return text;
  }

  close(): void {
    this.#watchers.close();
  }
}

/** A line as the kernel writes it: task, pid, CPU, flags, seconds since boot, then the text. */
function traceLine({ task, cpu, time, text }: Printed): string {
  const seconds = time / 1_000_000_000n;
  const micros = String((time % 1_000_000_000n) / 1000n).padStart(6, "0");
  const head = `${task.comm.padStart(16)}-${String(task.pid).padEnd(7)} [${String(cpu).padStart(3, "0")}] .....`;
  return `${head} ${`${seconds}.${micros}`.padStart(12)}: bpf_trace_printk: ${text}${text.endsWith("\n") ? "" : "\n"}`;
}
