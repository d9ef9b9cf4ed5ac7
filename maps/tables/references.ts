import { closeSync, openSync, readFileSync } from "node:fs";
import { UsageError } from "../../framework/core/errors.ts";
import type { MapKindName } from "../kinds.ts";
import { KeyedTable } from "./keyed.ts";

/** Something that has a descriptor: a loaded program, a socket. */
export interface HasDescriptor {
  readonly fd: number;
}

/**
 * A table whose values stand for things of the kernel.
 *
 * | kind | a value is |
 * | --- | --- |
 * | cgroup_array | a cgroup: its folder's path, or a descriptor of it |
 * | devmap, devmap_hash | a device: its name or its index; or a struct as declared |
 * | cpumap | the length of the queue to that CPU; or a struct as declared |
 * | xskmap, sockmap, sockhash, reuseport_sockarray | a socket's descriptor |
 *
 * The table holds what is in it: the caller may close its own descriptor. The kernel gives back indexes, queue lengths
 * and, where a sockmap's values have 8 bytes, cookies; cgroups and sockets in tables of 4-byte values cannot be read.
 */
export class ReferenceTable<K, V> extends KeyedTable<K, V> {
  /**
   * Puts a thing under a key.
   * @throws UsageError when there is no device or cgroup of that name
   */
  override set(key: K, thing: V | string | HasDescriptor): this {
    if (typeof thing === "string") return this.#setNamed(key, thing);
    const isDescribed =
      typeof thing === "object" && thing !== null && isReference(this.kind) && "fd" in thing;
    // A descriptor is a number, which is what values of these kinds are.
    return super.set(key, isDescribed ? (thing.fd as V) : (thing as V));
  }

  #setNamed(key: K, name: string): this {
    if (this.kind === "devmap" || this.kind === "devmap_hash") return super.set(key, deviceIndex(name) as V);
    if (this.kind !== "cgroup_array") {
      throw new UsageError(`set on "${this.name}": values of a ${this.kind} have no names`, {
        hint: "give a number or a descriptor",
      });
    }
    const fd = openCgroup(name);
    try {
      return super.set(key, fd as V);
    } finally {
      closeSync(fd);
    }
  }
}

const DESCRIPTOR_KINDS: ReadonlySet<MapKindName> = new Set([
  "cgroup_array",
  "xskmap",
  "sockmap",
  "sockhash",
  "reuseport_sockarray",
]);

function isReference(kind: MapKindName): boolean {
  return DESCRIPTOR_KINDS.has(kind);
}

function deviceIndex(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, "utf8"));
  } catch (cause) {
    throw new UsageError(`there is no network device ${JSON.stringify(name)}`, {
      hint: "ip link lists the devices",
      cause,
    });
  }
}

function openCgroup(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new UsageError(`there is no cgroup ${JSON.stringify(path)}`, {
      hint: "give the path of its folder below /sys/fs/cgroup",
      cause,
    });
  }
}
