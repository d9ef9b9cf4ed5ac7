import { chars, struct, u32, u64 } from "../core/layout.ts";

/**
 * `struct bpf_prog_info` up to its id. BPF_OBJ_GET_INFO_BY_FD writes as many bytes as it is asked for, so a layout may
 * stop after the last field of interest.
 */
export const bpfProgInfo = struct("bpf_prog_info", { type: u32, id: u32 });

/** `struct bpf_map_info` up to the types of key and value (4.18); older kernels leave what they do not know zero. */
export const bpfMapInfo = struct("bpf_map_info", {
  type: u32,
  id: u32,
  key_size: u32,
  value_size: u32,
  max_entries: u32,
  map_flags: u32,
  name: chars(16),
  ifindex: u32,
  btf_vmlinux_value_type_id: u32,
  netns_dev: u64,
  netns_ino: u64,
  btf_id: u32,
  btf_key_type_id: u32,
  btf_value_type_id: u32,
});

/** `struct bpf_btf_info`: whose types they are. Since Linux 5.11. */
export const bpfBtfInfo = struct("bpf_btf_info", {
  btf: u64,
  btf_size: u32,
  id: u32,
  name: u64,
  name_len: u32,
  kernel_btf: u32,
});
