import {
  type AnyTable,
  type BufferGroup,
  type Enumeration,
  enumerationOf,
  type OpenContext,
  openTable,
  type TypeChoice,
} from "../../maps/index.ts";
import { mapKinds } from "../../maps/kinds.ts";
import {
  assertDeclared,
  type TableDeclaration,
  type VariableDeclaration,
} from "../../maps/tables/declaration.ts";
import { findVariable, type Variable, variablesOf } from "../../maps/tables/variable.ts";
import { dropMapOf } from "../../rewriter/index.ts";
import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { UsageError } from "../core/errors.ts";
import type { Scope } from "../core/scope.ts";
import type { Btf } from "../object/btf.ts";
import { hasCounters, hasUserRings, opensProcesses, type RawMap, type Runtime } from "../runtime/types.ts";
import { checkOptions } from "./options.ts";

/** Named as in BCC. Types are C names ("u32", "char[16]", "struct key_t" of the source) or codecs. */
export interface TableTypes {
  /** Instead of what the source declares. */
  readonly keytype?: TypeChoice;
  /** Instead of what the source declares; of an event table, the type of its records. */
  readonly leaftype?: TypeChoice;
  /** Per-CPU tables: folds the CPUs' values into one when reading. */
  readonly reducer?: (left: never, right: never) => unknown;
}

/** What the tables of an object are made of. */
export interface ObjectParts {
  readonly maps: ReadonlyMap<string, RawMap>;
  readonly btf: Btf | null;
  readonly runtime: Runtime;
  readonly scope: Scope;
  readonly buffers: { readonly perf: BufferGroup; readonly ring: BufferGroup };
}

/** The tables and variables of a BPF object, each opened when it is first asked for. */
export class ObjectTables {
  readonly #parts: ObjectParts;
  readonly #tables = new Map<string, AnyTable>();

  constructor(parts: ObjectParts) {
    this.#parts = parts;
  }

  /** Names of the tables that the source declares. */
  get names(): readonly string[] {
    return [...this.#parts.maps.keys()].filter((name) => !name.startsWith("."));
  }

  /** @throws UsageError for a name that the source does not declare */
  raw(name: string): RawMap {
    const raw = this.#parts.maps.get(name);
    if (raw !== undefined) return raw;
    throw new UsageError(`the source declares no table "${name}"`, {
      hint: didYouMean(nearestNames(name, this.names)) ?? `tables are ${this.names.join(", ")}`,
    });
  }

  /** A table by name or declaration: the same object each time, except with types of the caller's own. */
  get(wanted: string | TableDeclaration, types: TableTypes | undefined): AnyTable {
    this.#parts.scope.assertOpen();
    const name = typeof wanted === "string" ? wanted : wanted.name;
    const raw = this.raw(name);
    if (typeof wanted !== "string") assertDeclared(wanted, raw.spec);
    const known = this.#tables.get(name);
    if (types === undefined) return known ?? this.#keep(name, this.#open(raw, {}));
    checkOptions("get_table", types, { keytype: "type?", leaftype: "type?", reducer: "callback?" });
    if (!isEventBuffer(raw)) return this.#open(raw, types);
    // Two readers of one buffer would each get a part of the records.
    if (known === undefined) return this.#keep(name, this.#open(raw, types));
    throw new UsageError(`get_table: "${name}" was opened before, and a buffer has one reader`, {
      hint: "give leaftype with the first get_table of an event table",
    });
  }

  /** @throws UsageError for a name that no data section has */
  variable(wanted: string | VariableDeclaration): Variable<unknown> {
    this.#parts.scope.assertOpen();
    const { maps } = this.#parts;
    const name = typeof wanted === "string" ? wanted : wanted.name;
    const found = findVariable(wanted, maps.values());
    if (found !== undefined) return found;
    const names = [...maps.values()].flatMap(({ spec }) =>
      variablesOf(spec).map((variable) => variable.name),
    );
    throw new UsageError(`the source has no global variable "${name}"`, {
      hint: didYouMean(nearestNames(name, names)),
    });
  }

  enumeration(name: string): Enumeration {
    return enumerationOf(this.#parts.btf, name);
  }

  #keep(name: string, table: AnyTable): AnyTable {
    this.#tables.set(name, table);
    return table;
  }

  #open(raw: RawMap, { keytype, leaftype, reducer }: TableTypes): AnyTable {
    const { runtime, scope, buffers } = this.#parts;
    return openTable(raw, {
      scope,
      cpuCount: runtime.cpuCount,
      openEvents: (options) => runtime.openEvents(raw, options),
      openCounters: hasCounters(runtime) ? (options) => runtime.openCounters(raw, options) : undefined,
      openUserRing: hasUserRings(runtime) ? (map) => runtime.openUserRing(map) : undefined,
      ...this.#lossesOf(raw),
      buffers,
      openProcess: opensProcesses(runtime) ? (pid) => runtime.openProcess(pid) : undefined,
      keyType: keytype,
      reducer,
      ...(isEventBuffer(raw) ? { eventType: leaftype } : { valueType: leaftype }),
    });
  }

  /** Reads the counter that stands beside a table: what was lost so far on each CPU, records or updates. */
  #lossesOf(raw: RawMap): Pick<OpenContext, "drops" | "failedUpdates"> {
    const counter = this.#parts.maps.get(dropMapOf(raw.spec.name));
    if (counter === undefined) return {};
    const read = this.#readerOf(counter);
    return isEventBuffer(raw) ? { drops: read } : { failedUpdates: read };
  }

  #readerOf(counter: RawMap): () => readonly bigint[] {
    const totals = new BigUint64Array(counter.spec.valueSize / 8);
    const bytes = new Uint8Array(totals.buffer);
    const used = totals.subarray(0, this.#parts.runtime.cpuCount);
    const key = new Uint8Array(counter.spec.keySize);
    return () => {
      counter.lookup(key, bytes);
      return [...used];
    };
  }
}

function isEventBuffer({ spec }: RawMap): boolean {
  return mapKinds[spec.kind].table === "events";
}
