import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { AttachError, UnsupportedError, UsageError } from "../core/errors.ts";
import type { Btf } from "../object/btf.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { type ProgramKind, type ProgramKindName, programKinds } from "../programs/kinds.ts";
import type { Fd } from "../sys/fd.ts";
import { kernelFunctions } from "../sys/proc.ts";
import { kernelBtf } from "./environment.ts";
import { moduleBtf, moduleBtfFd, moduleNames, modulesNaming } from "./module-btf.ts";

/** How each kind of target is called in the kernel's types. */
const spellings = {
  function: { prefix: "", kind: "func", what: "kernel function" },
  tracepoint: { prefix: "btf_trace_", kind: "typedef", what: "tracepoint" },
  lsm: { prefix: "bpf_lsm_", kind: "func", what: "LSM hook" },
  iterator: { prefix: "bpf_iter_", kind: "func", what: "iterator" },
} as const;

/** What a program is loaded for, as loading states it. */
export interface BtfTarget {
  /** The type id; 0 for kinds that BTF does not bind. */
  readonly id: number;
  /** The types of the module that the id is of, to be closed after loading; null for the kernel's own. */
  readonly module: Fd | null;
}

/**
 * What a program is loaded for. A target that is not in the kernel itself is looked for in the modules, also when the
 * program names none. Modules since Linux 5.11.
 *
 * @throws UsageError when nothing says what the program is for; AttachError for a target that no types have;
 * UnsupportedError on a kernel without BTF
 */
export function btfTarget(spec: ProgramSpec, kind: ProgramKindName): BtfTarget {
  const { btfTarget: wanted }: ProgramKind = programKinds[kind];
  if (wanted === null) return { id: 0, module: null };
  const { target, name } = spec;
  if (target?.hook !== "btf" && target?.hook !== "iter") {
    const { prefix } = programKinds[kind];
    throw new UsageError(`cannot load program "${name}": nothing says which target it is for`, {
      hint:
        wanted === "iterator"
          ? "name it as BCC does, BPF_ITER(task), or give it a section"
          : `name it as BCC does, for instance ${prefix ?? "kfunc__"}vmlinux__vfs_read, or give it a section`,
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
  const { prefix, kind: typeKind } = spellings[wanted];
  const place = placeOf(target.hook === "btf" ? target.module : "vmlinux", target.name);
  const find = (btf: Btf): number => btf.find(prefix + place.name, typeKind);
  if (place.module === "vmlinux") {
    const id = find(types);
    if (id !== 0) return { id, module: null };
  }
  const modules = place.module === "vmlinux" ? modulesNaming(prefix + place.name) : [place.module];
  for (const module of modules) {
    const btf = moduleBtf(module, types);
    const id = btf === null ? 0 : find(btf);
    if (id >= types.endId) return { id, module: moduleBtfFd(module) };
  }
  throw unknownTarget(spec, wanted, place, types);
}

/** "a" and "b__f" mean function b__f of module a, or function f of module a__b: whichever module there is. */
function placeOf(module: string, name: string): { readonly module: string; readonly name: string } {
  if (module === "vmlinux") return { module, name };
  const words = `${module}__${name}`;
  const found = moduleNames()
    .filter((candidate) => words.startsWith(`${candidate}__`))
    .sort((a, b) => b.length - a.length)[0];
  return found === undefined ? { module, name } : { module: found, name: words.slice(found.length + 2) };
}

function unknownTarget(
  spec: ProgramSpec,
  wanted: keyof typeof spellings,
  { module, name }: { readonly module: string; readonly name: string },
  types: Btf,
): AttachError {
  const { prefix, kind, what } = spellings[wanted];
  const doing = `cannot load program "${spec.name}" for ${name}`;
  if (module !== "vmlinux" && !moduleNames().includes(module)) {
    return new AttachError(`${doing}: no module "${module}" with types is loaded`, {
      hint: didYouMean(nearestNames(module, moduleNames())) ?? `load it first: modprobe ${module}`,
    });
  }
  if (wanted === "function" && kernelFunctions().includes(name)) {
    return new AttachError(`${doing}: the kernel has this function, but its types do not describe it`, {
      hint: "it is written in assembly, or the compiler changed its parameters; use a kprobe",
    });
  }
  const own = module === "vmlinux" ? types : (moduleBtf(module, types) ?? types);
  const where = module === "vmlinux" ? "the kernel's types have" : `the types of module ${module} have`;
  return new AttachError(`${doing}: ${where} no such ${what}`, {
    hint: didYouMean(nearestNames(name, namesOf(own, prefix, kind))),
  });
}

function* namesOf(types: Btf, prefix: string, kind: "func" | "typedef"): Generator<string> {
  for (let id = types.firstId; id < types.endId; id++) {
    if (types.kindOf(id) !== kind) continue;
    const name = types.nameOf(id);
    if (name.startsWith(prefix)) yield name.slice(prefix.length);
  }
}
