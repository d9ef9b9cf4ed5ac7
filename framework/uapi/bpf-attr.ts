import { chars, i32, struct, u32, u64 } from "../core/layout.ts";

// One layout per command of `union bpf_attr` (linux/bpf.h). Older kernels take a longer attr as long as what they do
// not know is zero, so each layout goes as far as the newest field used here.

/** BPF_MAP_CREATE. */
export const mapCreate = struct("bpf_attr.map_create", {
  map_type: u32,
  key_size: u32,
  value_size: u32,
  max_entries: u32,
  map_flags: u32,
  inner_map_fd: u32,
  numa_node: u32,
  map_name: chars(16),
  map_ifindex: u32,
  btf_fd: u32,
  btf_key_type_id: u32,
  btf_value_type_id: u32,
  btf_vmlinux_value_type_id: u32,
  map_extra: u64,
});

/** BPF_MAP_LOOKUP_ELEM and its relatives; for BPF_MAP_GET_NEXT_KEY `value` is where the next key goes. */
export const mapElem = struct("bpf_attr.map_elem", { map_fd: u32, key: u64, value: u64, flags: u64 });

/** BPF_MAP_LOOKUP_BATCH and its relatives. The kernel writes the number of entries done to `count`. Since Linux 5.6. */
export const mapBatch = struct("bpf_attr.batch", {
  in_batch: u64,
  out_batch: u64,
  keys: u64,
  values: u64,
  count: u32,
  map_fd: u32,
  elem_flags: u64,
  flags: u64,
});

/** BPF_MAP_FREEZE. */
export const mapFreeze = struct("bpf_attr.map_freeze", { map_fd: u32 });

/** BPF_PROG_LOAD. */
export const progLoad = struct("bpf_attr.prog_load", {
  prog_type: u32,
  insn_cnt: u32,
  insns: u64,
  license: u64,
  log_level: u32,
  log_size: u32,
  log_buf: u64,
  kern_version: u32,
  prog_flags: u32,
  prog_name: chars(16),
  prog_ifindex: u32,
  expected_attach_type: u32,
  prog_btf_fd: u32,
  func_info_rec_size: u32,
  func_info: u64,
  func_info_cnt: u32,
  line_info_rec_size: u32,
  line_info: u64,
  line_info_cnt: u32,
  attach_btf_id: u32,
  attach_btf_obj_fd: u32,
});

/** BPF_PROG_TEST_RUN. The kernel writes `retval`, `data_size_out`, `duration` and `ctx_size_out`. */
export const progTestRun = struct("bpf_attr.test", {
  prog_fd: u32,
  retval: u32,
  data_size_in: u32,
  data_size_out: u32,
  data_in: u64,
  data_out: u64,
  repeat: u32,
  duration: u32,
  ctx_size_in: u32,
  ctx_size_out: u32,
  ctx_in: u64,
  ctx_out: u64,
  flags: u32,
  cpu: u32,
});

/**
 * BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID and their relatives, which write `next_id`; and BPF_BTF_GET_FD_BY_ID and
 * its relatives, whose id is in the place of `start_id`.
 */
export const getNextId = struct("bpf_attr.get_id", { start_id: u32, next_id: u32, open_flags: u32 });

/** BPF_OBJ_PIN and BPF_OBJ_GET. `pathname` is a text that ends in NUL. */
export const objPath = struct("bpf_attr.obj", { pathname: u64, bpf_fd: u32, file_flags: u32 });

/** BPF_OBJ_GET_INFO_BY_FD. */
export const getInfo = struct("bpf_attr.info", { bpf_fd: u32, info_len: u32, info: u64 });

/** BPF_RAW_TRACEPOINT_OPEN. */
export const rawTracepointOpen = struct("bpf_attr.raw_tracepoint", { name: u64, prog_fd: u32 });

