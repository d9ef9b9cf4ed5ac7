import { type AnyTable, BufferGroup, openTable, type TypeChoice } from "../../maps/index.ts";
import { UnsupportedError } from "../core/errors.ts";
import { Scope } from "../core/scope.ts";
import { isPinningRuntime } from "../runtime/types.ts";
import { openHost, type RuntimeChoice } from "../runtimes.ts";

/** How to open a pinned table. */
export interface PinnedOptions {
  readonly runtime?: RuntimeChoice;
  /** C names ("u32", "char[16]") or codecs, for maps that were made without types. */
  readonly keyType?: TypeChoice;
  readonly valueType?: TypeChoice;
}

/** A table without a BPF object. Disposing it closes it; what is pinned stays. */
export interface PinnedTable<K, V> extends Disposable {
  readonly table: AnyTable<K, V>;
}

/**
 * Opens the map that is kept under a path of a BPF file system, whoever made it. Keys and values have the types that
 * the map was made with.
 *
 * @throws MapError MAP_PIN when there is none
 */
export function openPinned<K = unknown, V = unknown>(
  path: string,
  { runtime: choice, keyType, valueType }: PinnedOptions = {},
): PinnedTable<K, V> {
  const scope = new Scope(`the table at ${path}`);
  try {
    const { runtime } = openHost(choice);
    scope.own(runtime);
    if (!isPinningRuntime(runtime)) {
      throw new UnsupportedError(`cannot open ${path}: this runtime has no file system for tables`);
    }
    const raw = scope.own(runtime.openPinned(path));
    const table = openTable<K, V>(raw, {
      scope,
      cpuCount: runtime.cpuCount,
      keyType,
      valueType,
      openEvents: (options) => runtime.openEvents(raw, options),
      buffers: {
        perf: scope.own(new BufferGroup("perf buffers")),
        ring: scope.own(new BufferGroup("ring buffers")),
      },
    });
    return { table, [Symbol.dispose]: () => scope[Symbol.dispose]() };
  } catch (error) {
    scope[Symbol.dispose]();
    throw error;
  }
}
