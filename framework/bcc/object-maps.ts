import { Table } from "../../maps/index.ts";
import { dropMapOf, type TableDeclaration } from "../../rewriter/index.ts";
import { didYouMean, formatDiagnostic, linesOf, nearestNames } from "../core/diagnostics.ts";
import {
  MapError,
  RewriteError,
  type SourceDiagnostic,
  UnsupportedError,
  UsageError,
} from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import type { Scope } from "../core/scope.ts";
import { showLayouts } from "../object/describe-layout.ts";
import { typeMismatch } from "../object/map-types.ts";
import type { MapSpec, ObjectSpec } from "../object/object-spec.ts";
import {
  isSharedMap,
  type MapOrigin,
  opensMaps,
  type RawMap,
  type Runtime,
  type SharedMap,
} from "../runtime/types.ts";
import type { Built } from "./pipeline.ts";
import { findOffer, offeredNames, offerTables } from "./public-tables.ts";

/** A map to use in place of a new one: a table, whose map stays its own as well, or where else one is. */
export type GivenMap = Table | MapOrigin;

/** Where the maps of an object are made. */
export interface MapSurroundings {
  readonly runtime: Runtime;
  /** Owns them. */
  readonly scope: Scope;
  /** By the table's name. */
  readonly given: Readonly<Record<string, GivenMap>>;
}

/**
 * Makes the maps of an object, in a scope: new ones, those that are pinned or given, and those that other objects of the
 * process let it use. Fills slots of maps of maps as declared, and lets others use the public ones.
 *
 * @throws MapError; RewriteError at the user's line for an extern table that nobody offers
 */
export function createMaps(
  { object, facts, files }: Pick<Built, "object" | "facts" | "files">,
  { runtime, scope, given }: MapSurroundings,
): Map<string, RawMap> {
  assertKnown(Object.keys(given), object);
  const tables = new Map(facts.tables.map((table) => [table.name, table]));
  const maps = new Map<string, RawMap>();
  for (const spec of object.maps) {
    const table = tables.get(spec.name);
    const own = given[spec.name];
    if (own !== undefined) {
      maps.set(spec.name, scope.own(handedOver(spec, own, runtime)));
    } else if (table?.kind === "extern") {
      for (const map of imported(spec, table, files.texts)) maps.set(map.spec.name, scope.own(map));
    } else if (!maps.has(spec.name)) {
      const pin = table?.pin ?? spec.pin;
      maps.set(spec.name, scope.own(runtime.createMap(pin === undefined ? spec : { ...spec, pin })));
    }
  }
  for (const spec of object.maps) fillSlots(spec, maps);
  const names = facts.tables.filter((table) => table.isPublic).flatMap(({ name }) => [name, dropMapOf(name)]);
  if (names.length > 0) scope.own(offerTables(offered(names, maps)));
  return maps;
}

function offered(
  names: readonly string[],
  maps: ReadonlyMap<string, RawMap>,
): ReadonlyMap<string, SharedMap> {
  const offer = new Map<string, SharedMap>();
  for (const name of names) {
    const map = maps.get(name);
    if (map === undefined) continue;
    if (!isSharedMap(map))
      throw new UnsupportedError(`table "${name}": this runtime's tables cannot be shared`);
    offer.set(name, map);
  }
  return offer;
}

/** Another object's map under this object's types, and the counter of what does not fit into it. */
function imported(
  spec: MapSpec,
  { name, position }: TableDeclaration,
  files: ReadonlyMap<string, string>,
): readonly RawMap[] {
  const offer = findOffer(name);
  const map = offer?.get(name);
  if (offer === undefined || map === undefined) throw notOffered(name, position, files);
  assertAlike(spec, map.spec, "the public table of that name");
  const counter = offer.get(dropMapOf(name));
  return [
    map.share(sharedSpec(spec, map.spec)),
    ...(counter === undefined ? [] : [counter.share(counter.spec)]),
  ];
}

