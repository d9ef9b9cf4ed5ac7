import { i32, struct, u16, u32, u64 } from "../core/layout.ts";

/** `struct perf_event_attr` (linux/perf_event.h) up to PERF_ATTR_SIZE_VER5; `flags` is the word of bit-fields. */
export const perfEventAttr = struct("perf_event_attr", {
  type: u32,
  size: u32,
  config: u64,
  sample_period: u64,
  sample_type: u64,
  read_format: u64,
  flags: u64,
  wakeup_events: u32,
  bp_type: u32,
  config1: u64,
  config2: u64,
  branch_sample_type: u64,
  sample_regs_user: u64,
  sample_stack_user: u32,
  clockid: i32,
  sample_regs_intr: u64,
  aux_watermark: u32,
  sample_max_stack: u16,
  reserved_2: u16,
});

/** `enum perf_type_id`. */
export const PERF_TYPE_HARDWARE = 0;
export const PERF_TYPE_SOFTWARE = 1;
export const PERF_TYPE_TRACEPOINT = 2;
export const PERF_TYPE_HW_CACHE = 3;
export const PERF_TYPE_RAW = 4;
/** `config` of a software event that bpf_perf_event_output writes to. */
export const PERF_COUNT_SW_BPF_OUTPUT = 10n;
/** `sample_type`: the record holds the raw bytes and their size. */
export const PERF_SAMPLE_RAW = 1n << 10n;
/** `flags` of perf_event_open. */
export const PERF_FLAG_FD_CLOEXEC = 8;

/** ioctl requests: `_IO('$', 0)`, `_IOW('$', 8, __u32)`. */
export const PERF_EVENT_IOC_ENABLE = 0x2400;
export const PERF_EVENT_IOC_SET_BPF = 0x40042408;

/**
 * Byte offsets in the first mapped page, `struct perf_event_mmap_page`. The kernel's fields start at 1024 so that
 * those before them can grow.
 */
export const perfMmapPage = { data_head: 1024, data_tail: 1032, data_offset: 1040, data_size: 1048 } as const;

/** `struct perf_event_header`, before every record. */
export const perfEventHeader = struct("perf_event_header", { type: u32, misc: u16, size: u16 });

export const PERF_RECORD_LOST = 2;
/** Reading an event gives its lost records behind its count. Since Linux 6.0. */
export const PERF_FORMAT_LOST = 16n;
export const PERF_RECORD_SAMPLE = 9;

/** What follows the header of a PERF_RECORD_LOST. */
export const perfRecordLost = struct("perf_record_lost", { id: u64, lost: u64 });
