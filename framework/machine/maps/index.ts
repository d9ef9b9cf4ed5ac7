import { type MapKindName, mapKinds } from "../../../maps/kinds.ts";
import { MapError, UnsupportedError } from "../../core/errors.ts";
import type { MapSpec } from "../../object/object-spec.ts";
import type { AddressSpace } from "../memory.ts";
import { ArrayStore } from "./array.ts";
import { HashStore } from "./hash.ts";
import { PrefixStore } from "./lpm-trie.ts";
import type { MachineMap } from "./machine-map.ts";
import { PerfStore } from "./perf.ts";
import { BloomStore, QueueStore } from "./queue.ts";
import { InnerMaps, MapArrayStore, MapHashStore, ProgramStore, type Referable } from "./references.ts";
import { RingStore } from "./ringbuf.ts";
import { MOST_BYTES, Slab } from "./slab.ts";
import { StackStore } from "./stacks.ts";
import type { Store } from "./store.ts";

/** What stores need of their machine. */
export interface StoreHost {
  readonly space: AddressSpace;
  readonly cpuCount: number;
  programOf(fd: number): Referable | undefined;
  mapOf(fd: number): MachineMap | undefined;
}

type Opener = (spec: MapSpec, host: StoreHost) => Store;

/** Entries that a hash has room for at first. */
const FIRST_ENTRIES = 16;
/** Tasks that a storage may have values for. */
const MOST_TASKS = 65536;
const MOST_PREFIX_BYTES = 256;

const array: Opener = (spec, host) => {
  rule(spec, spec.keySize === 4, "keys of an array take 4 bytes");
  return new ArrayStore(spec, slabOf(spec, host, spec.maxEntries));
};

const hash: Opener = (spec, host) => {
  rule(spec, spec.keySize > 0 && spec.keySize <= 512, "keys take 1 to 512 bytes");
  return new HashStore(spec, slabOf(spec, host, Math.min(spec.maxEntries, FIRST_ENTRIES)));
};

const queue: Opener = (spec) => {
  rule(spec, spec.keySize === 0, `a ${spec.kind} has no keys`);
  rule(spec, spec.valueSize > 0, "give its values a size");
  limitBytes(spec, spec.valueSize * spec.maxEntries);
  return new QueueStore(spec);
};

function notInMachine(what: string): Opener {
  return ({ name, kind }) => {
    throw new UnsupportedError(`table "${name}": the machine has no ${kind} maps, since it has no ${what}`, {
      hint: 'use { runtime: "kernel" } with the privileges it needs',
    });
  };
}

/** What makes a map of each kind. */
const openers: { readonly [K in MapKindName]: Opener } = {
  hash,
  array,
  percpu_hash: hash,
  percpu_array: array,
  lru_hash: hash,
  lru_percpu_hash: hash,
  lpm_trie(spec, host) {
    const data = spec.keySize - 4;
    rule(
      spec,
      data >= 1 && data <= MOST_PREFIX_BYTES,
      "keys of a prefix tree are a 4-byte prefix length and 1 to 256 bytes of data",
    );
    return new PrefixStore(spec, slabOf(spec, host, Math.min(spec.maxEntries, FIRST_ENTRIES)));
  },
  queue,
  stack: queue,
  bloom_filter(spec) {
    rule(spec, spec.keySize === 0, "a bloom filter has no keys");
    rule(spec, spec.valueSize > 0, "give its values a size");
    limitBytes(spec, spec.maxEntries);
    return new BloomStore(spec);
  },
  prog_array(spec, host) {
    return new ProgramStore(references(spec), (fd) => host.programOf(fd));
  },
  array_of_maps(spec, host) {
    return new MapArrayStore(references(spec), innerMaps(spec, host));
  },
  hash_of_maps(spec, host) {
    rule(spec, spec.keySize > 0 && spec.keySize <= 512, "keys take 1 to 512 bytes");
    rule(spec, spec.valueSize === 4, "values of a map of maps take 4 bytes");
    return new MapHashStore(spec, innerMaps(spec, host));
  },
  perf_event_array(spec, host) {
    return new PerfStore(references(spec), host.cpuCount);
  },
  ringbuf(spec) {
    const { maxEntries: size } = spec;
    rule(spec, spec.keySize === 0 && spec.valueSize === 0, "a ring buffer has neither keys nor values");
    const isPower = size > 0 && (size & (size - 1)) === 0;
    rule(
      spec,
      isPower && size % 4096 === 0,
      "a ring buffer's size is a power of two and a multiple of the page size",
    );
    limitBytes(spec, 2 * size);
    return new RingStore(spec);
  },
  stack_trace(spec) {
    rule(spec, spec.keySize === 4, "keys of a stack table take 4 bytes");
    rule(
      spec,
      spec.valueSize >= 8 && spec.valueSize % 8 === 0 && spec.valueSize <= 127 * 8,
      "values of a stack table are 1 to 127 addresses of 8 bytes",
    );
    return new StackStore(spec);
  },
  task_storage(spec, host) {
    rule(spec, spec.keySize === 4, "keys of a storage take 4 bytes");
    rule(spec, spec.valueSize > 0, "give its values a size");
    const entries = { ...spec, maxEntries: MOST_TASKS };
    return new HashStore(entries, slabOf(entries, host, FIRST_ENTRIES));
  },
  cgroup_array: notInMachine("cgroups"),
  devmap: notInMachine("network devices"),
  sockmap: notInMachine("sockets"),
  cpumap: notInMachine("network devices"),
  xskmap: notInMachine("network devices"),
  sockhash: notInMachine("sockets"),
  cgroup_storage: notInMachine("cgroups"),
  reuseport_sockarray: notInMachine("sockets"),
  percpu_cgroup_storage: notInMachine("cgroups"),
  sk_storage: notInMachine("sockets"),
  devmap_hash: notInMachine("network devices"),
  struct_ops: notInMachine("kernel subsystems to replace"),
  inode_storage: notInMachine("inodes"),
  user_ringbuf: notInMachine("programs that drain them"),
  cgrp_storage: notInMachine("cgroups"),
};