/** BPF_BTF_LOAD. */
export const btfLoad = struct("bpf_attr.btf_load", {
  btf: u64,
  btf_log_buf: u64,
  btf_size: u32,
  btf_log_size: u32,
  btf_log_level: u32,
});

/** BPF_LINK_CREATE for a perf event, whose descriptor is `target`. Since Linux 5.15. */
export const linkCreatePerfEvent = struct("bpf_attr.link_create.perf_event", {
  prog_fd: i32,
  target: u32,
  attach_type: u32,
  flags: u32,
  bpf_cookie: u64,
});

/**
 * BPF_LINK_CREATE for many places of one file. `offsets`, `ref_ctr_offsets` and `cookies` point to `cnt` 64-bit numbers
 * each. Since Linux 6.6.
 */
export const linkCreateUprobeMulti = struct("bpf_attr.link_create.uprobe_multi", {
  prog_fd: i32,
  target: u32,
  attach_type: u32,
  link_flags: u32,
  path: u64,
  offsets: u64,
  ref_ctr_offsets: u64,
  cookies: u64,
  cnt: u32,
  flags: u32,
  pid: u32,
});

/** BPF_LINK_CREATE. `target` is a descriptor or, for XDP, an interface index. */
export const linkCreate = struct("bpf_attr.link_create", {
  prog_fd: i32,
  target: u32,
  attach_type: u32,
  flags: u32,
});

/** BPF_LINK_CREATE of an iterator, with what narrows it; `flags` is 0. Since Linux 5.8. */
export const linkCreateIter = struct("bpf_attr.link_create", {
  prog_fd: i32,
  target: u32,
  attach_type: u32,
  flags: u32,
  iter_info: u64,
  iter_info_len: u32,
});

/** `union bpf_iter_link_info` for iterators over a map's entries. */
export const iterOverMap = struct("bpf_iter_link_info.map", { map_fd: u32 });

/** `union bpf_iter_link_info` for iterators over tasks. Since Linux 6.1. */
export const iterOverTasks = struct("bpf_iter_link_info.task", { tid: u32, pid: u32, pid_fd: u32 });

/** BPF_LINK_CREATE of one probe on many kernel functions. Since Linux 5.18. */
export const linkCreateKprobeMulti = struct("bpf_attr.link_create", {
  prog_fd: i32,
  target: u32,
  attach_type: u32,
  flags: u32,
  multi_flags: u32,
  cnt: u32,
  syms: u64,
  addrs: u64,
  cookies: u64,
});

/** BPF_ITER_CREATE. */
export const iterCreate = struct("bpf_attr.iter_create", { link_fd: u32, flags: u32 });

/** BPF_LINK_CREATE for tcx: `relative` is the link that the new one goes before. Since Linux 6.6. */
export const linkCreateTcx = struct("bpf_attr.link_create.tcx", {
  prog_fd: i32,
  target: u32,
  attach_type: u32,
  flags: u32,
  relative: u32,
  expected_revision: u64,
});

/** BPF_LINK_UPDATE: `old_prog_fd` is compared when `flags` has BPF_F_REPLACE. Since Linux 5.7. */
export const linkUpdate = struct("bpf_attr.link_update", {
  link_fd: u32,
  new_prog_fd: u32,
  flags: u32,
  old_prog_fd: u32,
});

/** BPF_PROG_ATTACH and BPF_PROG_DETACH. `target_fd` is a cgroup's, a map's, or unused. */
export const progAttach = struct("bpf_attr.attach", {
  target_fd: u32,
  attach_bpf_fd: u32,
  attach_type: u32,
  attach_flags: u32,
  replace_bpf_fd: u32,
});

/** BPF_PROG_QUERY. Without `prog_ids` the kernel only writes how many there are. Since Linux 4.15. */
export const progQuery = struct("bpf_attr.query", {
  target_fd: u32,
  attach_type: u32,
  query_flags: u32,
  attach_flags: u32,
  prog_ids: u64,
  prog_cnt: u32,
});
