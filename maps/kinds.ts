/** What one kind of BPF map is. Every question about kinds is a column here. */
export interface MapKind {
  /** Number in `enum bpf_map_type`. */
  readonly type: number;
  /** Which table class shows it to the user. */
  readonly table: TableClass;
  /** One value slot per possible CPU, each padded to 8 bytes. */
  readonly perCpu: boolean;
  /** Key bytes the kernel asks for. */
  readonly keySize: "any" | 0 | 4;
  /** Value bytes the kernel asks for. */
  readonly valueSize: "any" | 0 | 4;
  /** map_flags the kernel insists on. */
  readonly flags: number;
  /** Whether a lookup of a key nobody wrote can miss (arrays always answer). */
  readonly canMiss: boolean;
  /** Whether BPF_MAP_LOOKUP_BATCH and its relatives work on it. */
  readonly batch: boolean;
  /** First mainline kernel that has it. */
  readonly since: `${number}.${number}`;
}

export type TableClass =
  | "keyed"
  | "indexed"
  | "queue"
  | "events"
  | "stacks"
  | "programs"
  | "nested"
  | "references"
  | "storage"
  | "filter"
  | "userRing"
  | "none";

const NO_PREALLOC = 1;

// biome-ignore format: columns
const keyed = { table: "keyed", perCpu: false, keySize: "any", valueSize: "any", flags: 0, canMiss: true, batch: true } as const;
// biome-ignore format: columns
const indexed = { table: "indexed", perCpu: false, keySize: 4, valueSize: "any", flags: 0, canMiss: false, batch: true } as const;
// biome-ignore format: columns
const queue = { table: "queue", perCpu: false, keySize: 0, valueSize: "any", flags: 0, canMiss: true, batch: false } as const;
// biome-ignore format: columns
const references = { table: "references", perCpu: false, keySize: 4, valueSize: "any", flags: 0, canMiss: true, batch: false } as const;
// biome-ignore format: columns
const storage = { table: "storage", perCpu: false, keySize: 4, valueSize: "any", flags: NO_PREALLOC, canMiss: true, batch: false } as const;

/** Numbers and first kernels as in include/uapi/linux/bpf.h and its history. */
// biome-ignore format: a table reads best with one row per line
export const mapKinds = {
  hash: { ...keyed, type: 1, since: "3.19" },
  array: { ...indexed, type: 2, since: "3.19" },
  prog_array: { ...references, table: "programs", valueSize: 4, type: 3, since: "4.2" },
  perf_event_array: { ...references, table: "events", valueSize: 4, type: 4, since: "4.3" },
  percpu_hash: { ...keyed, perCpu: true, type: 5, since: "4.6" },
  percpu_array: { ...indexed, perCpu: true, type: 6, since: "4.6" },
  stack_trace: { ...references, table: "stacks", type: 7, since: "4.6" },
  cgroup_array: { ...references, valueSize: 4, type: 8, since: "4.8" },
  lru_hash: { ...keyed, type: 9, since: "4.10" },
  lru_percpu_hash: { ...keyed, perCpu: true, type: 10, since: "4.10" },
  lpm_trie: { ...keyed, flags: NO_PREALLOC, type: 11, since: "4.11" },
  array_of_maps: { ...references, table: "nested", valueSize: 4, type: 12, since: "4.12" },
  hash_of_maps: { ...keyed, table: "nested", valueSize: 4, batch: false, type: 13, since: "4.12" },
  devmap: { ...references, type: 14, since: "4.14" },
  sockmap: { ...references, type: 15, since: "4.14" },
  cpumap: { ...references, type: 16, since: "4.15" },
  xskmap: { ...references, valueSize: 4, type: 17, since: "4.18" },
  sockhash: { ...keyed, table: "references", batch: false, type: 18, since: "4.18" },
  cgroup_storage: { ...keyed, batch: false, type: 19, since: "4.19" },
  reuseport_sockarray: { ...references, type: 20, since: "4.19" },
  percpu_cgroup_storage: { ...keyed, perCpu: true, batch: false, type: 21, since: "4.20" },
  queue: { ...queue, type: 22, since: "4.20" },
  stack: { ...queue, type: 23, since: "4.20" },
  sk_storage: { ...storage, type: 24, since: "5.2" },
  devmap_hash: { ...references, type: 25, since: "5.4" },
  struct_ops: { ...indexed, table: "none", batch: false, type: 26, since: "5.6" },
  ringbuf: { ...queue, table: "events", valueSize: 0, type: 27, since: "5.8" },
  inode_storage: { ...storage, type: 28, since: "5.10" },
  task_storage: { ...storage, type: 29, since: "5.11" },
  bloom_filter: { ...queue, table: "filter", type: 30, since: "5.16" },
  user_ringbuf: { ...queue, table: "userRing", valueSize: 0, type: 31, since: "6.1" },
  cgrp_storage: { ...storage, type: 32, since: "6.2" },
} as const satisfies Record<string, MapKind>;

export type MapKindName = keyof typeof mapKinds;

const byType = new Map<number, MapKindName>(
  (Object.entries(mapKinds) as [MapKindName, MapKind][]).map(([name, kind]) => [kind.type, name]),
);

/** The kind of a number in `enum bpf_map_type`, or undefined for one newer than this table. */
export function mapKindOf(type: number): MapKindName | undefined {
  return byType.get(type);
}

/** Bytes one value takes when read or written through the system call: per-CPU kinds have one padded slot per CPU. */
export function valueBytes(kind: MapKindName, valueSize: number, cpuCount: number): number {
  return mapKinds[kind].perCpu ? Math.ceil(valueSize / 8) * 8 * cpuCount : valueSize;
}
