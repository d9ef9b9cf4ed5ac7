import { mapKinds } from "../../maps/kinds.ts";
import { MapError, type MapErrorCode } from "../core/errors.ts";
import type { MapSpec } from "../object/object-spec.ts";

/** What was tried on a map. */
export type MapOperation = "lookup" | "update" | "delete" | "nextKey" | "take";

const words: Readonly<Record<MapOperation, string>> = {
  lookup: "read from",
  update: "write to",
  delete: "delete from",
  nextKey: "list the keys of",
  take: "take a value from",
};

/** A refused operation: on which map of which runtime, and what names the refusal. */
export interface MapRefusal {
  readonly runtime: "kernel" | "machine";
  readonly spec: MapSpec;
  /** For instance "E2BIG". */
  readonly errno: string;
  readonly cause?: unknown;
}

/** What a refused update means: the same error number means different things for different kinds. */
export function refusedUpdate(refusal: MapRefusal, key: Uint8Array): MapError {
  const { spec, errno, cause } = refusal;
  const { name, maxEntries, kind } = spec;
  const fail = (code: MapErrorCode, message: string, hint?: string): MapError =>
    new MapError(code, message, { hint, cause });
  switch (errno) {
    case "E2BIG":
      if (mapKinds[kind].keySize !== 4) {
        const hint =
          'declare it with more entries, take some out, or let it drop old ones: BPF_TABLE("lru_hash", ...)';
        return fail("MAP_FULL", `table "${name}" is full (${maxEntries} entries)`, hint);
      }
      return fail("MAP_FULL", `table "${name}" has no index ${indexOf(key)}: it has ${maxEntries} entries`);
    case "EEXIST":
      return fail("KEY_EXISTS", `table "${name}" has that key already`);
    case "ENOENT":
      return fail("KEY_MISSING", `table "${name}" does not have that key`);
    default:
      return refusedOperation(refusal, "update");
  }
}

/** What any other refusal means. */
export function refusedOperation(refusal: MapRefusal, operation: MapOperation): MapError {
  const { spec, errno, cause, runtime } = refusal;
  const { name, kind } = spec;
  const doing = words[operation];
  if (errno === "EPERM") {
    return new MapError("MAP_OPERATION", `cannot ${doing} table "${name}": it is read-only`, { cause });
  }
  if (kind === "prog_array" && (errno === "EBADF" || errno === "EINVAL")) {
    const why =
      errno === "EBADF" ? "the value is no open program" : "the program does not go with the others";
    return new MapError("MAP_OPERATION", `cannot ${doing} table "${name}": ${why} (${errno})`, {
      hint: "a slot takes what load_func gives; all programs of a table, and those that call it, are of one type",
      cause,
    });
  }
  if (kind === "cgroup_array" && errno === "EBADF") {
    return new MapError("MAP_OPERATION", `cannot ${doing} table "${name}": the value is no cgroup (EBADF)`, {
      hint: 'give a folder of the cgroup2 hierarchy: "mount -t cgroup2" shows where it is',
      cause,
    });
  }
  if (mapKinds[kind].table === "nested" && (errno === "EBADF" || errno === "EINVAL")) {
    const why =
      errno === "EBADF" ? "the value is no open table" : "the table is not like those it is declared for";
    return new MapError("MAP_OPERATION", `cannot ${doing} table "${name}": ${why} (${errno})`, {
      hint: "tables inside are like the declared one: the same kind, key and value sizes, flags, and size for arrays",
      cause,
    });
  }
  const cannot = errno === "EINVAL" || errno === "ENOTSUPP" || errno === "EOPNOTSUPP";
  const why = cannot ? `the ${runtime} does not allow it for ${kind} maps (${errno})` : errno;
  return new MapError("MAP_OPERATION", `cannot ${doing} table "${name}": ${why}`, { cause });
}

function indexOf(key: Uint8Array): string {
  return key.length === 4
    ? String(new DataView(key.buffer, key.byteOffset, 4).getUint32(0, true))
    : `of ${key.length} bytes`;
}
