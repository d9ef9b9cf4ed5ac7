/** Numbers of `enum bpf_cmd` (linux/bpf.h), by name so that messages can say which call failed. */
export const bpfCommands = {
  BPF_MAP_CREATE: 0,
  BPF_MAP_LOOKUP_ELEM: 1,
  BPF_MAP_UPDATE_ELEM: 2,
  BPF_MAP_DELETE_ELEM: 3,
  BPF_MAP_GET_NEXT_KEY: 4,
  BPF_PROG_LOAD: 5,
  BPF_OBJ_PIN: 6,
  BPF_OBJ_GET: 7,
  BPF_PROG_ATTACH: 8,
  BPF_PROG_DETACH: 9,
  BPF_PROG_TEST_RUN: 10,
  BPF_PROG_GET_NEXT_ID: 11,
  BPF_MAP_GET_NEXT_ID: 12,
  BPF_MAP_GET_FD_BY_ID: 14,
  BPF_OBJ_GET_INFO_BY_FD: 15,
  BPF_PROG_QUERY: 16,
  BPF_RAW_TRACEPOINT_OPEN: 17,
  BPF_BTF_LOAD: 18,
  BPF_BTF_GET_FD_BY_ID: 19,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM: 21,
  BPF_MAP_FREEZE: 22,
  BPF_BTF_GET_NEXT_ID: 23,
  BPF_MAP_LOOKUP_BATCH: 24,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH: 25,
  BPF_MAP_UPDATE_BATCH: 26,
  BPF_MAP_DELETE_BATCH: 27,
  BPF_LINK_CREATE: 28,
  BPF_LINK_UPDATE: 29,
  BPF_LINK_GET_NEXT_ID: 31,
  BPF_ITER_CREATE: 33,
} as const;

/** A command of bpf(2). */
export type BpfCommand = keyof typeof bpfCommands;

/** Numbers of the system calls that libc has no function for, by Node's `process.arch`. Little-endian 64-bit only. */
export const syscallNumbers: Readonly<
  Record<string, { readonly bpf: number; readonly perf_event_open: number }>
> = {
  x64: { bpf: 321, perf_event_open: 298 },
  arm64: { bpf: 280, perf_event_open: 241 },
  riscv64: { bpf: 280, perf_event_open: 241 },
  loong64: { bpf: 280, perf_event_open: 241 },
};

/** pidfd_open(2), the same on every architecture. Since Linux 5.3. */
export const PIDFD_OPEN = 434;

/** `flags` of BPF_MAP_UPDATE_ELEM. */
export const BPF_ANY = 0;
export const BPF_NOEXIST = 1;
export const BPF_EXIST = 2;

/** `map_flags`: programs may only read the map. Since Linux 5.2. */
export const BPF_F_RDONLY_PROG = 0x80;
/** Bits of `map_flags` about who may read and write: of a descriptor, or set by the kernel for some kinds. */
export const MAP_ACCESS_FLAGS = 0x08 | 0x10 | 0x80 | 0x100;

/** What statfs(2) says of a BPF file system (linux/magic.h). */
export const BPF_FS_MAGIC = 0xcafe4a11;

/** `src_reg` of a wide load: the immediate is a map's descriptor. */
export const BPF_PSEUDO_MAP_FD = 1;
/** `src_reg` of a wide load: the address of a byte inside the only value of a map. Since Linux 5.2. */
export const BPF_PSEUDO_MAP_VALUE = 2;
/** Opcode of the wide load, `BPF_LD | BPF_IMM | BPF_DW`. */
export const BPF_LD_IMM64 = 0x18;

/** Longest map or program name, without its NUL (BPF_OBJ_NAME_LEN - 1). */
export const BPF_NAME_MAX = 15;

/** `enum bpf_attach_type`. */
export const BPF_TRACE_ITER = 28;
export const BPF_PERF_EVENT = 41;
export const BPF_TRACE_KPROBE_MULTI = 42;
export const BPF_TRACE_UPROBE_MULTI = 48;

/** `prog_flags`: the program may sleep. Since Linux 5.10. */
export const BPF_F_SLEEPABLE = 0x10;
/** `flags` of a probe on many functions: at their return. */
export const BPF_F_KPROBE_MULTI_RETURN = 1;
/** `flags` of a uprobe_multi link: run the program when the functions return. */
export const BPF_F_UPROBE_MULTI_RETURN = 1;

/** `flags` of BPF_PROG_ATTACH and of BPF_LINK_UPDATE (linux/bpf.h). */
export const BPF_F_ALLOW_OVERRIDE = 1;
export const BPF_F_ALLOW_MULTI = 2;
export const BPF_F_REPLACE = 4;
/** `flags` of a tcx link: before the named one, which is named by its link's descriptor. Since Linux 6.6. */
export const BPF_F_BEFORE = 8;
export const BPF_F_LINK = 1 << 13;
/** `query_flags` of BPF_PROG_QUERY: programs of the cgroups above count too. */
export const BPF_F_QUERY_EFFECTIVE = 1;

/** Bit in the length word of a ring buffer record: not to be read. */
/** As a signed word, which is what Atomics stores. */
export const BPF_RINGBUF_BUSY_BIT = 0x80000000 | 0;
export const BPF_RINGBUF_DISCARD_BIT = 0x40000000;
/** Bytes before each ring buffer record. */
export const BPF_RINGBUF_HDR_SZ = 8;

/** XDP_FLAGS_* (linux/if_link.h): leave the device alone when it has a program already. Links always do. */
export const XDP_FLAGS_UPDATE_IF_NOEXIST = 0x1;
export const XDP_FLAGS_SKB_MODE = 0x2;
export const XDP_FLAGS_DRV_MODE = 0x4;
export const XDP_FLAGS_HW_MODE = 0x8;
/** The generic, driver and hardware modes. */
export const XDP_FLAGS_MODES = XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE | XDP_FLAGS_HW_MODE;
/** Replace the program that is named as expected, and no other. Since Linux 5.7. */
export const XDP_FLAGS_REPLACE = 0x10;

/** Duplicate to any free number, closed on exec. */
export const F_DUPFD_CLOEXEC = 1030;

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;

export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const ETH_P_ALL = 3;
export const SOL_SOCKET = 1;
export const SO_DETACH_BPF = 27;
export const SO_ATTACH_BPF = 50;
export const SO_ATTACH_REUSEPORT_EBPF = 52;
/** Since Linux 5.3. */
export const SO_DETACH_REUSEPORT_BPF = 68;

/** `resource` of setrlimit for locked memory, on the architectures above. */
export const RLIMIT_MEMLOCK = 8;

/** `f_type` of statfs for tracefs (linux/magic.h). */
export const TRACEFS_MAGIC = 0x74726163;
