import { viewOf } from "../core/layout.ts";
import { type ProgramRole, roleOfFunction, roleOfSection } from "../programs/kinds.ts";
import type { Btf } from "./btf.ts";
import { type BtfExt, noBtfExt, readBtfExt, rebaseRecords } from "./btf-ext.ts";
import { relocateFields } from "./core-relocate.ts";
import { Elf, type ElfSymbol, malformed } from "./elf.ts";
import { loadableBtf, placedBtf } from "./loadable-btf.ts";
import { isData, type PlacedMap, readMaps, refusePointers } from "./map-specs.ts";
import type { ObjectSpec, ProgramSpec } from "./object-spec.ts";
import { Linker, type MapPlace, type ObjectFunction } from "./relocate.ts";

/** How to read an object. */
export interface ReadOptions {
  /**
   * Gives the types of the kernel the object is for. Called once, and only when programs access kernel types in a way
   * that depends on the kernel (CO-RE). Without it such accesses stay as compiled.
   */
  readonly kernelTypes?: () => Btf;
}

/** Where the rewriter leaves the types that programs submit to event tables. */
const EVENT_TYPES = ".bcc.types";

/**
 * `__bcc_event_<call>_<table>`, with `__tagged_` before it where records carry the call's number. clang puts a
 * function's name before its static variables, and numbers repeats.
 */
const EVENT_VARIABLE =
  /(?:^|\.)(?<tagged>__tagged_)?__bcc_event_(?:(?<call>\d+)_)?(?<owner>[^.]+)(?:\.\d+)?$/;

/** The types that anchors of one owner name. */
interface AnchoredTypes {
  /** Without repeats. */
  readonly ids: number[];
  /** By the call's number, where records carry it. */
  readonly tags: Map<number, number>;
}

/**
 * `__rx_record` in the function that writes records: a program's own, the one that its macro or the rewriter made of it,
 * or a helper.
 */
const RECORD_VARIABLE = /^(?:____|__rx_)?(?<owner>\w+)\.__rx_record(?:\.\d+)?$/;

/** Sections of functions that only their names give a kind, as BCC has them. */
const NAMED_FUNCTION = ".bpf.fn.";

/** Functions that no section gives a kind are called by others. */
const SUBPROGRAMS = ".text";

/**
 * Reads an object file made by clang for BPF: its maps, its programs and its types.
 *
 * @throws ObjectError when the bytes are no such object, are damaged, or need what this library cannot give
 */
export function readObject(bytes: Uint8Array, options: ReadOptions = {}): ObjectSpec {
  const elf = new Elf(bytes);
  const types = readTypes(elf);
  const maps = readMaps(elf, types.btf, types.eventTypes);
  const used = new Set<PlacedMap>();
  const findMap = (symbol: ElfSymbol, addend: number): MapPlace | null => {
    const place = placeIn(maps, symbol, addend);
    if (place === null) return null;
    used.add(place.owner);
    return { map: place.owner.spec.name, valueOffset: place.valueOffset };
  };
  const patched = relocateFields(elf, types.ext, types.btf, options.kernelTypes);
  const linker = new Linker(elf, findMap, patched);
  const license = readLicense(elf);
  const kernelVersion = readVersion(elf);
  const programs = linker.functions
    .filter((fn) => !fn.isLocal && fn.section.name !== SUBPROGRAMS)
    .map((fn) => readProgram(fn, linker, { ...types, license, kernelVersion }));
  const kept = maps.filter((map) => used.has(map) || !isData(map.section) || holdsVariables(elf, map));
  for (const map of kept) {
    if (isData(map.section)) refusePointers(elf, map.section);
  }
  return { maps: kept.map((map) => map.spec), programs, btf: types.btf, license };
}

/** What an object says about types. */
interface ObjectTypes {
  readonly btf: Btf | null;
  readonly ext: BtfExt;
  /** By the table that events of these types are submitted to. */
  readonly eventTypes: ReadonlyMap<string, AnchoredTypes>;
  /** By the function that writes records of these types. */
  readonly recordTypes: ReadonlyMap<string, AnchoredTypes>;
}

