import { expect, test } from "vitest";
import { UnsupportedError } from "../../../framework/core/errors.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { MachineRuntime } from "../../../framework/machine/machine-runtime.ts";
import type { MapSpec } from "../../../framework/object/object-spec.ts";
import { type MapKindName, mapKinds } from "../../../maps/kinds.ts";
import { map } from "../../kernel/runtime/assembly.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";

/** A map of each kind, or what the machine lacks for it; storages of the kernel need types besides. */
const kinds: Readonly<Record<MapKindName, MapSpec | string>> = {
  hash: map("hash"),
  array: map("array"),
  prog_array: map("prog_array", { valueSize: 4 }),
  perf_event_array: map("perf_event_array", { valueSize: 4, maxEntries: 2 }),
  percpu_hash: map("percpu_hash"),
  percpu_array: map("percpu_array"),
  stack_trace: map("stack_trace", { valueSize: 64 }),
  cgroup_array: "cgroups",
  lru_hash: map("lru_hash"),
  lru_percpu_hash: map("lru_percpu_hash"),
  lpm_trie: map("lpm_trie", { keySize: 8 }),
  array_of_maps: map("array_of_maps", { valueSize: 4, inner: map("hash") }),
  hash_of_maps: map("hash_of_maps", { valueSize: 4, inner: map("hash") }),
  devmap: "network devices",
  sockmap: "sockets",
  cpumap: "network devices",
  xskmap: "network devices",
  sockhash: "sockets",
  cgroup_storage: "cgroups",
  reuseport_sockarray: "sockets",
  percpu_cgroup_storage: "cgroups",
  queue: map("queue", { keySize: 0 }),
  stack: map("stack", { keySize: 0 }),
  sk_storage: "sockets",
  devmap_hash: "network devices",
  struct_ops: "kernel subsystems to replace",
  ringbuf: map("ringbuf", { keySize: 0, valueSize: 0, maxEntries: 4096 }),
  inode_storage: "inodes",
  task_storage: map("task_storage", { maxEntries: 0 }),
  bloom_filter: map("bloom_filter", { keySize: 0 }),
  user_ringbuf: "programs that drain them",
  cgrp_storage: "cgroups",
};

const rows = (Object.keys(mapKinds) as MapKindName[]).map((kind) => ({ kind, row: kinds[kind] }));

test.each(rows)("the machine has $kind maps, or says by name what it lacks for them", ({ kind, row }) => {
  using machine = new MachineRuntime({ cpuCount: 2 });
  if (typeof row !== "string") return machine.createMap(row)[Symbol.dispose]();
  const create = (): unknown => machine.createMap(map(kind));
  expect(create).toThrow(UnsupportedError);
  expect(create).toThrow(`the machine has no ${kind} maps, since it has no ${row}`);
});

test.for(rows)("the kernel takes the $kind map that the machine takes", ({ kind, row }, context) => {
  needsRuntime(context, runtimes[0]!.reason);
  if (typeof row === "string") return context.skip(`the machine has no ${row}`);
  if (kind === "task_storage") return context.skip("storages of the kernel need types, which sources give");
  using kernel = new KernelRuntime();
  expect(() => kernel.createMap(row)[Symbol.dispose]()).not.toThrow();
});
