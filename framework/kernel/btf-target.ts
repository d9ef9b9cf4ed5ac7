import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { AttachError, UnsupportedError, UsageError } from "../core/errors.ts";
import type { Btf } from "../object/btf.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { type ProgramKind, type ProgramKindName, programKinds } from "../programs/kinds.ts";
import { kernelBtf } from "./environment.ts";

/** How each kind of target is called in the kernel's types. */
const spellings = {
  function: { prefix: "", kind: "func", what: "kernel function" },
  tracepoint: { prefix: "btf_trace_", kind: "typedef", what: "tracepoint" },
  lsm: { prefix: "bpf_lsm_", kind: "func", what: "LSM hook" },
} as const;

/**
 * The type id that a program is loaded for; 0 for kinds that BTF does not bind.
 *
 * @throws UsageError when nothing says what the program is for; AttachError for a target the kernel's types do not have;
 * UnsupportedError on a kernel without BTF, and for targets in modules
 */
export function btfTargetId(spec: ProgramSpec, kind: ProgramKindName): number {
  const { btfTarget }: ProgramKind = programKinds[kind];
  if (btfTarget === null) return 0;
  const { target, name } = spec;
  if (target?.hook !== "btf") {
    throw new UsageError(`cannot load program "${name}": nothing says which target it is for`, {
      hint: `name it as BCC does, for instance ${programKinds[kind].prefix ?? "kfunc__"}vmlinux__vfs_read, or give it a section`,
    });
  }
  if (target.module !== "vmlinux") {
    throw new UnsupportedError(`cannot load program "${name}": its target is in module ${target.module}`, {
      hint: "targets in the kernel itself work; use a kprobe for a module's function",
    });
  }
  const types = kernelBtf();
  if (types === null) {
    throw new UnsupportedError(
      `cannot load program "${name}": this kernel offers no types (CONFIG_DEBUG_INFO_BTF)`,
      {
        hint: "use a kprobe or a raw tracepoint",
      },
    );
  }
  const { prefix, kind: typeKind, what } = spellings[btfTarget];
  const id = types.find(prefix + target.name, typeKind);
  if (id !== 0) return id;
  throw new AttachError(
    `cannot load program "${name}" for ${target.name}: the kernel's types have no such ${what}`,
    {
      hint: didYouMean(nearestNames(target.name, namesOf(types, prefix, typeKind))),
    },
  );
}

function* namesOf(types: Btf, prefix: string, kind: "func" | "typedef"): Generator<string> {
  for (let id = types.firstId; id < types.endId; id++) {
    if (types.kindOf(id) !== kind) continue;
    const name = types.nameOf(id);
    if (name.startsWith(prefix)) yield name.slice(prefix.length);
  }
}
