import { viewOf } from "../core/layout.ts";
import { Btf, type BtfType } from "./btf.ts";
import { type Elf, type ElfSection, malformed } from "./elf.ts";

/** Kinds by their number in include/uapi/linux/btf.h. */
const INT = 1;
const PTR = 2;
const UNION = 5;

const LINKAGE_GLOBAL = 1;
const POINTER_BYTES = 8;

/** The kernel takes these in names of variables and data sections; newer ones take more. */
const ACCEPTED_NAME = /^[A-Za-z_.][\w.]{0,126}$/;

type Datasec = Extract<BtfType, { kind: "datasec" }>;

/**
 * The types of an object with the places of its variables filled in: clang leaves them to relocations.
 * @throws ObjectError when the section is malformed
 */
export function placedBtf(elf: Elf, section: ElfSection): Btf {
  const bytes = new Uint8Array(section.data);
  const view = viewOf(bytes);
  for (const { offset, symbol } of elf.relocations(section)) {
    if (offset + 4 > bytes.length) throw malformed("a relocation changes bytes past its .BTF section");
    view.setUint32(offset, view.getUint32(offset, true) + symbol.value, true);
  }
  return new Btf(bytes);
}

/**
 * The same types, with the same ids, in a form that the kernel loads: data sections get their sizes and list their
 * variables in order of offset. What the kernel refuses becomes a type that nobody needs: variables and functions
 * defined elsewhere, and data sections that are not in the object or hold such variables.
 *
 * @param placed what `placedBtf` gave
 * @param isDropped data sections that are not to be in the result
 *
 * The rules are those of btf_check_all_metas and its callees in kernel/bpf/btf.c.
 */
export function loadableBtf(placed: Btf, elf: Elf, isDropped: (section: string) => boolean): Btf {
  const unusable = findUnusable(placed, elf, isDropped);
  const bytes = new Uint8Array(placed.bytes);
  const view = viewOf(bytes);
  for (let id = placed.firstId; id < placed.endId; id++) {
    const kind = placed.kindOf(id);
    if (kind !== "datasec" && kind !== "decl_tag" && kind !== "var" && kind !== "func") continue;
    const at = placed.offsetOf(id);
    const type = placed.type(id);
    if (unusable.has(id)) neutralize(type, view, at);
    else if (type.kind === "decl_tag" && unusable.has(type.type)) neutralize(type, view, at);
    else if (type.kind === "datasec") writeSection(type, sizeOfSection(elf, type), view, at);
  }
  return new Btf(bytes);
}

/** Ids of what the kernel would refuse. */
function findUnusable(placed: Btf, elf: Elf, isDropped: (section: string) => boolean): ReadonlySet<number> {
  const unusable = new Set<number>();
  const sections: { readonly id: number; readonly type: Datasec }[] = [];
  for (let id = placed.firstId; id < placed.endId; id++) {
    const kind = placed.kindOf(id);
    if (kind !== "datasec" && kind !== "var" && kind !== "func") continue;
    const type = placed.type(id);
    if (type.kind === "datasec") sections.push({ id, type });
    else if (isForeign(type, placed)) unusable.add(id);
  }
  for (const { id, type } of sections) {
    if (!isDropped(type.name) && isAccepted(type, sizeOfSection(elf, type), unusable)) continue;
    unusable.add(id);
    for (const variable of type.variables) unusable.add(variable.type);
  }
  // A variable may stand in two sections; the second one goes with it.
  for (const { id, type } of sections) {
    if (type.variables.some((variable) => unusable.has(variable.type))) unusable.add(id);
  }
  return unusable;
}

/** Whether a variable or function is defined elsewhere, or has a name or type that no variable may have. */
function isForeign(type: BtfType, btf: Btf): boolean {
  if (type.kind === "func") return type.linkage > LINKAGE_GLOBAL;
  if (type.kind !== "var") return false;
  return type.linkage > LINKAGE_GLOBAL || btf.sizeOf(type.type) === 0 || !ACCEPTED_NAME.test(type.name);
}

/** Whether the kernel takes a data section: variables one after another, all inside it. */
function isAccepted(section: Datasec, size: number, unusable: ReadonlySet<number>): boolean {
  if (size === 0 || !ACCEPTED_NAME.test(section.name)) return false;
  let end = 0;
  for (const { type, offset, size: bytes } of inOrder(section)) {
    if (unusable.has(type) || bytes === 0 || offset < end || offset + bytes > size) return false;
    end = offset + bytes;
  }
  return true;
}

function inOrder(section: Datasec): Datasec["variables"] {
  return [...section.variables].sort((a, b) => a.offset - b.offset);
}

function sizeOfSection(elf: Elf, type: Datasec): number {
  return elf.section(type.name)?.size ?? 0;
}

function writeSection(type: Datasec, size: number, view: DataView, start: number): void {
  view.setUint32(start + 8, size, true);
  let at = start + 12;
  for (const variable of inOrder(type)) {
    view.setUint32(at, variable.type, true);
    view.setUint32(at + 4, variable.offset, true);
    view.setUint32(at + 8, variable.size, true);
    at += 12;
  }
}

/**
 * Makes a type into one of the same length that stands for nothing: a variable or tag becomes an int of one byte, a
 * function `void *`, and a data section a union of what its variables became.
 */
function neutralize(type: BtfType, view: DataView, at: number): void {
  const write = (kind: number, count: number, third: number) => {
    view.setUint32(at, 0, true);
    view.setUint32(at + 4, ((kind << 24) | count) >>> 0, true);
    view.setUint32(at + 8, third, true);
  };
  switch (type.kind) {
    case "var":
    case "decl_tag":
      write(INT, 0, 1);
      view.setUint32(at + 12, 8, true);
      return;
    case "func":
      write(PTR, 0, 0);
      return;
    case "datasec":
      write(UNION, type.variables.length, POINTER_BYTES);
      for (const [i, variable] of type.variables.entries()) {
        view.setUint32(at + 12 + i * 12, 0, true);
        view.setUint32(at + 16 + i * 12, variable.type, true);
        view.setUint32(at + 20 + i * 12, 0, true);
      }
  }
}
