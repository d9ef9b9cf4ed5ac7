import { type AnyTable, BufferGroup, openTable, type Table, type TypeChoice } from "../../maps/index.ts";
import { assertDeclared, type TableDeclaration } from "../../maps/tables/declaration.ts";
import { UnsupportedError } from "../core/errors.ts";
import { Scope } from "../core/scope.ts";
import { hasUserRings, type MapOrigin, opensMaps } from "../runtime/types.ts";
import { openHost, type RuntimeChoice } from "../runtimes.ts";

/** How to open a pinned table. */
export interface PinnedOptions {
  readonly runtime?: RuntimeChoice;
  /** C names ("u32", "char[16]") or codecs, for maps that were made without types. */
  readonly keyType?: TypeChoice;
  readonly valueType?: TypeChoice;
}

/** A table without a BPF object. Disposing it closes it; the map stays as long as anybody holds it. */
export interface OpenedTable<T> extends Disposable {
  readonly table: T;
}

/** How to open a table as `rxbpf types` wrote it down. */
export interface DeclaredOptions<T extends Table> {
  readonly runtime?: RuntimeChoice;
  /** Compared with the types that the map was made with. */
  readonly declaration: TableDeclaration<T>;
}

/**
 * Opens the map that is kept under a path of a BPF file system, whoever made it. Keys and values have the types that
 * the map was made with.
 *
 * @throws MapError MAP_PIN when there is none, MAP_MISMATCH when it is not as it is declared, with both layouts
 */
export function openPinned<K = unknown, V = unknown>(
  path: string,
  options?: PinnedOptions,
): OpenedTable<AnyTable<K, V>>;
export function openPinned<T extends Table>(path: string, options: DeclaredOptions<T>): OpenedTable<T>;
export function openPinned(
  path: string,
  options: PinnedOptions | DeclaredOptions<Table> = {},
): OpenedTable<AnyTable> {
  return open({ path }, options);
}

/**
 * Opens a map that somebody else made, as `openPinned` does, by its path, by a descriptor (which stays the caller's), or
 * by its id: `table.id` of another process, or what `bpftool map` lists.
 *
 * @throws MapError MAP_OPEN when there is no such map, and as openPinned; PermissionError
 */
export function openMap<K = unknown, V = unknown>(
  origin: MapOrigin,
  options?: PinnedOptions,
): OpenedTable<AnyTable<K, V>>;
export function openMap<T extends Table>(origin: MapOrigin, options: DeclaredOptions<T>): OpenedTable<T>;
export function openMap(
  origin: MapOrigin,
  options: PinnedOptions | DeclaredOptions<Table> = {},
): OpenedTable<AnyTable> {
  return open(origin, options);
}

function open(
  origin: MapOrigin,
  options: PinnedOptions & Partial<DeclaredOptions<Table>>,
): OpenedTable<AnyTable> {
  const { runtime: choice, keyType, valueType, declaration } = options;
  const scope = new Scope(`the table of ${JSON.stringify(origin)}`);
  try {
    const { runtime } = openHost(choice);
    scope.own(runtime);
    if (!opensMaps(runtime)) {
      throw new UnsupportedError("cannot open a table of others: this runtime has only its own");
    }
    const raw = scope.own(runtime.openMap(origin));
    if (declaration !== undefined) assertDeclared(declaration, raw.spec);
    const table = openTable(raw, {
      scope,
      cpuCount: runtime.cpuCount,
      keyType,
      valueType,
      openEvents: (options) => runtime.openEvents(raw, options),
      openUserRing: hasUserRings(runtime) ? (map) => runtime.openUserRing(map) : undefined,
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
