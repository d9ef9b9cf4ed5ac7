import type { MapKindName } from "../maps/kinds.ts";

/** What one argument of a declaring macro means. */
export type DeclaratorArgument =
  | "kind"
  | "name"
  | "key"
  | "value"
  | "entries"
  | "pages"
  | "flags"
  | "path"
  | "inner";

/** One way to call a declaring macro: which argument stands where. */
export type DeclaratorForm = readonly DeclaratorArgument[];

/** A macro of BCC that declares a table. */
export interface Declarator {
  /** "histogram" is an array for `int` keys and a hash for others: the compiler decides. */
  readonly kind: MapKindName | "histogram" | "named";
  /** The forms by argument count, shortest first. */
  readonly forms: readonly DeclaratorForm[];
  readonly defaults: Partial<Record<DeclaratorArgument, string>>;
  /** Other BPF objects of the process may use the table under its name. */
  readonly isPublic?: true;
}

const u64u64 = { key: "u64", value: "u64", entries: "10240" } as const;
const sized: readonly DeclaratorForm[] = [["name", "entries"]];
const keyedForms: readonly DeclaratorForm[] = [
  ["name"],
  ["name", "key"],
  ["name", "key", "value"],
  ["name", "key", "value", "entries"],
];
const indexedForms: readonly DeclaratorForm[] = [["name"], ["name", "value"], ["name", "value", "entries"]];
const queueForms: readonly DeclaratorForm[] = [
  ["name", "value", "entries"],
  ["name", "value", "entries", "flags"],
];
const queueStackForms: readonly DeclaratorForm[] = [["kind", "name", "value", "entries", "flags"]];
const reference = { key: "u32", value: "u32" } as const;
const nested = { key: "int", value: "int" } as const;
const storage = { key: "int", entries: "0" } as const;

