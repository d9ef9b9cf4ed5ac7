import type { Btf } from "../object/btf.ts";
import type { Task } from "./happening.ts";
import { type AddressSpace, NO_REGION, type Region } from "./memory.ts";

/** Tasks whose structures are kept; the one used longest ago goes first. */
const MOST_TASKS = 64;

/** Bytes of a structure whose type nobody knows: a task is smaller on every kernel. */
const UNKNOWN_BYTES = 16384;

/** Credentials, by how `struct cred` calls them. */
const IDS = { uid: ["uid", "euid", "suid", "fsuid"], gid: ["gid", "egid", "sgid", "fsgid"] } as const;

interface Kept {
  readonly task: Region;
  readonly cred: Region;
}

/**
 * The kernel's structures about tasks, made up from what is known of them: `struct task_struct` and `struct cred` with
 * ids, name, parent and credentials where the kernel's own types say that they are; the rest is zero.
 */
export class TaskMemory {
  readonly #space: AddressSpace;
  readonly #types: () => Btf | null;
  readonly #kept = new Map<number, Kept>();

  /** @param types the kernel's, read on first use; without them structures are zero */
  constructor(space: AddressSpace, types: () => Btf | null) {
    this.#space = space;
    this.#types = types;
  }

  /** The structure of a task. */
  of(task: Task): Region {
    let kept = this.#kept.get(task.pid);
    if (kept === undefined) {
      kept = this.#make();
      if (this.#kept.size >= MOST_TASKS) this.#dropOldest();
    }
    this.#kept.delete(task.pid);
    this.#kept.set(task.pid, kept);
    this.#fill(kept, task);
    return kept.task;
  }

  /** The task whose structure is at an address, by its pid; undefined for any other address. */
  pidAt(high: number, offset: number): number | undefined {
    for (const [pid, { task }] of this.#kept) if (task.high === high && offset === 0) return pid;
    return undefined;
  }

  /** The region of an address, when it is one of these structures. */
  at(high: number): Region {
    const region = this.#space.at(high);
    for (const { task, cred } of this.#kept.values()) if (region === task || region === cred) return region;
    return NO_REGION;
  }

  #make(): Kept {
    const region = (name: string, tag: string): Region =>
      this.#space.create({ name, bytes: new Uint8Array(this.#sizeOf(tag)), writable: false }) ?? NO_REGION;
    return { task: region("a task", "task_struct"), cred: region("credentials", "cred") };
  }

  #dropOldest(): void {
    const [pid, kept] = this.#kept.entries().next().value!;
    this.#kept.delete(pid);
    this.#space.remove(kept.task);
    this.#space.remove(kept.cred);
  }

  #fill({ task: region, cred }: Kept, task: Task): void {
    if (region === NO_REGION || cred === NO_REGION) return;
    const setInt = (name: string, value: number): void => {
      const at = this.#offset("task_struct", name);
      if (at !== undefined) region.view.setInt32(at, value, true);
    };
    setInt("pid", task.pid);
    setInt("tgid", task.tgid);
    const comm = this.#offset("task_struct", "comm");
    if (comm !== undefined) region.bytes.set(commBytes(task.comm), comm);
    for (const name of ["cred", "real_cred"]) this.#setPointer(region, name, cred);
    const isParent = task.parent === 0 || task.parent === task.pid;
    const parent = isParent
      ? region
      : this.of({ ...task, pid: task.parent, tgid: task.parent, comm: "", parent: 0 });
    for (const name of ["real_parent", "parent"]) this.#setPointer(region, name, parent);
    this.#setPointer(region, "group_leader", region);
    for (const which of ["uid", "gid"] as const) {
      for (const name of IDS[which]) {
        const at = this.#offset("cred", name);
        if (at !== undefined) cred.view.setUint32(at, task[which], true);
      }
    }
  }

  #setPointer(region: Region, name: string, to: Region): void {
    const at = this.#offset("task_struct", name);
    if (at !== undefined) region.view.setBigUint64(at, to.address(0), true);
  }

  #sizeOf(tag: string): number {
    const types = this.#types();
    const type = types?.type(types.find(tag, "struct"));
    return type?.kind === "struct" ? type.size : UNKNOWN_BYTES;
  }

  #offset(tag: string, name: string): number | undefined {
    const types = this.#types();
    return types === null ? undefined : memberOffset(types, types.find(tag, "struct"), name);
  }
}

/** Where a member begins, in bytes; members of nameless structs inside count as the outer one's. */
export function memberOffset(types: Btf, id: number, name: string): number | undefined {
  const type = types.type(types.resolve(id));
  if (type.kind !== "struct" && type.kind !== "union") return undefined;
  for (const member of type.members) {
    if (member.name === name) return member.bitOffset / 8;
    if (member.name !== "") continue;
    const inner = memberOffset(types, member.type, name);
    if (inner !== undefined) return member.bitOffset / 8 + inner;
  }
  return undefined;
}

/** A task's name as the kernel keeps it: 16 bytes, the last one zero. */
export function commBytes(comm: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(new TextEncoder().encode(comm).subarray(0, 15));
  return bytes;
}
