import { BPF_NAME_MAX } from "../uapi/constants.ts";

/** A name as BPF objects may have it: letters, digits, "_" and ".", at most 15 bytes. Others become "_". */
export function objectName(name: string): string {
  return name.replace(/[^A-Za-z0-9_.]/g, "_").slice(0, BPF_NAME_MAX);
}
