import { type MapKindName, mapKindOf, mapKinds } from "../../maps/kinds.ts";
import { viewOf } from "../core/layout.ts";
import type { Btf, BtfMember, BtfType } from "./btf.ts";
import {
  type Elf,
  type ElfRelocation,
  type ElfSection,
  type ElfSymbol,
  malformed,
  SHF_ALLOC,
  SHT_NOBITS,
  SHT_PROGBITS,
} from "./elf.ts";
import type { MapSpec } from "./object-spec.ts";
import { isCode } from "./relocate.ts";

/** A map and the bytes of the object that stand for it. */
export interface PlacedMap {
  readonly spec: MapSpec;
  readonly section: ElfSection;
  /** Bytes in the section. */
  readonly start: number;
  readonly end: number;
}

/** BPF_F_RDONLY_PROG: programs may not write (linux/bpf.h). */
const READ_ONLY_FOR_PROGRAMS = 1 << 7;

/** No array map holds more, and an object that says so is damaged. */
const MOST_DATA_BYTES = 256 * 1024 * 1024;

/** Words of `struct bpf_map_def`: type, key size, value size, entries, flags. */
const DEFINITION_BYTES = 20;

const POINTER_BYTES = 8;

const R_BPF_64_ABS64 = 2;
const R_BPF_64_ABS32 = 3;

/** Every map of an object, data sections included. */
export function readMaps(
  elf: Elf,
  btf: Btf | null,
  eventTypes: ReadonlyMap<
    string,
    { readonly ids: readonly number[]; readonly tags: ReadonlyMap<number, number> }
  >,
): PlacedMap[] {
  const maps: PlacedMap[] = [];
  for (const section of elf.sections) {
    if (section.name === ".maps") maps.push(...declaredMaps(elf, section, btf));
    else if (section.name === "maps") maps.push(...definedMaps(elf, section));
    else if (isData(section)) maps.push(dataMap(section, btf));
  }
  return maps.map((map) => {
    const submitted = eventTypes.get(map.spec.name);
    if (submitted === undefined) return map;
    const { ids, tags } = submitted;
    return { ...map, spec: { ...map.spec, eventTypes: ids, eventTags: tags.size === 0 ? undefined : tags } };
  });
}

/** Whether a section holds global variables or constants. */
export function isData(section: ElfSection): boolean {
  if (!/^\.(data|bss|rodata)/.test(section.name) || section.size === 0 || isCode(section)) return false;
  return (section.flags & SHF_ALLOC) !== 0 && (section.type === SHT_PROGBITS || section.type === SHT_NOBITS);
}

/**
 * @throws ObjectError when a variable is initialised with the address of another one, which only a linker could fill in
 */
export function refusePointers(elf: Elf, section: ElfSection): void {
  for (const { offset, type, symbol } of elf.relocations(section)) {
    if (type !== R_BPF_64_ABS64 && type !== R_BPF_64_ABS32) continue;
    const variable = variableAt(elf, section, offset);
    throw malformed(
      `variable "${variable}" in section "${section.name}" holds the address of "${symbol.name}"`,
      "BPF has no addresses before loading: assign it in a program, or use an index or an array of characters",
    );
  }
}

function variableAt(elf: Elf, section: ElfSection, offset: number): string {
  const holds = ({ kind, section: home, value, size }: ElfSymbol) =>
    kind === "object" && home === section && value <= offset && offset < value + size;
  return elf.symbols.find(holds)?.name ?? `at ${offset}`;
}

function dataMap(section: ElfSection, btf: Btf | null): PlacedMap {
  if (section.size > MOST_DATA_BYTES) {
    throw malformed(`section "${section.name}" has ${section.size} bytes, more than ${MOST_DATA_BYTES}`);
  }
  const initial = new Uint8Array(section.size);
  initial.set(section.data);
  const isConstant = section.name.startsWith(".rodata");
  const spec: MapSpec = {
    name: section.name,
    kind: "array",
    keySize: 4,
    valueSize: section.size,
    maxEntries: 1,
    flags: isConstant ? READ_ONLY_FOR_PROGRAMS : 0,
    keyType: 0,
    valueType: btf?.find(section.name, "datasec") ?? 0,
    btf,
    initial,
    frozen: isConstant,
    eventTypes: [],
  };
  return { spec, section, start: 0, end: section.size };
}

