import { readFileSync } from "node:fs";
import { mapKindOf } from "../../maps/kinds.ts";
import { MapError, UnsupportedError } from "../core/errors.ts";
import type { MapOrigin } from "../runtime/types.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { duplicate, Fd } from "../sys/fd.ts";
import { getNextId } from "../uapi/bpf-attr.ts";
import type { KernelMap } from "./kernel-map.ts";
import { mapInfo, typesMadeWith } from "./map-info.ts";
import { mapBehind } from "./maps.ts";
import { isPermission, missingPrivilege } from "./permission.ts";
import { openPin } from "./pins.ts";

/**
 * A map that exists, with the types it was made with.
 *
 * @throws MapError MAP_PIN when nothing is pinned there, MAP_OPEN when no map has the id or is behind the descriptor;
 * PermissionError; UnsupportedError for a kind newer than this library
 */
export function openExisting(origin: MapOrigin): KernelMap {
  const fd = descriptorOf(origin);
  try {
    const info = mapInfo(fd);
    const kind = mapKindOf(info.type);
    if (kind === undefined) {
      throw new UnsupportedError(`${wordsFor(origin)} is of type ${info.type}, which is not known`);
    }
    return mapBehind(
      {
        name: info.name === "" ? wordsFor(origin) : info.name,
        kind,
        keySize: info.key_size,
        valueSize: info.value_size,
        maxEntries: info.max_entries,
        flags: info.map_flags,
        ...typesMadeWith(info),
        initial: null,
        frozen: false,
        eventTypes: [],
      },
      fd,
    );
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

function wordsFor(origin: MapOrigin): string {
  if ("path" in origin) return `the map at ${origin.path}`;
  return "fd" in origin ? `the map behind descriptor ${origin.fd}` : `map ${origin.id}`;
}

function descriptorOf(origin: MapOrigin): Fd {
  if ("path" in origin) return pinned(origin.path);
  return "fd" in origin ? copied(origin.fd) : byId(origin.id);
}

function pinned(path: string): Fd {
  const fd = openPin(path, "a table");
  if (fd === null) throw new MapError("MAP_PIN", `cannot open a table at ${path}: there is nothing`);
  return fd;
}

function copied(number: number): Fd {
  let info: string;
  try {
    info = readFileSync(`/proc/self/fdinfo/${number}`, "latin1");
  } catch (cause) {
    throw new MapError("MAP_OPEN", `cannot open a table: descriptor ${number} is not open`, { cause });
  }
  if (/^map_type:/m.test(info)) return duplicate(number, `the map behind descriptor ${number}`);
  throw new MapError("MAP_OPEN", `cannot open a table: descriptor ${number} is no map`);
}

function byId(id: number): Fd {
  try {
    return new Fd(bpf("BPF_MAP_GET_FD_BY_ID", getNextId, { start_id: id }), `map ${id}`);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    if (isPermission(errno)) throw missingPrivilege(`opening map ${id}`, "CAP_SYS_ADMIN", cause);
    if (errno === "ENOENT")
      throw new MapError("MAP_OPEN", `cannot open a table: no map has the id ${id}`, { cause });
    throw new MapError("MAP_OPEN", `cannot open map ${id}: ${errno}`, { cause });
  }
}
