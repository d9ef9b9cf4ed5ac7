import { UsageError } from "../../framework/core/errors.ts";
import type {
  EventOptions,
  EventSource,
  LostCallback,
  RecordCallback,
} from "../../framework/runtime/types.ts";
import type { Losses } from "./losses.ts";

/** Who takes records from a feed. */
export interface RecordListener {
  /** Takes a record; the bytes are valid only during the call. Must not throw, except inside `consume`. */
  readonly record: RecordCallback;
  /** After each run of records. */
  readonly drained?: () => void;
  /** Reading failed; nothing follows. */
  readonly failed: (error: unknown) => void;
  /** The table was closed; nothing follows. */
  readonly closed: () => void;
}

/** How a listener joins. */
export interface ListenOptions {
  readonly pages?: number | undefined;
  readonly wakeupEvents?: number | undefined;
  /** Whether records come by themselves, or only when somebody calls `consume`. */
  readonly mode: "push" | "pull";
}

interface Seat {
  readonly listener: RecordListener;
  readonly mode: "push" | "pull";
  taken: boolean;
}

/** BCC's defaults for open_perf_buffer. */
const defaults = { pages: 8, wakeupEvents: 1 };
/** A turn of the event loop takes at most so many records and about so many milliseconds; then timers get theirs. */
const turnRecords = 4096;
const turnMs = 5;
/** Records between two looks at the clock: at first, and at most, while they take no more than so many milliseconds. */
const chunkRecords = { first: 16, most: 512 };
const chunkMs = 1;

/**
 * One reader of an event buffer for any number of listeners, because two readers of one buffer would each get a part of
 * the records. The buffer is opened for the first listener. What is unread when the last one leaves waits for the next:
 * the reader stays open with the table where closing would lose records (perf buffers), or where opening is expensive
 * (ring buffers: mapped pages count as memory to be collected, and each opening would bring a collection nearer).
 */
export class EventFeed implements Disposable {
  readonly #name: string;
  readonly #open: (options: EventOptions) => EventSource;
  readonly #losses: Losses;
  /** Counters of records dropped by programs, where the buffer itself does not count: one total per CPU. */
  readonly #drops: (() => readonly bigint[]) | undefined;
  #dropsSeen: bigint[] = [];
  #seats: readonly Seat[] = [];
  /** The only listener, when there is just one: saves the loop for each record. */
  #only: RecordCallback | undefined;
  #source: EventSource | undefined;
  #options: EventOptions = defaults;
  #unwatch: (() => void) | undefined;
  #turn: NodeJS.Immediate | undefined;
  /** As many records as listeners were seen to take in `chunkMs`. */
  #chunk = chunkRecords.first;
  #isDraining = false;
  #closed = false;

  constructor(
    name: string,
    parts: {
      readonly open: (options: EventOptions) => EventSource;
      readonly losses: Losses;
      readonly drops?: (() => readonly bigint[]) | undefined;
    },
  ) {
    this.#name = name;
    this.#open = parts.open;
    this.#losses = parts.losses;
    this.#drops = parts.drops;
  }

