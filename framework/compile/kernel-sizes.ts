import type { Btf } from "../object/btf.ts";

/** Lengths that kernel headers have as macros, and where the kernel's types show them. */
const lengths: Readonly<Record<string, (btf: Btf) => number | undefined>> = {
  // 36 to 40, by version and configuration; the member became a union in 6.15.
  DNAME_INLINE_LEN: (btf) => memberSize(btf, "dentry", "d_iname") ?? memberSize(btf, "dentry", "d_shortname"),
  DISK_NAME_LEN: (btf) => memberSize(btf, "gendisk", "disk_name"),
  MODULE_NAME_LEN: (btf) => memberSize(btf, "module", "name"),
  // An enumerator from 5.17 on, which the types give by themselves.
  TASK_COMM_LEN: (btf) =>
    btf.findEnumerator("TASK_COMM_LEN") === undefined ? memberSize(btf, "task_struct", "comm") : undefined,
  THREAD_SIZE: (btf) => {
    const id = btf.find("thread_union", "union");
    return id === 0 ? undefined : btf.sizeOf(id);
  },
};

/** The names that `kernelLengths` may know. */
export const lengthNames: readonly string[] = Object.keys(lengths);

/** `-D` arguments for lengths that a source mentions and the kernel's types tell. */
export function kernelLengths(btf: Btf, names: readonly string[]): readonly string[] {
  return names.flatMap((name) => {
    const value = lengths[name]?.(btf);
    return value === undefined ? [] : [`-D${name}=${value}`];
  });
}

/** Bytes of a struct's member; undefined where there is no such member. */
function memberSize(btf: Btf, tag: string, name: string): number | undefined {
  const id = btf.find(tag, "struct");
  const type = id === 0 ? undefined : btf.type(id);
  const member =
    type?.kind === "struct" ? type.members.find((candidate) => candidate.name === name) : undefined;
  return member === undefined ? undefined : btf.sizeOf(member.type);
}
