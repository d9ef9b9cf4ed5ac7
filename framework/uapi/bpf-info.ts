import { struct, u32, u64 } from "../core/layout.ts";

/**
 * `struct bpf_prog_info` up to its id. BPF_OBJ_GET_INFO_BY_FD writes as many bytes as it is asked for, so a layout may
 * stop after the last field of interest.
 */
export const bpfProgInfo = struct("bpf_prog_info", { type: u32, id: u32 });

/** `struct bpf_btf_info`: whose types they are. Since Linux 5.11. */
export const bpfBtfInfo = struct("bpf_btf_info", {
  btf: u64,
  btf_size: u32,
  id: u32,
  name: u64,
  name_len: u32,
  kernel_btf: u32,
});
