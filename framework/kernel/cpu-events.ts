import { errnoOf } from "../sys/bpf.ts";
import { watchCpus } from "../sys/cpu-watch.ts";
import { onlineCpus } from "../sys/proc.ts";

/** One event on each CPU that runs, for as long as it runs. */
export class CpuEvents<T extends Disposable> implements Disposable {
  readonly #open: (cpu: number) => T;
  readonly #events = new Map<number, T>();
  #watch: Disposable | undefined;

  /** @throws SyscallError to be wrapped by the caller */
  constructor(open: (cpu: number) => T) {
    this.#open = open;
    try {
      // Watched first: a CPU that comes online in between is then seen twice, and not missed.
      this.#watch = watchCpus(({ cpu, isOnline }) => {
        this.#remove(cpu);
        if (isOnline) this.#add(cpu);
      });
      for (const cpu of onlineCpus()) this.#add(cpu);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The events there are now, by CPU. */
  get events(): ReadonlyMap<number, T> {
    return this.#events;
  }

  #add(cpu: number): void {
    const event = unlessGone("ENODEV", () => this.#open(cpu));
    if (event !== undefined) this.#events.set(cpu, event);
  }

  /** The kernel stops an event for good when its CPU goes. */
  #remove(cpu: number): void {
    this.#events.get(cpu)?.[Symbol.dispose]();
    this.#events.delete(cpu);
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
    for (const cpu of [...this.#events.keys()]) this.#remove(cpu);
  }
}

/** What opens, or undefined when what it is opened on has gone, which the kernel says with `errno`. */
export function unlessGone<T>(errno: string, open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (errnoOf(error) === errno) return undefined;
    throw error;
  }
}
