import { type MapKindName, mapKindOf, mapKinds } from "../../maps/kinds.ts";
import { type BpfError, MapError, UnsupportedError, UsageError } from "../core/errors.ts";
import { isAtLeast } from "../core/version.ts";
import { showLayouts } from "../object/describe-layout.ts";
import { typeMismatch } from "../object/map-types.ts";
import type { MapSpec } from "../object/object-spec.ts";
import type { RawMap } from "../runtime/types.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { kernelRelease, kernelVersion, possibleCpus, raiseMemoryLock } from "../sys/proc.ts";
import { mapBatch, mapCreate, mapFreeze } from "../uapi/bpf-attr.ts";
import { BPF_F_RDONLY_PROG, MAP_ACCESS_FLAGS } from "../uapi/constants.ts";
import type { BtfObjects } from "./btf-objects.ts";
import { KernelBatchMap, KernelFilter, KernelHashMap, KernelMap, KernelQueue } from "./kernel-map.ts";
import { type MapInfo, mapInfo, typesMadeWith } from "./map-info.ts";
import { objectName } from "./object-name.ts";
import { isPermission, missingPrivilege } from "./permission.ts";
import { openPin, pinAt } from "./pins.ts";

/**
 * Creates a map and fills in its first value, or takes it from the path where it is pinned.
 *
 * @throws UnsupportedError for a kind this kernel lacks; PermissionError; MapError MAP_MISMATCH when what is pinned is
 * another map, MAP_PIN when it cannot be pinned, MAP_CREATE for everything else
 */
export function createMap(spec: MapSpec, types: BtfObjects): RawMap {
  const sized = withEntries(spec);
  if (sized.pin === undefined) return made(sized, types);
  const pinned = openPinned(sized, sized.pin);
  if (pinned !== null) return pinned;
  const map = made(sized, types);
  try {
    if (pinAt(sized.pin, map.fd, sized.name)) return map;
    // Another process pinned its own in between: that one counts, and ours goes.
    const theirs = openPinned(sized, sized.pin);
    if (theirs === null) throw gone(sized, sized.pin);
    map[Symbol.dispose]();
    return theirs;
  } catch (error) {
    map[Symbol.dispose]();
    throw error;
  }
}

function made(spec: MapSpec, types: BtfObjects): KernelMap {
  const map = mapBehind(spec, new Fd(create(spec, types), `table "${spec.name}"`));
  try {
    fill(map);
    return map;
  } catch (error) {
    map[Symbol.dispose]();
    throw error;
  }
}

