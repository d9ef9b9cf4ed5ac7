/*
 * Types and attributes that every BPF source may use without an include. Comes before the kernel's types, so
 * everything here is what those types say too.
 */
#ifndef RXBPF_BASE_H
#define RXBPF_BASE_H

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef __s8 int8_t;
typedef __u8 uint8_t;
typedef __s16 int16_t;
typedef __u16 uint16_t;
typedef __s32 int32_t;
typedef __u32 uint32_t;
typedef __s64 int64_t;
typedef __u64 uint64_t;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __le16;
typedef __u32 __le32;
typedef __u64 __le64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef unsigned long uintptr_t;
typedef _Bool bool;
typedef unsigned long size_t;
typedef long ssize_t;
typedef int pid_t;
typedef unsigned int uid_t;
typedef unsigned int gid_t;

struct bpf_map_def {
  unsigned int type;
  unsigned int key_size;
  unsigned int value_size;
  unsigned int max_entries;
  unsigned int map_flags;
};

/* The type of a tracepoint's field whose place is told from the field's own end (__rel_loc). */
enum __rx_relative { __RX_RELATIVE };

#define BPF_MAX_STACK_DEPTH 127
struct bpf_stacktrace {
  __u64 ip[BPF_MAX_STACK_DEPTH];
};
/* The kernel calls the last member ip where it found no build id. */
struct bpf_stack_build_id {
  __s32 status;
  unsigned char build_id[20];
  __u64 offset;
};
struct bpf_stacktrace_buildid {
  struct bpf_stack_build_id trace[BPF_MAX_STACK_DEPTH];
};
struct bpf_cgroup_storage_key {
  __u64 cgroup_inode_id;
  __u32 attach_type;
};

#endif
