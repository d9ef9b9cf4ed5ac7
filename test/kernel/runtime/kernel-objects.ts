import { setTimeout as delay } from "node:timers/promises";
import { bpfReply, errnoOf } from "../../../framework/sys/bpf.ts";
import { openDescriptors } from "../../../framework/sys/fd.ts";
import { getNextId } from "../../../framework/uapi/bpf-attr.ts";

type Listing = "BPF_PROG_GET_NEXT_ID" | "BPF_MAP_GET_NEXT_ID" | "BPF_BTF_GET_NEXT_ID";

/** The ids of all programs, maps or types that the kernel has now. */
export function objectIds(listing: Listing): readonly number[] {
  const ids: number[] = [];
  for (let id = 0; ; ) {
    try {
      id = bpfReply(listing, getNextId, { start_id: id }).attr.next_id;
      ids.push(id);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return ids;
      throw error;
    }
  }
}

/** Waits until the kernel has freed an object, which it does a little after the last use. False after 5 seconds. */
export async function isFreed(listing: Listing, id: number): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if (!objectIds(listing).includes(id)) return true;
    await delay(50);
  }
  return false;
}

/** Labels of descriptors that are open. */
export function openLabels(): readonly string[] {
  return openDescriptors().map(({ label }) => label);
}
