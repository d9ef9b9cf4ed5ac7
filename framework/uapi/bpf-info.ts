import { struct, u32 } from "../core/layout.ts";

/**
 * `struct bpf_prog_info` up to its id. BPF_OBJ_GET_INFO_BY_FD writes as many bytes as it is asked for, so a layout may
 * stop after the last field of interest.
 */
export const bpfProgInfo = struct("bpf_prog_info", { type: u32, id: u32 });
