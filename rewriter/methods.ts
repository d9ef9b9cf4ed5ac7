import { type MapKindName, mapKinds } from "../maps/kinds.ts";
import type { TableKind } from "./facts.ts";

/** A method that tables have in C. */
export interface Method {
  /** Least and most arguments. */
  readonly arguments: readonly [number, number];
  /** The macro of the lowering header that it becomes; the table's address is its first argument. */
  readonly macro: string;
  /** Kinds that have it. */
  readonly kinds: readonly MapKindName[];
  /** Which argument points to an event, for typing what the host decodes. */
  readonly event?: number;
  /** What it does depends on whether records carry the number of the call: passes what says so after the table. */
  readonly tagged?: true;
  /** Passes the counter of what the table loses next: records that found no room, updates that were refused. */
  readonly countsDrops?: true;
}

const all = Object.keys(mapKinds) as MapKindName[];
const values = all.filter((kind) => ["keyed", "indexed", "nested"].includes(mapKinds[kind].table));
const hashes = values.filter((kind) => mapKinds[kind].canMiss && mapKinds[kind].table === "keyed");
const counted = values.filter((kind) => mapKinds[kind].table !== "nested");
const queues: readonly MapKindName[] = ["queue", "stack"];
const walkable = values.filter(
  (kind) =>
    mapKinds[kind].table !== "nested" &&
    !kind.endsWith("storage") &&
    kind !== "lpm_trie" &&
    kind !== "struct_ops",
);
const perCpu: readonly MapKindName[] = ["percpu_hash", "lru_percpu_hash", "percpu_array"];
const sockets: readonly MapKindName[] = ["sockmap", "sockhash"];
const redirects: readonly MapKindName[] = ["devmap", "devmap_hash", "cpumap", "xskmap"];

/**
 * Every method with BCC's spelling and argument order; for helpers that BCC has no method for, the helper's name and its
 * arguments without the map.
 */
