import type { EventSource, LostCallback, RecordCallback } from "../../../framework/runtime/types.ts";

/** A buffer that a test fills. Records are handed over in one memory that the next record overwrites. */
export class MemorySource implements EventSource {
  readonly #records: { readonly bytes: Uint8Array; readonly cpu: number | null }[] = [];
  readonly #losses: { readonly count: number; readonly cpu: number }[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #view = new DataView(new ArrayBuffer(256));
  /** How many records each drain was allowed to take. */
  readonly limits: (number | undefined)[] = [];
  disposed = false;

  get watched(): boolean {
    return this.#watchers.size > 0;
  }

  /** Adds records and tells those who watch. */
  push(...records: readonly (readonly number[])[]): void {
    this.add(records, null);
  }

  add(records: readonly (readonly number[])[], cpu: number | null): void {
    for (const bytes of records) this.#records.push({ bytes: new Uint8Array(bytes), cpu });
    for (const watcher of [...this.#watchers]) watcher();
  }

  lose(count: number, cpu: number): void {
    this.#losses.push({ count, cpu });
    for (const watcher of [...this.#watchers]) watcher();
  }

  drain(onRecord: RecordCallback, onLost: LostCallback, most?: number): number {
    this.limits.push(most);
    for (const { count, cpu } of this.#losses.splice(0)) onLost(count, cpu);
    let taken = 0;
    while (this.#records.length > 0 && taken < (most ?? Number.POSITIVE_INFINITY) && !this.disposed) {
      const { bytes, cpu } = this.#records.shift()!;
      new Uint8Array(this.#view.buffer).set(bytes, 8);
      taken++;
      onRecord(this.#view, 8, bytes.length, cpu);
    }
    return taken;
  }

  watch(onReady: () => void): () => void {
    this.#watchers.add(onReady);
    return () => this.#watchers.delete(onReady);
  }

  [Symbol.dispose](): void {
    this.disposed = true;
    this.#watchers.clear();
  }
}
