/** Members of `struct perf_event_attr` that are numbers of their own (linux/perf_event.h). */
export const perfEventFields = [
  "type",
  "config",
  "sample_period",
  "sample_freq",
  "sample_type",
  "read_format",
  "wakeup_events",
  "bp_type",
  "config1",
  "config2",
  "branch_sample_type",
  "sample_regs_user",
  "sample_stack_user",
  "clockid",
  "sample_regs_intr",
  "aux_watermark",
  "sample_max_stack",
] as const;

/** Its bit-fields: where each begins, and how many bits it has. */
export const perfEventBits = {
  disabled: [0, 1],
  inherit: [1, 1],
  pinned: [2, 1],
  exclusive: [3, 1],
  exclude_user: [4, 1],
  exclude_kernel: [5, 1],
  exclude_hv: [6, 1],
  exclude_idle: [7, 1],
  mmap: [8, 1],
  comm: [9, 1],
  freq: [10, 1],
  inherit_stat: [11, 1],
  enable_on_exec: [12, 1],
  task: [13, 1],
  watermark: [14, 1],
  precise_ip: [15, 2],
  mmap_data: [17, 1],
  sample_id_all: [18, 1],
  exclude_host: [19, 1],
  exclude_guest: [20, 1],
  exclude_callchain_kernel: [21, 1],
  exclude_callchain_user: [22, 1],
  mmap2: [23, 1],
  comm_exec: [24, 1],
  use_clockid: [25, 1],
  context_switch: [26, 1],
  write_backward: [27, 1],
  namespaces: [28, 1],
  ksymbol: [29, 1],
  bpf_event: [30, 1],
  aux_output: [31, 1],
  cgroup: [32, 1],
  text_poke: [33, 1],
} as const satisfies Record<string, readonly [start: number, width: number]>;

type FieldName = (typeof perfEventFields)[number];
type BitName = keyof typeof perfEventBits;

/**
 * An event as perf_event_open(2) takes it, with the kernel's own names. What is left out is 0; `sample_freq` shares its
 * place with `sample_period` and sets `freq`.
 */
export type PerfEventAttr = { readonly [F in FieldName]?: number | bigint } & {
  readonly [B in BitName]?: number;
} & { readonly type: number; readonly config: number | bigint };

/** `enum perf_type_id`, in its order. */
const types = ["hardware", "software", "tracepoint", "cache", "raw", "breakpoint"] as const;

/** `enum perf_hw_id` and `enum perf_sw_ids`, in their order. */
const events: Readonly<Record<number, readonly string[]>> = {
  0: [
    "CPU cycles",
    "instructions",
    "cache references",
    "cache misses",
    "branch instructions",
    "branch misses",
    "bus cycles",
    "stalled cycles, frontend",
    "stalled cycles, backend",
    "reference CPU cycles",
  ],
  1: [
    "CPU clock",
    "task clock",
    "page faults",
    "context switches",
    "CPU migrations",
    "minor page faults",
    "major page faults",
    "alignment faults",
    "emulation faults",
    "dummy",
    "BPF output",
    "cgroup switches",
  ],
};

/** An event as messages name it: "software event page faults", "raw event 0x1a2". */
export function describePerfEvent({ type, config }: PerfEventAttr): string {
  const name = events[type]?.[Number(config)] ?? `0x${config.toString(16)}`;
  return `${types[type] ?? `type ${type}`} event ${name}`;
}