/** Every declaring macro with BCC's argument order and defaults (src/cc/export/helpers.h of BCC 0.26). */
export const declarators = {
  BPF_TABLE: { kind: "named", forms: [["kind", "key", "value", "name", "entries"]], defaults: {} },
  BPF_F_TABLE: { kind: "named", forms: [["kind", "key", "value", "name", "entries", "flags"]], defaults: {} },
  BPF_TABLE_PINNED: {
    kind: "named",
    forms: [
      ["kind", "key", "value", "name", "entries", "path"],
      ["kind", "key", "value", "name", "entries", "path", "flags"],
    ],
    defaults: {},
  },
  BPF_TABLE_PUBLIC: {
    kind: "named",
    forms: [["kind", "key", "value", "name", "entries"]],
    defaults: {},
    isPublic: true,
  },
  BPF_TABLE_SHARED: {
    kind: "named",
    forms: [
      ["kind", "key", "value", "name", "entries"],
      ["kind", "key", "value", "name", "entries", "flags"],
    ],
    defaults: {},
    isPublic: true,
  },
  BPF_HASH: { kind: "hash", forms: keyedForms, defaults: u64u64 },
  BPF_PERCPU_HASH: { kind: "percpu_hash", forms: keyedForms, defaults: u64u64 },
  BPF_LPM_TRIE: { kind: "lpm_trie", forms: keyedForms, defaults: u64u64 },
  BPF_ARRAY: { kind: "array", forms: indexedForms, defaults: { ...u64u64, key: "int" } },
  BPF_PERCPU_ARRAY: { kind: "percpu_array", forms: indexedForms, defaults: { ...u64u64, key: "int" } },
  BPF_HISTOGRAM: {
    kind: "histogram",
    forms: [["name"], ["name", "key"], ["name", "key", "entries"]],
    defaults: { key: "int", value: "u64", entries: "64" },
  },
  BPF_PROG_ARRAY: { kind: "prog_array", forms: sized, defaults: reference },
  BPF_PERF_OUTPUT: {
    kind: "perf_event_array",
    forms: [["name"]],
    defaults: { key: "int", value: "u32", entries: "0" },
  },
  BPF_PERF_ARRAY: { kind: "perf_event_array", forms: sized, defaults: { key: "int", value: "u32" } },
  BPF_RINGBUF_OUTPUT: { kind: "ringbuf", forms: [["name", "pages"]], defaults: {} },
  BPF_CGROUP_ARRAY: { kind: "cgroup_array", forms: sized, defaults: { key: "int", value: "u32" } },
  BPF_STACK_TRACE: {
    kind: "stack_trace",
    forms: sized,
    defaults: { key: "int", value: "struct bpf_stacktrace" },
  },
  BPF_STACK_TRACE_BUILDID: {
    kind: "stack_trace",
    forms: sized,
    defaults: { key: "int", value: "struct bpf_stacktrace_buildid", flags: "32" },
  },
  BPF_QUEUE: { kind: "queue", forms: queueForms, defaults: {} },
  BPF_STACK: { kind: "stack", forms: queueForms, defaults: {} },
  BPF_QUEUESTACK: { kind: "named", forms: queueStackForms, defaults: {} },
  BPF_QUEUESTACK_PINNED: {
    kind: "named",
    forms: [["kind", "name", "value", "entries", "flags", "path"]],
    defaults: {},
  },
  BPF_QUEUESTACK_PUBLIC: { kind: "named", forms: queueStackForms, defaults: {}, isPublic: true },
  BPF_QUEUESTACK_SHARED: { kind: "named", forms: queueStackForms, defaults: {}, isPublic: true },
  BPF_ARRAY_OF_MAPS: { kind: "array_of_maps", forms: [["name", "inner", "entries"]], defaults: nested },
  BPF_HASH_OF_MAPS: {
    kind: "hash_of_maps",
    forms: [
      ["name", "inner"],
      ["name", "key", "inner"],
      ["name", "key", "inner", "entries"],
    ],
    defaults: { ...nested, entries: "10240" },
  },
  BPF_DEVMAP: { kind: "devmap", forms: sized, defaults: { key: "u32", value: "int" } },
  BPF_CPUMAP: { kind: "cpumap", forms: sized, defaults: reference },
  BPF_XSKMAP: {
    kind: "xskmap",
    forms: [...sized, ["name", "entries", "path"]],
    defaults: { key: "u32", value: "int" },
  },
  BPF_SOCKMAP: { kind: "sockmap", forms: sized, defaults: { key: "u32", value: "int" } },
  BPF_SOCKHASH: {
    kind: "sockhash",
    forms: [["name"], ["name", "key"], ["name", "key", "entries"]],
    defaults: { key: "u32", value: "int", entries: "10240" },
  },
  BPF_SK_STORAGE: { kind: "sk_storage", forms: [["name", "value"]], defaults: storage },
  BPF_INODE_STORAGE: { kind: "inode_storage", forms: [["name", "value"]], defaults: storage },
  BPF_TASK_STORAGE: { kind: "task_storage", forms: [["name", "value"]], defaults: storage },
  BPF_CGROUP_STORAGE: {
    kind: "cgroup_storage",
    forms: [["name", "value"]],
    defaults: { key: "struct bpf_cgroup_storage_key", entries: "0" },
  },
  BPF_PERCPU_CGROUP_STORAGE: {
    kind: "percpu_cgroup_storage",
    forms: [["name", "value"]],
    defaults: { key: "struct bpf_cgroup_storage_key", entries: "0" },
  },
} as const satisfies Record<string, Declarator>;

export type DeclaratorName = keyof typeof declarators;

/** Whether a word is the name of a declaring macro. */
export function isDeclarator(word: string): word is DeclaratorName {
  return Object.hasOwn(declarators, word);
}

/** BCC's strings for table kinds in `BPF_TABLE("...")`, where they differ from the kernel's names. */
export const kindStrings: Readonly<Record<string, MapKindName | "histogram" | "extern">> = {
  extern: "extern",
  histogram: "histogram",
  prog: "prog_array",
  perf_output: "perf_event_array",
  perf_array: "perf_event_array",
  stacktrace: "stack_trace",
};