/** Another's map under this object's types. */
function sharedSpec(spec: MapSpec, other: MapSpec): MapSpec {
  const { name, keyType, valueType, btf, eventTypes } = spec;
  // The types of events that only the other object sends are known only there.
  const isReader = eventTypes.length === 0 && other.eventTypes.length > 0;
  return isReader ? other : { ...other, keyType, valueType, btf, eventTypes, name };
}

function handedOver(spec: MapSpec, given: GivenMap, runtime: Runtime): RawMap {
  if (given instanceof Table) return shared(spec, given.raw);
  if (!opensMaps(runtime)) {
    throw new UnsupportedError(`cannot use a map of others as "${spec.name}": this runtime has only its own`);
  }
  using map = runtime.openMap(given);
  return shared(spec, map);
}

function shared(spec: MapSpec, map: RawMap): RawMap {
  if (!isSharedMap(map))
    throw new UnsupportedError(`table "${spec.name}": this runtime's tables cannot be shared`);
  if (map.spec.kind !== spec.kind) {
    throw new MapError(
      "MAP_MISMATCH",
      `table "${spec.name}" is declared as a ${spec.kind}, but the map given for it is a ${map.spec.kind}`,
    );
  }
  assertAlike(spec, map.spec, "the map given for it");
  return map.share(sharedSpec(spec, map.spec));
}

function assertKnown(names: readonly string[], { maps }: ObjectSpec): void {
  const known = maps.map(({ name }) => name).filter((name) => !name.startsWith("."));
  const stray = names.find((name) => !known.includes(name));
  if (stray === undefined) return;
  throw new UsageError(`BPF: a map is given for "${stray}", and the source declares no such table`, {
    hint: didYouMean(nearestNames(stray, known)) ?? `tables are ${known.join(", ")}`,
  });
}

function notOffered(
  name: string,
  position: TableDeclaration["position"],
  files: ReadonlyMap<string, string>,
): RewriteError {
  const finding: SourceDiagnostic = {
    ...position,
    severity: "error",
    code: "UNKNOWN_EXTERN",
    message: `no other BPF object of this process has a public table "${name}"`,
    hint:
      didYouMean(nearestNames(name, offeredNames())) ??
      "declare it there with BPF_TABLE_PUBLIC or BPF_TABLE_SHARED, and keep that object open",
  };
  return new RewriteError(formatDiagnostic(finding, linesOf(files)), [finding], { hint: finding.hint });
}

/** Sizes and types that the other map has must be those declared here; how many entries fit is the other's business. */
function assertAlike(spec: MapSpec, other: MapSpec, what: string): void {
  const same = (is: number, wanted: number): boolean => is === 0 || is === wanted;
  const mismatch = (wanted: string, is: string): MapError =>
    new MapError("MAP_MISMATCH", `table "${spec.name}" is declared with ${wanted}, but ${what} has ${is}`, {
      hint: "declare the same types in both sources",
    });
  if (!same(other.keySize, spec.keySize) || !same(other.valueSize, spec.valueSize)) {
    const shape = ({ keySize, valueSize }: MapSpec): string =>
      `${keySize}-byte keys and ${valueSize}-byte values`;
    throw mismatch(shape(spec), shape(other));
  }
  const difference = other.keySize === 0 && other.valueSize === 0 ? undefined : typeMismatch(spec, other);
  if (difference === undefined) return;
  const { role, wanted: declared, is } = difference;
  throw mismatch(`one type of ${role}s`, `another\n${showLayouts({ declared, "the other": is })}`);
}

/** Puts maps into the slots of a map of maps that its declaration names. */
function fillSlots({ name, slots = [], keySize }: MapSpec, maps: ReadonlyMap<string, RawMap>): void {
  const outer = maps.get(name);
  slots.forEach((inner, index) => {
    const map = inner === null ? undefined : maps.get(inner);
    if (outer === undefined || map === undefined) return;
    if (!isSharedMap(map)) throw new UnsupportedError(`table "${inner}": this runtime's tables do not nest`);
    const key = new Uint8Array(keySize);
    const value = new Uint8Array(4);
    viewOf(key).setUint32(0, index, true);
    viewOf(value).setUint32(0, map.fd, true);
    outer.update(key, value, "any");
  });
}
