import { viewOf } from "../core/layout.ts";
import { textAt, wordAt } from "./elf-file.ts";
import { type ModuleSymbols, notesOf } from "./module-symbols.ts";
import { parseArguments, type Register, type UsdtArch, type UsdtArgument } from "./usdt-argument.ts";

/** One place in a file where a probe is. */
export interface UsdtLocation {
  /** Address of the instruction before relocation. */
  readonly address: number;
  /** The same as a place in the file: what is probed. */
  readonly fileOffset: number;
  readonly arch: UsdtArch;
  readonly arguments: readonly UsdtArgument[];
}

/** A probe that a file defines (`DTRACE_PROBE` in its source), with all its places. */
export interface UsdtProbe {
  readonly provider: string;
  readonly name: string;
  readonly locations: readonly UsdtLocation[];
  /** Address, before relocation, of the counter that says whether anybody looks; 0 when the probe has none. */
  readonly semaphore: number;
  /** The same as a place in the file. */
  readonly semaphoreOffset: number;
}

/** Type of the notes whose owner is "stapsdt" (version 3 of sys/sdt.h). */
const NOTE_TYPE = 3;
const WORDS = 24;

/** The machines of ELF files, by the numbers in their headers, that operands are understood for. */
const ARCHES: Readonly<Record<number, UsdtArch>> = { 62: "x64", 183: "arm64" };

/**
 * The probes of a file, in the order of its notes.
 *
 * The notes hold addresses as they were when the file was linked, and that of a section `.stapsdt.base`: when something
 * moved the file's addresses afterwards (prelink), that section's address tells how far.
 */
export function usdtProbes({ file }: ModuleSymbols): readonly UsdtProbe[] {
  const section = file.section(".note.stapsdt");
  const arch = ARCHES[file.machine];
  if (section === undefined || arch === undefined) return [];
  const base = file.section(".stapsdt.base")?.address;
  const probes = new Map<string, UsdtProbe & { readonly locations: UsdtLocation[] }>();
  for (const note of notesOf(file.bytesOf(section), "stapsdt", NOTE_TYPE)) {
    if (note.length < WORDS + 3) continue;
    const view = viewOf(note);
    const moved = base === undefined ? 0 : base - wordAt(view, 8);
    const address = wordAt(view, 0) + moved;
    const fileOffset = file.fileOffsetOf(address);
    const [provider, name, operands] = threeTexts(note);
    if (fileOffset === undefined || name === "") continue;
    const linked = wordAt(view, 16);
    const semaphore = linked === 0 ? 0 : linked + moved;
    const semaphoreOffset = semaphore === 0 ? 0 : (file.fileOffsetOf(semaphore) ?? 0);
    const key = `${provider}:${name}`;
    let probe = probes.get(key);
    if (probe === undefined) {
      probe = { provider, name, semaphore, semaphoreOffset, locations: [] };
      probes.set(key, probe);
    }
    probe.locations.push({ address, fileOffset, arch, arguments: parseArguments(operands, arch) });
  }
  return [...probes.values()];
}

function threeTexts(note: Uint8Array): readonly [string, string, string] {
  const provider = textAt(note, WORDS);
  const name = textAt(note, WORDS + provider.length + 1);
  return [provider, name, textAt(note, WORDS + provider.length + name.length + 2)];
}

/** The instruction pointer in `struct pt_regs`. */
const INSTRUCTION_POINTERS: Readonly<Record<UsdtArch, Register>> = {
  x64: { name: "rip", at: 128, shift: 0, bits: 64, isSigned: false },
  arm64: { name: "pc", at: 256, shift: 0, bits: 64, isSigned: false },
};

/**
 * The arguments at a place, with global variables found: their distance from the probe's own instruction is the same
 * wherever the file is loaded.
 */
export function argumentsAt(module: ModuleSymbols, location: UsdtLocation): readonly UsdtArgument[] {
  return location.arguments.map((argument) => {
    const { place } = argument;
    if (place.kind !== "memory" || place.base !== undefined) return argument;
    const address = place.symbol === undefined ? undefined : module.variable(place.symbol);
    if (address === undefined) return { ...argument, place: { kind: "unreadable" } };
    const base = INSTRUCTION_POINTERS[location.arch];
    const displacement = place.displacement + BigInt(address - location.address);
    return { ...argument, place: { ...place, base, displacement } };
  });
}
