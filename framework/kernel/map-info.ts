import { UnsupportedError } from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import { Btf } from "../object/btf.ts";
import type { MapTypes } from "../object/map-types.ts";
import { withArena } from "../sys/arena.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { kernelRelease } from "../sys/proc.ts";
import { getInfo, getNextId } from "../uapi/bpf-attr.ts";
import { bpfBtfInfo, bpfMapInfo } from "../uapi/bpf-info.ts";

/** What the kernel says about one of its maps. */
export type MapInfo = ReturnType<typeof bpfMapInfo.read>;

/** @throws UnsupportedError before Linux 4.13 */
export function mapInfo(fd: Fd): MapInfo {
  return withArena((arena) => {
    const info = arena.out(bpfMapInfo.size);
    try {
      bpf("BPF_OBJ_GET_INFO_BY_FD", getInfo, {
        bpf_fd: fd.number,
        info_len: bpfMapInfo.size,
        info: info.address,
      });
    } catch (cause) {
      if (errnoOf(cause) === undefined) throw cause;
      throw new UnsupportedError(`asking what ${fd.label} is needs Linux 4.13; this is ${kernelRelease()}`, {
        cause,
      });
    }
    return bpfMapInfo.read(viewOf(info.bytes), 0);
  });
}

/** The types that a map was made with; none where it has none, or where they may not be read. */
export function typesMadeWith(info: MapInfo): MapTypes {
  return { keyType: info.btf_key_type_id, valueType: info.btf_value_type_id, btf: typesById(info.btf_id) };
}

function typesById(btfId: number): Btf | null {
  if (btfId === 0) return null;
  try {
    using fd = new Fd(bpf("BPF_BTF_GET_FD_BY_ID", getNextId, { start_id: btfId }), `BTF ${btfId}`);
    const { btf_size } = btfInfo(fd, 0, () => 0n).info;
    return new Btf(btfInfo(fd, btf_size, (address) => address).bytes);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return null;
  }
}

/** Asks about types, with room for so many bytes of them. */
function btfInfo(fd: Fd, size: number, place: (address: bigint) => bigint) {
  return withArena((arena) => {
    const types = arena.out(size);
    const info = arena.out(bpfBtfInfo.size);
    info.bytes.set(bpfBtfInfo.encode({ btf: place(types.address), btf_size: size }));
    bpf("BPF_OBJ_GET_INFO_BY_FD", getInfo, {
      bpf_fd: fd.number,
      info_len: bpfBtfInfo.size,
      info: info.address,
    });
    return { info: bpfBtfInfo.read(viewOf(info.bytes), 0), bytes: types.bytes.slice() };
  });
}