function readTypes(elf: Elf): ObjectTypes {
  const section = elf.section(".BTF");
  if (section === undefined)
    return { btf: null, ext: noBtfExt, eventTypes: new Map(), recordTypes: new Map() };
  const placed = placedBtf(elf, section);
  const btf = loadableBtf(placed, elf, (name) => name === EVENT_TYPES);
  const extension = elf.section(".BTF.ext");
  const ext = extension === undefined ? noBtfExt : readBtfExt(extension.data, btf);
  return {
    btf,
    ext,
    eventTypes: readAnchors(placed, EVENT_VARIABLE),
    recordTypes: readAnchors(placed, RECORD_VARIABLE),
  };
}

/** The types that variables of the section `.bcc.types` point at, by what their names tell, in order of their places. */
function readAnchors(btf: Btf, names: RegExp): ReadonlyMap<string, AnchoredTypes> {
  const types = new Map<string, AnchoredTypes>();
  const section = btf.type(btf.find(EVENT_TYPES, "datasec"));
  if (section.kind !== "datasec") return types;
  for (const { type } of [...section.variables].sort((a, b) => a.offset - b.offset)) {
    const variable = btf.type(type);
    if (variable.kind !== "var")
      throw malformed(`section "${EVENT_TYPES}" lists something that is no variable`);
    const { owner, tagged, call } = names.exec(variable.name)?.groups ?? {};
    const pointer = btf.type(btf.resolve(variable.type));
    if (owner === undefined || pointer.kind !== "ptr") continue;
    const { ids, tags } = types.get(owner) ?? { ids: [], tags: new Map<number, number>() };
    const id = unqualified(btf, pointer.type);
    if (!ids.some((known) => btf.resolve(known) === btf.resolve(id))) ids.push(id);
    if (tagged !== undefined) tags.set(Number(call), id);
    types.set(owner, { ids, tags });
  }
  return types;
}

/** The type without const, volatile and the like; a typedef stays. */
function unqualified(btf: Btf, id: number): number {
  // Ends, since `resolve` has followed a longer chain before it got past any of these.
  const end = btf.resolve(id);
  let current = id;
  for (let type = btf.type(current); current !== end && type.kind !== "typedef" && "type" in type; ) {
    current = type.type;
    type = btf.type(current);
  }
  return current;
}

/** The map that a symbol plus an addend lies in. */
function placeIn(maps: readonly PlacedMap[], symbol: ElfSymbol, addend: number) {
  const offset = symbol.value + addend;
  for (const owner of maps) {
    if (owner.section !== symbol.section || offset < owner.start || offset >= owner.end) continue;
    if (isData(owner.section)) return { owner, valueOffset: offset };
    if (offset === owner.start) return { owner, valueOffset: null };
  }
  return null;
}

function holdsVariables(elf: Elf, map: PlacedMap): boolean {
  return elf.symbols.some((symbol) => symbol.kind === "object" && symbol.section === map.section);
}

/** What all programs of an object have in common. */
interface Shared extends ObjectTypes {
  readonly license: string;
  readonly kernelVersion: number;
}

function readProgram(fn: ObjectFunction, linker: Linker, shared: Shared): ProgramSpec {
  const { insns, mapReferences, placements } = linker.link(fn);
  const role = roleOf(fn);
  return {
    name: fn.name,
    section: fn.section.name,
    kind: role?.kind ?? null,
    target: role?.target ?? null,
    insns,
    mapReferences,
    recordTypes:
      shared.recordTypes.get(fn.name)?.ids ?? [...shared.recordTypes.values()].flatMap(({ ids }) => ids),
    license: shared.license,
    kernelVersion: shared.kernelVersion,
    btf: shared.btf,
    funcInfo: rebaseRecords(shared.ext.functions, placements),
    lineInfo: rebaseRecords(shared.ext.lines, placements),
  };
}

function roleOf({ section }: ObjectFunction): ProgramRole | null {
  if (section.name.startsWith(NAMED_FUNCTION))
    return roleOfFunction(section.name.slice(NAMED_FUNCTION.length));
  return roleOfSection(section.name);
}

function readLicense(elf: Elf): string {
  const section = elf.section("license");
  if (section === undefined) return "GPL";
  const end = section.data.indexOf(0);
  return new TextDecoder().decode(end < 0 ? section.data : section.data.subarray(0, end));
}

function readVersion(elf: Elf): number {
  const section = elf.section("version");
  return section === undefined || section.data.length < 4 ? 0 : viewOf(section.data).getUint32(0, true);
}
