import { chars, struct, u32 } from "../core/layout.ts";

// The heads of what BPF_OBJ_GET_INFO_BY_FD fills in. The kernel writes as many bytes as it is asked for, so a layout
// may stop after the last field of interest.

/** `struct bpf_prog_info` up to its id. */
export const bpfProgInfo = struct("bpf_prog_info", { type: u32, id: u32 });

/** `struct bpf_map_info` up to its name. */
export const bpfMapInfo = struct("bpf_map_info", {
  type: u32,
  id: u32,
  key_size: u32,
  value_size: u32,
  max_entries: u32,
  map_flags: u32,
  name: chars(16),
});

/** `struct bpf_link_info` up to the program's id. */
export const bpfLinkInfo = struct("bpf_link_info", { type: u32, id: u32, prog_id: u32 });
