import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { BpfError } from "../core/errors.ts";
import { viewOf } from "../core/layout.ts";
import { buildIdOf } from "../sys/proc.ts";
import { AddressIndex } from "./address-index.ts";
import { ElfFile, textAt } from "./elf-file.ts";
import { type FileSymbol, type RawSymbol, STT_FUNC, SymbolTable } from "./elf-symbols.ts";

/** Where a function's code is, before relocation. */
export interface CodeRange {
  readonly name: string;
  readonly address: number;
  /** Bytes. */
  readonly size: number;
}

/** The symbols of one program or library, from the best table there is. Tables are read on first use. */
export class ModuleSymbols {
  readonly file: ElfFile;
  readonly #root: string;
  readonly #dynamic: SymbolTable | undefined;
  #best: SymbolTable | null | undefined;
  #index: AddressIndex | undefined;

  /**
   * @param root what paths of debug files begin with: "" or "/proc/PID/root"
   * @throws ObjectError, or Node's own error when the file cannot be opened
   */
  constructor(path: string, root = "") {
    this.file = new ElfFile(path);
    this.#root = root;
    this.#dynamic = SymbolTable.of(this.file, ".dynsym");
  }

  /** In hexadecimal; undefined when the linker wrote none. */
  get buildId(): string | undefined {
    const section = this.file.section(".note.gnu.build-id");
    return section === undefined ? undefined : buildIdOf(this.file.bytesOf(section));
  }

  /** Whether the Go compiler made it: its stacks move, so nothing may replace a return address. */
  get isGo(): boolean {
    return (
      this.file.section(".note.go.buildid") !== undefined || this.file.section(".go.buildinfo") !== undefined
    );
  }

  /** Functions of a name, or of "name@version", in the order to prefer them. */
  find(spelled: string): readonly FileSymbol[] {
    return this.#find(spelled, (kind) => kind !== "object");
  }

  /** The address of a variable before relocation. */
  variable(name: string): number | undefined {
    return this.#find(name, (kind) => kind === "object")[0]?.address;
  }

  #find(spelled: string, fits: (kind: FileSymbol["kind"]) => boolean): readonly FileSymbol[] {
    const [name = "", version] = spelled.split(/@+/);
    // The dynamic table has versions, which the other one lacks where a library hides them.
    for (const table of [this.#dynamic, this.#table()]) {
      const found =
        table?.find(name).filter((symbol) => fits(symbol.kind) && hasVersion(symbol, version)) ?? [];
      if (found.length > 0) return found.toSorted((a, b) => Number(b.isGlobal) - Number(a.isGlobal));
    }
    return [];
  }

  /** All functions by name, one for each address. */
  functions(): readonly FileSymbol[] {
    const byAddress = new Map<number, FileSymbol>();
    for (const table of [this.#table(), this.#dynamic]) {
      for (const symbol of table?.functions() ?? []) {
        const known = byAddress.get(symbol.address);
        if (known === undefined || (!known.isGlobal && symbol.isGlobal))
          byAddress.set(symbol.address, symbol);
      }
    }
    return [...byAddress.values()];
  }

  /** The function that an address (before relocation) lies in. */
  nameAt(address: number): { readonly name: string; readonly offset: number } | undefined {
    const table = this.#table() ?? this.#dynamic;
    if (table === undefined) return undefined;
    this.#index ??= new AddressIndex(table);
    return this.#index.find(address);
  }

  /** The function whose code an address (before relocation) is in; of several the one that begins nearest to it. */
  functionAt(address: number): CodeRange | undefined {
    const table = this.#table() ?? this.#dynamic;
    const around: RawSymbol[] = [];
    table?.scan((symbol) => {
      const offset = address - symbol.address;
      if (symbol.type === STT_FUNC && offset >= 0 && offset < symbol.size) around.push({ ...symbol });
    });
    const [nearest] = around.sort((a, b) => b.address - a.address || b.binding - a.binding);
    if (table === undefined || nearest === undefined) return undefined;
    const [name = ""] = table.nameAt(nearest.nameAt).split("@");
    return { name, address: nearest.address, size: nearest.size };
  }

  /** The full table: the file's own, else that of its debug file. */
  #table(): SymbolTable | undefined {
    if (this.#best === undefined) {
      this.#best = SymbolTable.of(this.file, ".symtab") ?? this.#debugTable() ?? null;
    }
    return this.#best ?? undefined;
  }

  #debugTable(): SymbolTable | undefined {
    const { buildId } = this;
    for (const path of [...this.#byBuildId(buildId), ...this.#byDebugLink()]) {
      if (!existsSync(path)) continue;
      try {
        const file = new ElfFile(path);
        const notes = file.section(".note.gnu.build-id");
        // A debug file of another build has other addresses.
        if (buildId !== undefined && notes !== undefined && buildIdOf(file.bytesOf(notes)) !== buildId)
          continue;
        const table = SymbolTable.of(file, ".symtab");
        if (table !== undefined) return table;
      } catch (error) {
        // One that cannot be read is as good as none.
        if (!(error instanceof BpfError) && !(error instanceof Error && "syscall" in error)) throw error;
      }
    }
    return undefined;
  }

  #byBuildId(buildId: string | undefined): readonly string[] {
    if (buildId === undefined) return [];
    return [debugFileOf(buildId, this.#root)];
  }

  /** `.gnu_debuglink`: a file name, then a checksum. */
  #byDebugLink(): readonly string[] {
    const section = this.file.section(".gnu_debuglink");
    if (section === undefined) return [];
    const name = textAt(this.file.bytesOf(section), 0);
    const folder = dirname(this.file.path);
    const inside = folder.startsWith(this.#root) ? folder.slice(this.#root.length) : folder;
    return [
      join(folder, name),
      join(folder, ".debug", name),
      join(`${this.#root}/usr/lib/debug`, inside, name),
    ].filter((path) => path !== this.file.path);
  }
}

/** Where distributions put the debug file of a build id. */
export function debugFileOf(buildId: string, root = ""): string {
  return `${root}/usr/lib/debug/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`;
}

function hasVersion({ isDefault, version }: FileSymbol, wanted: string | undefined): boolean {
  return wanted === undefined ? isDefault : version === wanted;
}

/** Contents of all ELF notes of one owner and type in a section: each is padded to 4 bytes. */
export function notesOf(bytes: Uint8Array, owner: string, type: number): readonly Uint8Array[] {
  const view = viewOf(bytes);
  const padded = (size: number): number => Math.ceil(size / 4) * 4;
  const found: Uint8Array[] = [];
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameSize = view.getUint32(at, true);
    const size = view.getUint32(at + 4, true);
    const content = at + 12 + padded(nameSize);
    if (view.getUint32(at + 8, true) === type && textAt(bytes.subarray(0, content), at + 12) === owner)
      found.push(bytes.subarray(content, content + size));
    at = content + padded(size);
  }
  return found;
}
