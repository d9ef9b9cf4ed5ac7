import { readdirSync, readFileSync } from "node:fs";
import { UnsupportedError } from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import { Btf } from "../object/btf.ts";
import { withArena } from "../sys/arena.ts";
import { bpf, bpfReply, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { kernelRelease } from "../sys/proc.ts";
import { getInfo, getNextId } from "../uapi/bpf-attr.ts";
import { bpfBtfInfo } from "../uapi/bpf-info.ts";
import { isPermission, missingPrivilege } from "./permission.ts";

const FOLDER = "/sys/kernel/btf";

/** Modules whose types the kernel shows, as /sys/kernel/btf lists them. Changes as modules come and go. Since 5.11. */
export function moduleNames(): readonly string[] {
  try {
    return readdirSync(FOLDER).filter((name) => name !== "vmlinux");
  } catch {
    return []; // a kernel without types
  }
}

/** A module's types, over the kernel's; null when no such module with types is loaded. */
export function moduleBtf(name: string, base: Btf): Btf | null {
  const bytes = moduleBytes(name);
  return bytes === undefined ? null : new Btf(bytes, base);
}

function moduleBytes(name: string): Buffer | undefined {
  if (!/^\w+$/.test(name)) return undefined;
  try {
    return readFileSync(`${FOLDER}/${name}`);
  } catch {
    return undefined; // not loaded, or without types
  }
}

/** Modules in whose types a name occurs: a look at the bytes, which is much faster than reading the types. */
export function modulesNaming(name: string): readonly string[] {
  return moduleNames().filter((module) => moduleBytes(module)?.includes(`\0${name}\0`) === true);
}

/** Longest name of a module (MODULE_NAME_LEN). */
const NAME_BYTES = 64;

/**
 * A descriptor of the types of a loaded module, for loading a program for one of its functions.
 *
 * @throws UnsupportedError on kernels before 5.11; PermissionError without CAP_SYS_ADMIN
 */
export function moduleBtfFd(module: string): Fd {
  try {
    for (let id = nextId(0); id !== 0; id = nextId(id)) {
      const fd = open(id);
      if (fd === undefined) continue;
      if (nameOf(fd) === module) return fd;
      fd[Symbol.dispose]();
    }
  } catch (cause) {
    const errno = errnoOf(cause);
    if (isPermission(errno))
      throw missingPrivilege(`using the types of module ${module}`, "CAP_SYS_ADMIN", cause);
    throw cause;
  }
  throw new UnsupportedError(
    `programs for functions of modules need Linux 5.11; this is ${kernelRelease()}`,
    {
      hint: "use a kprobe",
    },
  );
}

/** The id after this one of all types in the kernel; 0 at the end. */
function nextId(id: number): number {
  try {
    return bpfReply("BPF_BTF_GET_NEXT_ID", getNextId, { start_id: id }).attr.next_id;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return 0;
    throw error;
  }
}

/** Undefined for types that went meanwhile. */
function open(id: number): Fd | undefined {
  try {
    return new Fd(bpf("BPF_BTF_GET_FD_BY_ID", getNextId, { start_id: id }), `types ${id}`);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The module's name; "" for types that programs brought. */
function nameOf(fd: Fd): string {
  return withArena((arena) => {
    const name = arena.out(NAME_BYTES);
    const info = arena.out(bpfBtfInfo.size);
    info.bytes.set(bpfBtfInfo.encode({ name: name.address, name_len: NAME_BYTES }));
    bpf("BPF_OBJ_GET_INFO_BY_FD", getInfo, {
      bpf_fd: fd.number,
      info_len: bpfBtfInfo.size,
      info: info.address,
    });
    if (bpfBtfInfo.read(viewOf(info.bytes), 0).kernel_btf === 0) return "";
    return Buffer.from(name.bytes.subarray(0, name.bytes.indexOf(0))).toString("latin1");
  });
}