/**
 * What a new map holds its entries in.
 * @throws MapError MAP_CREATE when the sizes are none that the kind allows; UnsupportedError
 */
export function openStore(spec: MapSpec, host: StoreHost): Store {
  const kind = mapKinds[spec.kind];
  const needsEntries = kind.table !== "storage" && spec.kind !== "ringbuf";
  const store = openers[spec.kind];
  if (needsEntries) rule(spec, spec.maxEntries > 0, "give the table a size");
  return store(spec, host);
}

/** Kinds that the machine has. */
export function hasStore(kind: MapKindName): boolean {
  return openers[kind].name !== "";
}

function references(spec: MapSpec): MapSpec {
  rule(spec, spec.keySize === 4, `keys of a ${spec.kind} map take 4 bytes`);
  rule(spec, spec.valueSize === 4, `values of a ${spec.kind} map take 4 bytes`);
  return spec;
}

/** Kinds that cannot be inside of others: those without a comparison of shapes in the kernel, and maps of maps. */
const NEVER_INSIDE: readonly MapKindName[] = ["prog_array", "array_of_maps", "hash_of_maps"];

function innerMaps(spec: MapSpec, host: StoreHost): InnerMaps {
  const { inner } = spec;
  if (inner === undefined) {
    throw refused(spec, "nothing says what the tables inside are like (EINVAL)", "name one of them");
  }
  rule(spec, !NEVER_INSIDE.includes(inner.kind), `a ${inner.kind} map cannot be inside of another`);
  return new InnerMaps(inner, (fd) => host.mapOf(fd));
}

function slabOf(spec: MapSpec, host: StoreHost, atFirst: number): Slab {
  rule(spec, spec.valueSize > 0, "give its values a size");
  const cpus = mapKinds[spec.kind].perCpu ? host.cpuCount : 1;
  limitBytes(spec, Slab.bytesOf(spec.valueSize, cpus, spec.maxEntries));
  const options = {
    name: `the value of table "${spec.name}"`,
    valueSize: spec.valueSize,
    cpus,
    entries: spec.maxEntries,
    writable: !spec.frozen,
  };
  const slab = Slab.create(host.space, options, atFirst);
  if (slab === null) throw refused(spec, "this machine has too many maps");
  return slab;
}

function rule(spec: MapSpec, holds: boolean, hint: string): void {
  if (holds) return;
  const shape = `${spec.keySize}-byte keys, ${spec.valueSize}-byte values, ${spec.maxEntries} entries`;
  const why = `the machine does not take a ${spec.kind} map with ${shape} and flags 0x${spec.flags.toString(16)} (EINVAL)`;
  throw refused(spec, why, hint);
}

function limitBytes(spec: MapSpec, bytes: number): void {
  if (bytes > MOST_BYTES) {
    throw refused(spec, `it takes ${bytes} bytes, and a map of the machine at most ${MOST_BYTES} (E2BIG)`);
  }
}

function refused(spec: MapSpec, why: string, hint?: string): MapError {
  return new MapError("MAP_CREATE", `cannot create table "${spec.name}": ${why}`, { hint });
}