/** Maps declared through BTF: variables of a struct whose members' types carry the settings. */
function declaredMaps(elf: Elf, section: ElfSection, btf: Btf | null): PlacedMap[] {
  const id = btf?.find(".maps", "datasec") ?? 0;
  const datasec = btf?.type(id);
  if (btf === null || datasec?.kind !== "datasec") {
    throw malformed("its maps are declared through types, which it does not have", "compile with -g");
  }
  const relocations = elf.relocations(section);
  return datasec.variables.map(({ type, offset, size }) => {
    const variable = btf.type(type);
    if (variable.kind !== "var") throw malformed('section ".maps" lists something that is no variable');
    if (offset + size > section.size) throw malformed(`map "${variable.name}" ends past section ".maps"`);
    const spec = declaredMap(variable.name, variable.type, btf);
    const place = { section, start: offset, end: offset + sizeOfVariable(elf, section, offset, size) };
    const filled = relocations.filter((one) => place.start <= one.offset && one.offset < place.end);
    if (filled.length === 0) return { ...place, spec };
    return { ...place, spec: { ...spec, slots: slotsOf(elf, place, filled, btf.sizeOf(variable.type)) } };
  });
}

/** An initialised array at a variable's end belongs to the variable, and only its symbol counts it. */
function sizeOfVariable(elf: Elf, section: ElfSection, offset: number, size: number): number {
  const at = elf.symbols.find(
    ({ kind, section: home, value }) => kind === "object" && home === section && value === offset,
  );
  return Math.max(size, at?.size ?? 0);
}

/** The maps that a declaration puts into slots: addresses behind the struct's own members. */
function slotsOf(
  elf: Elf,
  { section, start }: Pick<PlacedMap, "section" | "start">,
  filled: readonly ElfRelocation[],
  bytes: number,
): readonly (string | null)[] {
  const slots: (string | null)[] = [];
  for (const { offset, symbol } of filled) {
    const slot = (offset - start - bytes) / POINTER_BYTES;
    if (
      symbol.section !== section ||
      !Number.isInteger(slot) ||
      slot < 0 ||
      offset + POINTER_BYTES > section.data.length
    ) {
      throw malformed(
        `map "${variableAt(elf, section, offset)}" is initialised in its declaration with "${symbol.name}"`,
        "leave `values` empty and fill the map after loading",
      );
    }
    // A static map is told by its place in the section.
    const place = symbol.value + viewOf(section.data).getUint32(offset, true);
    slots[slot] = symbol.kind === "object" ? symbol.name : variableAt(elf, section, place);
  }
  return Array.from(slots, (name) => name ?? null);
}

/** What the members of a declaration say. */
interface Declaration {
  readonly numbers: Map<string, number>;
  /** The struct that says what maps inside of this one are like. */
  innerType: number;
  keyType: number;
  valueType: number;
}

function declaredMap(name: string, type: number, btf: Btf, isInner = false): MapSpec {
  const struct = btf.type(btf.resolve(type));
  if (struct.kind !== "struct")
    throw malformed(`map "${name}" is of type ${btf.describe(type)}, not a struct`);
  const declaration: Declaration = { numbers: new Map(), innerType: 0, keyType: 0, valueType: 0 };
  for (const member of struct.members) readMember(name, member, btf, declaration);
  const { numbers, innerType, keyType, valueType } = declaration;
  const kind = kindOfMap(name, numbers.get("type"));
  const isNested = mapKinds[kind].table === "nested";
  if (isNested && isInner) throw malformed(`map "${name}" has maps inside, and they nest only once`);
  if (isNested && innerType === 0) {
    const hint = "name a struct of a map: __array(values, struct { ... })";
    throw malformed(`map "${name}" does not say what the maps inside of it are like`, hint);
  }
  return {
    name,
    kind,
    inner: isNested ? declaredMap(`${name}.inner`, innerType, btf, true) : undefined,
    pin: pinOf(name, numbers.get("pinning") ?? 0),
    keySize: sizeOfPart(name, kind, "key", numbers.get("key_size"), keyType, btf),
    valueSize: sizeOfPart(name, kind, "value", numbers.get("value_size"), valueType, btf),
    maxEntries: numbers.get("max_entries") ?? 0,
    flags: (numbers.get("map_flags") ?? 0) | mapKinds[kind].flags,
    keyType,
    valueType,
    btf,
    initial: null,
    frozen: false,
    eventTypes: [],
  };
}

/** The path for libbpf's `pinning`: 0 is none, 1 (LIBBPF_PIN_BY_NAME) the map's name in the usual place. */
function pinOf(name: string, pinning: number): string | undefined {
  if (pinning === 0) return undefined;
  if (pinning === 1) return `/sys/fs/bpf/${name}`;
  throw malformed(
    `map "${name}" says pinning ${pinning}, which is not known`,
    "pin by name with 1, or not at all with 0",
  );
}