/** The map under a path, which must be like the declared one; null when there is none. */
function openPinned(spec: MapSpec, path: string): KernelMap | null {
  const fd = openPin(path, `table "${spec.name}"`);
  if (fd === null) return null;
  try {
    const info = mapInfo(fd);
    const shape = shapeOf(spec, info);
    const declared = shape.map(({ words, wanted }) => `${words} ${wanted}`).join(", ");
    const pinned = shape.map(({ words, is }) => `${words} ${is}`).join(", ");
    if (shape.every(({ wanted, is }) => wanted === is)) {
      assertSameTypes(spec, info, path);
      return mapBehind({ ...spec, maxEntries: info.max_entries }, fd);
    }
    throw new MapError(
      "MAP_MISMATCH",
      `table "${spec.name}" is declared with ${declared}, but what is pinned at ${path} has ${pinned}`,
      { hint: "declare it as it is, use another path, or remove the file when nobody needs it" },
    );
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

/** Types of the same size may still mean something else; maps that were made without types take any. */
function assertSameTypes(spec: MapSpec, info: MapInfo, path: string): void {
  if (spec.btf === null || info.btf_id === 0) return;
  const difference = typeMismatch(spec, typesMadeWith(info));
  if (difference === undefined) return;
  const { role, wanted: declared, is: pinned } = difference;
  throw new MapError(
    "MAP_MISMATCH",
    `table "${spec.name}" is declared with another ${role} than what is pinned at ${path}\n${showLayouts({ declared, pinned })}`,
    { hint: "declare it as it is, use another path, or remove the file when nobody needs it" },
  );
}

/** What a declared map and an existing one must have in common. A size of 0 takes any. */
function shapeOf(spec: MapSpec, info: MapInfo) {
  const flags = (spec.flags | mapKinds[spec.kind].flags) & ~MAP_ACCESS_FLAGS;
  const kind = mapKindOf(info.type) ?? `number ${info.type}`;
  const entries = spec.maxEntries === 0 ? info.max_entries : spec.maxEntries;
  return [
    { words: "kind", wanted: spec.kind, is: kind },
    { words: "key bytes", wanted: spec.keySize, is: info.key_size },
    { words: "value bytes", wanted: spec.valueSize, is: info.value_size },
    { words: "entries", wanted: entries, is: info.max_entries },
    { words: "flags", wanted: flags, is: info.map_flags & ~MAP_ACCESS_FLAGS },
  ];
}

function gone(spec: MapSpec, path: string): MapError {
  return new MapError(
    "MAP_PIN",
    `cannot pin table "${spec.name}" at ${path}: somebody else comes and goes there`,
  );
}

/** A perf event array without a size gets one slot per CPU number. */
function withEntries(spec: MapSpec): MapSpec {
  if (spec.kind !== "perf_event_array" || spec.maxEntries !== 0) return spec;
  return { ...spec, maxEntries: Math.max(...possibleCpus()) + 1 };
}

/** The map behind a descriptor, which becomes the map's own. */
export function mapBehind(spec: MapSpec, fd: Fd): KernelMap {
  if (spec.kind === "queue" || spec.kind === "stack") return new KernelQueue(spec, fd);
  if (spec.kind === "bloom_filter") return new KernelFilter(spec, fd);
  if (!mapKinds[spec.kind].batch || !takesBatches(fd.number)) return new KernelMap(spec, fd);
  return HASHES.has(spec.kind) ? new KernelHashMap(spec, fd) : new KernelBatchMap(spec, fd);
}

/** Kinds with BPF_MAP_LOOKUP_AND_DELETE_BATCH (kernel/bpf/hashtab.c). */
const HASHES: ReadonlySet<MapKindName> = new Set(["hash", "percpu_hash", "lru_hash", "lru_percpu_hash"]);

/** Reading no entries succeeds exactly where the kernel has batches for the map's kind. */
export function takesBatches(fd: number): boolean {
  try {
    bpf("BPF_MAP_LOOKUP_BATCH", mapBatch, { map_fd: fd, count: 0 });
    return true;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

type CreateValues = Parameters<typeof mapCreate.encode>[0];

function create(spec: MapSpec, types: BtfObjects): number {
  if (spec.inner === undefined) return createLike(spec, types, 0);
  // The kernel only looks at it: every map that comes into a slot must be like this one.
  using like = made(withEntries(spec.inner), types);
  return createLike(spec, types, like.fd);
}

function createLike(spec: MapSpec, types: BtfObjects, innerFd: number): number {
  const plain = {
    inner_map_fd: innerFd,
    map_type: mapKinds[spec.kind].type,
    key_size: spec.keySize,
    value_size: spec.valueSize,
    max_entries: spec.maxEntries,
    map_flags: spec.flags | mapKinds[spec.kind].flags | (spec.frozen ? BPF_F_RDONLY_PROG : 0),
  };
  // Types serve only readers of the map, names only its looks: not every kind takes types, and names came in 4.15.
  const variants = [...typed(spec, plain, types), { ...plain, map_name: objectName(spec.name) }, plain];
  let first: unknown;
  for (const values of variants) {
    try {
      return tryCreate(values);
    } catch (error) {
      first ??= error;
      if (isPermission(errnoOf(error)) || errnoOf(error) === "ENOMEM") break;
    }
  }
  throw explain(spec, first);
}

function typed(spec: MapSpec, plain: CreateValues, types: BtfObjects): readonly CreateValues[] {
  if (spec.btf === null || spec.valueType === 0) return [];
  const descriptor = types.descriptor(spec.btf);
  if (descriptor === null) return [];
  return [
    {
      ...plain,
      map_name: objectName(spec.name),
      btf_fd: descriptor,
      btf_key_type_id: spec.keyType,
      btf_value_type_id: spec.valueType,
    },
  ];
}

/** Creates; where maps still count against the limit on locked memory, raises it and tries again. */
function tryCreate(values: CreateValues): number {
  try {
    return bpf("BPF_MAP_CREATE", mapCreate, values);
  } catch (error) {
    if (errnoOf(error) !== "EPERM" || isAtLeast(kernelVersion(), "5.11") || !raiseMemoryLock()) throw error;
    return bpf("BPF_MAP_CREATE", mapCreate, values);
  }
}

function explain(spec: MapSpec, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  const { since } = mapKinds[spec.kind];
  if (isPermission(errno)) return missingPrivilege(`creating table "${spec.name}"`, "CAP_BPF", cause);
  if (errno === "ENOSYS") return new UnsupportedError("this kernel has no bpf(2)", { cause });
  if (errno === "EINVAL" && !isAtLeast(kernelVersion(), since)) return tooOld(spec.kind, cause);
  return new MapError("MAP_CREATE", `cannot create table "${spec.name}": ${reason(spec, errno)}`, {
    hint: createHint(spec, errno),
    cause,
  });
}

function tooOld(kind: MapKindName, cause: unknown): BpfError {
  const what = kind === "ringbuf" ? "ring buffers need" : `${kind} maps need`;
  return new UnsupportedError(`${what} Linux ${mapKinds[kind].since}; this is ${kernelRelease()}`, {
    hint: kind === "ringbuf" ? "BPF_PERF_OUTPUT works here" : undefined,
    cause,
  });
}

function reason(spec: MapSpec, errno: string): string {
  const shape = `${spec.keySize}-byte keys, ${spec.valueSize}-byte values, ${spec.maxEntries} entries`;
  switch (errno) {
    case "EINVAL":
      return `the kernel does not take a ${spec.kind} map with ${shape} and flags 0x${spec.flags.toString(16)} (EINVAL)`;
    case "E2BIG":
      return `${shape} are more than the kernel allows for a ${spec.kind} map (E2BIG)`;
    case "ENOMEM":
      return `not enough memory for ${shape}`;
    default:
      return errno;
  }
}

function createHint(spec: MapSpec, errno: string): string | undefined {
  if (errno !== "EINVAL") return undefined;
  if (spec.kind === "ringbuf")
    return "a ring buffer's size is a power of two and a multiple of the page size";
  if (spec.kind === "lpm_trie")
    return "keys of a prefix tree are a 4-byte prefix length and 1 to 256 bytes of data";
  if (spec.maxEntries === 0) return "give the table a size";
  const { keySize } = mapKinds[spec.kind];
  return keySize === "any" || keySize === spec.keySize
    ? undefined
    : `keys of a ${spec.kind} map take ${keySize} bytes`;
}

/** Writes the first value of a data section's map, and freezes it when nobody may change it. */
function fill(map: KernelMap): void {
  const { initial, frozen, keySize, name } = map.spec;
  if (initial !== null) map.update(new Uint8Array(keySize), initial, "any");
  if (!frozen) return;
  try {
    bpf("BPF_MAP_FREEZE", mapFreeze, { map_fd: map.fd });
  } catch (cause) {
    if (isPermission(errnoOf(cause))) throw missingPrivilege(`freezing table "${name}"`, "CAP_BPF", cause);
    throw new MapError("MAP_CREATE", `cannot freeze table "${name}": ${errnoOf(cause) ?? String(cause)}`, {
      cause,
    });
  }
}

/** A kernel map, as the parts of this runtime need it. */
export function kernelMap(map: RawMap): KernelMap {
  if (map instanceof KernelMap) return map;
  throw new UsageError(`table "${map.spec.name}" belongs to another runtime`);
}
