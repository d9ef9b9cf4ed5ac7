/** `enum perf_type_id`: what `attach_perf_event` takes as `ev_type`. */
export class PerfType {
  static readonly HARDWARE = 0;
  static readonly SOFTWARE = 1;
  static readonly TRACEPOINT = 2;
  static readonly HW_CACHE = 3;
  static readonly RAW = 4;
  static readonly BREAKPOINT = 5;
}

/** `enum perf_hw_id`: what `attach_perf_event` takes as `ev_config` with PerfType.HARDWARE. */
export class PerfHWConfig {
  static readonly CPU_CYCLES = 0;
  static readonly INSTRUCTIONS = 1;
  static readonly CACHE_REFERENCES = 2;
  static readonly CACHE_MISSES = 3;
  static readonly BRANCH_INSTRUCTIONS = 4;
  static readonly BRANCH_MISSES = 5;
  static readonly BUS_CYCLES = 6;
  static readonly STALLED_CYCLES_FRONTEND = 7;
  static readonly STALLED_CYCLES_BACKEND = 8;
  static readonly REF_CPU_CYCLES = 9;
}

/** `enum perf_sw_ids`: what `attach_perf_event` takes as `ev_config` with PerfType.SOFTWARE. */
export class PerfSWConfig {
  static readonly CPU_CLOCK = 0;
  static readonly TASK_CLOCK = 1;
  static readonly PAGE_FAULTS = 2;
  static readonly CONTEXT_SWITCHES = 3;
  static readonly CPU_MIGRATIONS = 4;
  static readonly PAGE_FAULTS_MIN = 5;
  static readonly PAGE_FAULTS_MAJ = 6;
  static readonly ALIGNMENT_FAULTS = 7;
  static readonly EMULATION_FAULTS = 8;
  static readonly DUMMY = 9;
  static readonly BPF_OUTPUT = 10;
}

/** `enum perf_event_sample_format`: bits of `sample_type` in `attach_perf_event_raw`. */
export class PerfEventSampleFormat {
  static readonly IP = 1 << 0;
  static readonly TID = 1 << 1;
  static readonly TIME = 1 << 2;
  static readonly ADDR = 1 << 3;
  static readonly READ = 1 << 4;
  static readonly CALLCHAIN = 1 << 5;
  static readonly ID = 1 << 6;
  static readonly CPU = 1 << 7;
  static readonly PERIOD = 1 << 8;
  static readonly STREAM_ID = 1 << 9;
  static readonly RAW = 1 << 10;
  static readonly BRANCH_STACK = 1 << 11;
  static readonly REGS_USER = 1 << 12;
  static readonly STACK_USER = 1 << 13;
  static readonly WEIGHT = 1 << 14;
  static readonly DATA_SRC = 1 << 15;
  static readonly IDENTIFIER = 1 << 16;
  static readonly TRANSACTION = 1 << 17;
  static readonly REGS_INTR = 1 << 18;
  static readonly PHYS_ADDR = 1 << 19;
  static readonly AUX = 1 << 20;
  static readonly CGROUP = 1 << 21;
  static readonly DATA_PAGE_SIZE = 1 << 22;
  static readonly CODE_PAGE_SIZE = 1 << 23;
  static readonly WEIGHT_STRUCT = 1 << 24;
}
