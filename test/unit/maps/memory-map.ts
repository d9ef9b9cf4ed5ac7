import { MapError } from "../../../framework/core/errors.ts";
import { Scope } from "../../../framework/core/scope.ts";
import type { MapSpec } from "../../../framework/object/object-spec.ts";
import type { BatchCursor, BatchMap, PopMap, RawMap, UpdateMode } from "../../../framework/runtime/types.ts";
import { BufferGroup, type OpenContext } from "../../../maps/index.ts";
import { mapKinds, valueBytes } from "../../../maps/kinds.ts";

/** CPUs of the tables opened here. */
export const cpuCount = 3;

export function specOf(spec: Partial<MapSpec>): MapSpec {
  return {
    name: "counts",
    kind: "hash",
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
    flags: 0,
    keyType: 0,
    valueType: 0,
    btf: null,
    initial: null,
    frozen: false,
    eventTypes: [],
    ...spec,
  };
}

export interface TestContext extends OpenContext {
  readonly scope: Scope;
}

export function contextOf(extra: Partial<OpenContext> = {}): TestContext {
  const scope = new Scope("this BPF object");
  const buffers = {
    perf: scope.own(new BufferGroup("perf buffers")),
    ring: scope.own(new BufferGroup("ring buffers")),
  };
  const openEvents = (): never => {
    throw new Error("this map has no events");
  };
  return { cpuCount, openEvents, buffers, ...extra, scope };
}

/** A map in this process's memory that answers as the kernel's hash and array maps do. */
export class MemoryMap implements RawMap {
  readonly spec: MapSpec;
  readonly entries = new Map<string, Uint8Array>();
  readonly valueBytes: number;

  constructor(spec: Partial<MapSpec>) {
    this.spec = specOf(spec);
    this.valueBytes = valueBytes(this.spec.kind, this.spec.valueSize, cpuCount);
    if (!mapKinds[this.spec.kind].canMiss) {
      for (let i = 0; i < this.spec.maxEntries; i++) {
        this.entries.set(idOf(new Uint8Array(new Uint32Array([i]).buffer)), new Uint8Array(this.valueBytes));
      }
    }
  }

  lookup(key: Uint8Array, into: Uint8Array): boolean {
    const value = this.entries.get(idOf(key));
    if (value !== undefined) into.set(value);
    return value !== undefined;
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): void {
    const id = idOf(key);
    if (mode === "replace" && !this.entries.has(id)) throw new MapError("KEY_MISSING", "no such key");
    if (!this.entries.has(id) && this.entries.size >= this.spec.maxEntries) {
      throw new MapError("MAP_FULL", `table "${this.spec.name}" is full`);
    }
    this.entries.set(id, value.slice());
  }

  delete(key: Uint8Array): boolean {
    return this.entries.delete(idOf(key));
  }

  nextKey(after: Uint8Array | null, into: Uint8Array): boolean {
    const ids = [...this.entries.keys()];
    const next = ids[after === null ? 0 : ids.indexOf(idOf(after)) + 1];
    if (next !== undefined) into.set(Buffer.from(next, "hex"));
    return next !== undefined;
  }

  [Symbol.dispose](): void {}
}

/** The same with batch reading, three entries at a time. */
export class MemoryBatchMap extends MemoryMap implements BatchMap {
  batches = 0;

  lookupBatch(cursor: BatchCursor, keys: Uint8Array, values: Uint8Array, most: number): number {
    this.batches++;
    const start = cursor.position === null ? 0 : Number(cursor.position[0]);
    const part = [...this.entries].slice(start, start + Math.min(3, most));
    part.forEach(([id, value], i) => {
      keys.set(Buffer.from(id, "hex"), i * this.spec.keySize);
      values.set(value, i * this.valueBytes);
    });
    cursor.position = new Uint8Array([start + part.length]);
    cursor.done = start + part.length === this.entries.size;
    return part.length;
  }
}

/** A queue, first in, first out. */
export class MemoryQueue extends MemoryMap implements PopMap {
  readonly waiting: Uint8Array[] = [];

  override lookup(_key: Uint8Array, into: Uint8Array): boolean {
    const first = this.waiting[0];
    if (first !== undefined) into.set(first);
    return first !== undefined;
  }

  override update(_key: Uint8Array, value: Uint8Array, mode: UpdateMode): void {
    if (this.waiting.length === this.spec.maxEntries) {
      if (mode !== "replace") throw new MapError("MAP_FULL", `table "${this.spec.name}" is full`);
      this.waiting.shift();
    }
    this.waiting.push(value.slice());
  }

  pop(into: Uint8Array): boolean {
    const isThere = this.lookup(new Uint8Array(0), into);
    this.waiting.shift();
    return isThere;
  }
}

function idOf(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}