function readMember(map: string, member: BtfMember, btf: Btf, into: Declaration): void {
  switch (member.name) {
    case "key":
      into.keyType = pointedAt(map, member, btf);
      return;
    case "value":
      into.valueType = pointedAt(map, member, btf);
      return;
    case "values":
      into.innerType = elementOf(map, member, btf);
      return;
    case "type":
    case "max_entries":
    case "map_flags":
    case "key_size":
    case "value_size":
    case "pinning": {
      const array = btf.type(btf.resolve(pointedAt(map, member, btf)));
      if (array.kind !== "array") throw badMember(map, member, btf);
      into.numbers.set(member.name, array.length);
      return;
    }
    default:
      throw malformed(`map "${map}" sets "${member.name}", which this library does not know`, "remove it");
  }
}

/** What the pointers of `__array(values, ...)` point at when that is a struct; functions of program arrays are none. */
function elementOf(map: string, member: BtfMember, btf: Btf): number {
  const array = btf.type(btf.resolve(member.type));
  if (array.kind !== "array") throw badMember(map, member, btf);
  const pointer = btf.type(btf.resolve(array.element));
  if (pointer.kind !== "ptr") throw badMember(map, member, btf);
  return btf.kindOf(btf.resolve(pointer.type)) === "struct" ? pointer.type : 0;
}

function pointedAt(map: string, member: BtfMember, btf: Btf): number {
  const pointer: BtfType = btf.type(btf.resolve(member.type));
  if (pointer.kind !== "ptr") throw badMember(map, member, btf);
  return pointer.type;
}

function badMember(map: string, member: BtfMember, btf: Btf) {
  return malformed(
    `member "${member.name}" of map "${map}" is of type ${btf.describe(member.type)}`,
    "write numbers as `int (*name)[value]` and types as `type *name`",
  );
}

function kindOfMap(name: string, type: number | undefined): MapKindName {
  const kind = type === undefined ? undefined : mapKindOf(type);
  if (kind !== undefined) return kind;
  throw malformed(
    type === undefined
      ? `map "${name}" does not say its type`
      : `map "${name}" is of type ${type}, which is not known`,
  );
}

/** Bytes of a key or value: as stated, else its type's, else what the kind always has. */
function sizeOfPart(
  map: string,
  kind: MapKindName,
  part: "key" | "value",
  stated: number | undefined,
  type: number,
  btf: Btf,
): number {
  const ofType = type === 0 ? undefined : btf.sizeOf(type);
  if (stated !== undefined && ofType !== undefined && stated !== ofType) {
    throw malformed(
      `map "${map}" says its ${part} has ${stated} bytes, but ${btf.describe(type)} has ${ofType}`,
    );
  }
  const size = stated ?? ofType;
  if (size !== undefined) return size;
  const usual = part === "key" ? mapKinds[kind].keySize : mapKinds[kind].valueSize;
  if (usual === "any") throw malformed(`map "${map}" does not say the type of its ${part}`);
  return usual;
}

/** Maps defined the old way: a `struct bpf_map_def` each. */
function definedMaps(elf: Elf, section: ElfSection): PlacedMap[] {
  const symbols = elf.symbols.filter((symbol) => symbol.section === section && symbol.kind === "object");
  return symbols.map(({ name, value, size }) => {
    if (size < DEFINITION_BYTES || size % 4 !== 0 || value + size > section.data.length) {
      throw malformed(`map "${name}" is no struct bpf_map_def: it has ${size} bytes`);
    }
    const view = viewOf(section.data.subarray(value, value + size));
    for (let at = DEFINITION_BYTES; at < size; at += 4) {
      if (view.getUint32(at, true) !== 0) {
        throw malformed(
          `map "${name}" has settings beyond struct bpf_map_def`,
          "declare it in section .maps",
        );
      }
    }
    const kind = kindOfMap(name, view.getUint32(0, true));
    const spec: MapSpec = {
      name,
      kind,
      keySize: view.getUint32(4, true),
      valueSize: view.getUint32(8, true),
      maxEntries: view.getUint32(12, true),
      flags: view.getUint32(16, true) | mapKinds[kind].flags,
      keyType: 0,
      valueType: 0,
      btf: null,
      initial: null,
      frozen: false,
      eventTypes: [],
    };
    return { spec, section, start: value, end: value + size };
  });
}