export const methods = {
  lookup: { arguments: [1, 1], macro: "bcc_lookup", kinds: [...values, ...sockets, "xskmap"] },
  lookup_or_try_init: {
    arguments: [2, 2],
    macro: "bcc_lookup_or_try_init",
    countsDrops: true,
    kinds: counted,
  },
  lookup_or_init: { arguments: [2, 2], macro: "bcc_lookup_or_init", countsDrops: true, kinds: counted },
  update: { arguments: [2, 2], macro: "bcc_update", countsDrops: true, kinds: [...values, "sockmap"] },
  insert: { arguments: [2, 2], macro: "bcc_insert", countsDrops: true, kinds: values },
  delete: { arguments: [1, 1], macro: "bcc_delete", kinds: [...hashes, ...sockets, "hash_of_maps"] },
  increment: { arguments: [1, 2], macro: "bcc_increment", countsDrops: true, kinds: counted },
  atomic_increment: { arguments: [1, 2], macro: "bcc_atomic_increment", countsDrops: true, kinds: counted },
  call: { arguments: [2, 2], macro: "bcc_call", kinds: ["prog_array"] },
  perf_submit: {
    arguments: [3, 3],
    macro: "bcc_perf_submit",
    kinds: ["perf_event_array"],
    event: 1,
    tagged: true,
  },
  perf_submit_skb: {
    arguments: [4, 4],
    macro: "bcc_perf_submit_skb",
    kinds: ["perf_event_array"],
    event: 2,
    tagged: true,
  },
  perf_read: { arguments: [1, 1], macro: "bcc_perf_read", kinds: ["perf_event_array"] },
  perf_counter_value: { arguments: [3, 3], macro: "bcc_perf_counter_value", kinds: ["perf_event_array"] },
  ringbuf_output: {
    arguments: [3, 3],
    macro: "bcc_ringbuf_output",
    kinds: ["ringbuf"],
    event: 0,
    tagged: true,
    countsDrops: true,
  },
  ringbuf_reserve: {
    arguments: [1, 1],
    macro: "bcc_ringbuf_reserve",
    kinds: ["ringbuf"],
    tagged: true,
    countsDrops: true,
  },
  ringbuf_submit: {
    arguments: [2, 2],
    macro: "bcc_ringbuf_submit",
    kinds: ["ringbuf"],
    event: 0,
    tagged: true,
  },
  ringbuf_discard: { arguments: [2, 2], macro: "bcc_ringbuf_discard", kinds: ["ringbuf"], tagged: true },
  ringbuf_query: { arguments: [1, 1], macro: "bcc_ringbuf_query", kinds: ["ringbuf"] },
  get_stackid: { arguments: [2, 2], macro: "bcc_get_stackid", kinds: ["stack_trace"] },
  push: { arguments: [2, 2], macro: "bcc_push", countsDrops: true, kinds: [...queues, "bloom_filter"] },
  pop: { arguments: [1, 1], macro: "bcc_pop", kinds: queues },
  peek: { arguments: [1, 1], macro: "bcc_peek", kinds: [...queues, "bloom_filter"] },
  check_current_task: { arguments: [1, 1], macro: "bcc_check_current_task", kinds: ["cgroup_array"] },
  redirect_map: { arguments: [2, 2], macro: "bcc_redirect_map", kinds: redirects },
  sk_storage_get: { arguments: [3, 3], macro: "bcc_sk_storage_get", kinds: ["sk_storage"] },
  sk_storage_delete: { arguments: [1, 1], macro: "bcc_sk_storage_delete", kinds: ["sk_storage"] },
  inode_storage_get: { arguments: [3, 3], macro: "bcc_inode_storage_get", kinds: ["inode_storage"] },
  inode_storage_delete: { arguments: [1, 1], macro: "bcc_inode_storage_delete", kinds: ["inode_storage"] },
  task_storage_get: { arguments: [3, 3], macro: "bcc_task_storage_get", kinds: ["task_storage"] },
  task_storage_delete: { arguments: [1, 1], macro: "bcc_task_storage_delete", kinds: ["task_storage"] },
  get_local_storage: {
    arguments: [1, 1],
    macro: "bcc_get_local_storage",
    kinds: ["cgroup_storage", "percpu_cgroup_storage"],
  },
  sock_map_update: { arguments: [3, 3], macro: "bcc_sock_map_update", kinds: ["sockmap"] },
  sock_hash_update: { arguments: [3, 3], macro: "bcc_sock_hash_update", kinds: ["sockhash"] },
  msg_redirect_hash: { arguments: [3, 3], macro: "bcc_msg_redirect_hash", kinds: ["sockhash"] },
  cgrp_storage_get: { arguments: [3, 3], macro: "bcc_cgrp_storage_get", kinds: ["cgrp_storage"] },
  cgrp_storage_delete: { arguments: [1, 1], macro: "bcc_cgrp_storage_delete", kinds: ["cgrp_storage"] },
  for_each_map_elem: { arguments: [3, 3], macro: "bcc_for_each_map_elem", kinds: walkable },
  map_lookup_percpu_elem: { arguments: [2, 2], macro: "bcc_map_lookup_percpu_elem", kinds: perCpu },
  msg_redirect_map: { arguments: [3, 3], macro: "bcc_msg_redirect_map", kinds: ["sockmap"] },
  ringbuf_reserve_dynptr: {
    arguments: [3, 3],
    macro: "bcc_ringbuf_reserve_dynptr",
    kinds: ["ringbuf"],
    countsDrops: true,
  },
  ringbuf_submit_dynptr: { arguments: [2, 2], macro: "bcc_ringbuf_submit_dynptr", kinds: ["ringbuf"] },
  ringbuf_discard_dynptr: { arguments: [2, 2], macro: "bcc_ringbuf_discard_dynptr", kinds: ["ringbuf"] },
  sk_redirect_map: { arguments: [3, 3], macro: "bcc_sk_redirect_map", kinds: ["sockmap"] },
  sk_select_reuseport: {
    arguments: [3, 3],
    macro: "bcc_sk_select_reuseport",
    kinds: ["reuseport_sockarray", ...sockets],
  },
  skb_under_cgroup: { arguments: [2, 2], macro: "bcc_skb_under_cgroup", kinds: ["cgroup_array"] },
  user_ringbuf_drain: { arguments: [3, 3], macro: "bcc_user_ringbuf_drain", kinds: ["user_ringbuf"] },
  sk_redirect_hash: { arguments: [3, 3], macro: "bcc_sk_redirect_hash", kinds: ["sockhash"] },
} as const satisfies Record<string, Method>;

export type MethodName = keyof typeof methods;

/** Whether a word is a table method's name. */
export function isMethod(word: string): word is MethodName {
  return Object.hasOwn(methods, word);
}

/**
 * Whether tables of a kind have a method. A histogram has what arrays and hashes have in common, and deletion; another
 * object's table may be of any kind.
 */
export function kindHasMethod(kind: TableKind, method: MethodName): boolean {
  const { kinds }: Method = methods[method];
  if (kind === "extern") return true;
  return kind === "histogram" ? kinds.includes("hash") : kinds.includes(kind);
}

/** Whether the kernel may refuse what programs put into tables of a kind, which is counted on request. */
export function kindCountsUpdates(kind: TableKind): boolean {
  return kindHasMethod(kind, "update") || kindHasMethod(kind, "push");
}

/** The methods of a kind, for hints. */
export function methodsOf(kind: TableKind): readonly MethodName[] {
  return (Object.keys(methods) as MethodName[]).filter((method) => kindHasMethod(kind, method));
}
