import { dropMapOf, type TableDeclaration } from "../../rewriter/index.ts";
import { didYouMean, formatDiagnostic, linesOf, nearestNames } from "../core/diagnostics.ts";
import { MapError, RewriteError, type SourceDiagnostic, UnsupportedError } from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import type { Scope } from "../core/scope.ts";
import { showLayouts } from "../object/describe-layout.ts";
import { typeMismatch } from "../object/map-types.ts";
import type { MapSpec } from "../object/object-spec.ts";
import { isSharedMap, type RawMap, type Runtime, type SharedMap } from "../runtime/types.ts";
import type { Built } from "./pipeline.ts";
import { findOffer, offeredNames, offerTables } from "./public-tables.ts";

/**
 * Makes the maps of an object, in a scope: new ones, those that are pinned, and those that other objects of the process
 * let it use. Fills slots of maps of maps as declared, and lets others use the public ones.
 *
 * @throws MapError; RewriteError at the user's line for an extern table that nobody offers
 */
export function createMaps(
  { object, facts, files }: Pick<Built, "object" | "facts" | "files">,
  runtime: Runtime,
  scope: Scope,
): Map<string, RawMap> {
  const tables = new Map(facts.tables.map((table) => [table.name, table]));
  const maps = new Map<string, RawMap>();
  for (const spec of object.maps) {
    const table = tables.get(spec.name);
    if (table?.kind === "extern") {
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
  assertAlike(spec, map.spec);
  const counter = offer.get(dropMapOf(name));
  const own = {
    keyType: spec.keyType,
    valueType: spec.valueType,
    btf: spec.btf,
    eventTypes: spec.eventTypes,
  };
  // The types of events that only the other object sends are known only there.
  const isReader = spec.eventTypes.length === 0 && map.spec.eventTypes.length > 0;
  return [
    map.share(isReader ? map.spec : { ...map.spec, ...own, name }),
    ...(counter === undefined ? [] : [counter.share(counter.spec)]),
  ];
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

/** Sizes that the other map has must be those declared here; how many entries fit is the other's business. */
function assertAlike(spec: MapSpec, other: MapSpec): void {
  const same = (is: number, wanted: number): boolean => is === 0 || is === wanted;
  if (same(other.keySize, spec.keySize) && same(other.valueSize, spec.valueSize)) {
    assertSameTypes(spec, other);
    return;
  }
  const shape = ({ keySize, valueSize }: MapSpec): string =>
    `${keySize}-byte keys and ${valueSize}-byte values`;
  throw new MapError(
    "MAP_MISMATCH",
    `extern table "${spec.name}" is declared with ${shape(spec)}, but the public table of that name has ${shape(other)}`,
    { hint: "declare the same types in both sources" },
  );
}

function assertSameTypes(spec: MapSpec, other: MapSpec): void {
  const difference = other.keySize === 0 && other.valueSize === 0 ? undefined : typeMismatch(spec, other);
  if (difference === undefined) return;
  const { role, wanted: declared, is } = difference;
  throw new MapError(
    "MAP_MISMATCH",
    `extern table "${spec.name}" is declared with another ${role} than the public table of that name\n${showLayouts({ declared, public: is })}`,
    { hint: "declare the same types in both sources" },
  );
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