  /**
   * Adds a listener, and opens the buffer for the first one. The returned function takes it away again, also from
   * inside its own callbacks.
   * @throws UsageError when the buffer is being read with other sizes than those asked for
   */
  listen(listener: RecordListener, options: ListenOptions): () => void {
    const wanted = {
      pages: options.pages ?? (this.#source ? this.#options.pages : defaults.pages),
      wakeupEvents:
        options.wakeupEvents ?? (this.#source ? this.#options.wakeupEvents : defaults.wakeupEvents),
    };
    const isSame = wanted.pages === this.#options.pages && wanted.wakeupEvents === this.#options.wakeupEvents;
    if (!isSame && this.#seats.length === 0) this.#stop();
    if (this.#source === undefined) {
      this.#source = this.#open(wanted);
      this.#options = wanted;
    } else if (!isSame) {
      const { pages, wakeupEvents } = this.#options;
      throw new UsageError(
        `"${this.#name}" is already being read with ${pages} pages per CPU and a wake-up each ${wakeupEvents} records`,
        { hint: "its readers share one buffer: give the sizes to the first only" },
      );
    }
    const seat: Seat = { listener, mode: options.mode, taken: true };
    this.#setSeats([...this.#seats, seat]);
    if (seat.mode === "push") this.#watchForPush();
    return () => this.#leave(seat);
  }

  /**
   * Hands over what is waiting, at most `most` records; returns how many. What a pulling listener throws comes out here.
   * Inside of a callback it does nothing: the reading that called goes on by itself.
   */
  consume(most?: number): number {
    const source = this.#source;
    if (source === undefined || this.#seats.length === 0) return 0;
    const count = this.#drain(source, most);
    this.#afterDrain();
    return count;
  }

  /** Calls `onReady` when records are waiting, until the returned function is called. */
  watch(onReady: () => void): () => void {
    return this.#source?.watch(onReady) ?? (() => {});
  }

  /** Counts what a queue behind a listener dropped. */
  dropped(records: number, cpu: number | null): void {
    this.#losses.add(records, cpu, "queue");
  }

  /** Looks for losses that no record has told of yet. */
  countLosses(): void {
    this.#source?.countLost?.(this.#lost);
    if (!this.#closed) this.#countDrops();
  }

  /** Tells all listeners that the table was closed, and closes the buffer. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    const seats = this.#stop();
    this.#closed = true;
    for (const seat of seats) seat.listener.closed();
  }

  readonly #dispatch: RecordCallback = (view, at, length, cpu) => {
    if (this.#only !== undefined) return this.#only(view, at, length, cpu);
    for (const seat of this.#seats) {
      if (seat.taken) seat.listener.record(view, at, length, cpu);
    }
  };

  readonly #lost = (count: number, cpu: number): void => this.#losses.add(count, cpu);

  readonly #pump = (): void => {
    this.#turn = undefined;
    const source = this.#source;
    if (source === undefined) return;
    try {
      const isMore = this.#drainTurn(source);
      this.#afterDrain();
      if (isMore && this.#source === source && this.#hasPush) this.#turn = setImmediate(this.#pump);
    } catch (error) {
      for (const seat of this.#stop()) seat.listener.failed(error);
    }
  };

  #drain(source: EventSource, most: number | undefined): number {
    if (this.#isDraining) return 0;
    this.#isDraining = true;
    try {
      return source.drain(this.#dispatch, this.#lost, most);
    } finally {
      this.#isDraining = false;
    }
  }

  /** Returns whether records were left for the next turn. */
  #drainTurn(source: EventSource): boolean {
    let now = performance.now();
    const until = now + turnMs;
    for (let taken = 0; taken < turnRecords && now < until; ) {
      const wanted = this.#chunk;
      const count = this.#drain(source, wanted);
      const spent = performance.now() - now;
      now += spent;
      this.#chunk = nextChunk(wanted, spent);
      if (this.#source !== source || !this.#hasPush || count < wanted) return false;
      taken += count;
    }
    return true;
  }

  #afterDrain(): void {
    this.#countDrops();
    for (const seat of this.#seats) {
      if (seat.taken) seat.listener.drained?.();
    }
  }

  #countDrops(): void {
    this.#drops?.().forEach((total, cpu) => {
      const more = total - (this.#dropsSeen[cpu] ?? 0n);
      this.#dropsSeen[cpu] = total;
      if (more > 0n) this.#losses.add(Number(more), cpu);
    });
  }

  #watchForPush(): void {
    this.#unwatch ??= this.#source?.watch(() => {
      if (this.#turn === undefined) this.#pump();
    });
  }

  #leave(seat: Seat): void {
    if (!seat.taken) return;
    seat.taken = false;
    this.#setSeats(this.#seats.filter((other) => other !== seat));
    if (!this.#hasPush) this.#stopPush();
    if (this.#seats.length > 0) return;
    if (this.#source?.suspend === undefined) {
      this.#stop();
      return;
    }
    this.#source.suspend();
    this.countLosses();
  }

  get #hasPush(): boolean {
    return this.#seats.some((seat) => seat.mode === "push");
  }

  #stopPush(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    if (this.#turn !== undefined) clearImmediate(this.#turn);
    this.#turn = undefined;
  }

  /** Closes the buffer and returns the listeners there were. */
  #stop(): readonly Seat[] {
    const seats = this.#seats;
    for (const seat of seats) seat.taken = false;
    this.#setSeats([]);
    this.#stopPush();
    const source = this.#source;
    this.#source = undefined;
    if (source === undefined) return seats;
    // Told when the buffer is closed, since somebody may open it again when they hear of them.
    const late: Parameters<LostCallback>[] = [];
    source.countLost?.((...loss) => late.push(loss));
    source[Symbol.dispose]();
    for (const [count, cpu] of late) this.#losses.add(count, cpu);
    this.#countDrops();
    return seats;
  }

  #setSeats(seats: readonly Seat[]): void {
    this.#seats = seats;
    this.#only = seats.length === 1 ? seats[0]!.listener.record : undefined;
  }
}

/** How many records to take next, when so many took so many milliseconds: a slow listener must not keep timers waiting. */
function nextChunk(records: number, spentMs: number): number {
  if (spentMs > chunkMs) return Math.max(1, Math.floor((records * chunkMs) / spentMs));
  return spentMs < chunkMs / 2 ? Math.min(chunkRecords.most, records * 2) : records;
}
