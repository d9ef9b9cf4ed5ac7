import type { MapSpec, ObjectSpec } from "./object-spec.ts";
import { isOpenRecord } from "./record-fields.ts";

/**
 * The length a perf buffer gives a record: it pads the record with its own length field of 4 bytes to a multiple of 8
 * (perf_prepare_sample in kernel/events/core.c).
 */
export function perfLength(size: number): number {
  return Math.ceil((size + 4) / 8) * 8 - 4;
}

/**
 * Event buffers whose records come in several types that their lengths do not tell apart: two have the same one, a
 * packet of any length follows, or a type ends with an array of any length.
 *
 * @param text the lowered text, for what is called on each buffer
 */
export function ambiguousBuffers(object: ObjectSpec, text: string): readonly string[] {
  return object.maps.filter((map) => isAmbiguous(map, text)).map(({ name }) => name);
}

function isAmbiguous({ name, kind, btf, eventTypes }: MapSpec, text: string): boolean {
  if (btf === null || eventTypes.length < 2) return false;
  if (text.includes(`bcc_ringbuf_reserve_dynptr(&${name},`)) return false;
  if (text.includes(`bcc_perf_submit_skb(&${name},`)) return true;
  if (eventTypes.some((id) => isOpenRecord(btf, id))) return true;
  const lengths = eventTypes.map((id) => {
    const size = btf.sizeOf(id);
    return kind === "perf_event_array" ? perfLength(size) : size;
  });
  return new Set(lengths).size < lengths.length;
}
