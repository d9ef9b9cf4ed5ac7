import { PermissionError } from "../core/errors.ts";
import { kernelSymbol, kernelSymbols } from "../sys/proc.ts";
import { lastAtOrBelow } from "./address-index.ts";
import type { ResolvedSymbol } from "./process.ts";

/** What is subtracted from kernel addresses so that they are exact numbers: all lie in the upper half. */
const BASE = 0xfff0_0000_0000_0000n;
/** Symbols of data, as nm has them. */
const DATA = /[bBdDrR]/;

/** Code of the kernel and its modules by address, as /proc/kallsyms has it now. */
class KernelIndex {
  readonly #addresses: Float64Array;
  readonly #names: readonly string[];
  readonly #modules: readonly (string | undefined)[];

  constructor() {
    const found: { at: number; name: string; module: string | undefined }[] = [];
    let isHidden = true;
    for (const { address, type, name, module } of kernelSymbols()) {
      if (address !== "0000000000000000") isHidden = false;
      if (DATA.test(type)) continue;
      // The digits behind the first three fit a number exactly.
      if (address.startsWith("fff")) found.push({ at: Number.parseInt(address.slice(3), 16), name, module });
    }
    if (isHidden) throw hiddenAddresses("naming kernel addresses");
    found.sort((a, b) => a.at - b.at);
    this.#addresses = Float64Array.from(found, ({ at }) => at);
    this.#names = found.map(({ name }) => name);
    this.#modules = found.map(({ module }) => module);
  }

  find(address: bigint): ResolvedSymbol | undefined {
    if (address < BASE) return undefined;
    const at = Number(address - BASE);
    const index = lastAtOrBelow(this.#addresses, at);
    if (index < 0) return undefined;
    // Of several names at one address the first is the one that the kernel itself prints.
    let first = index;
    while (first > 0 && this.#addresses[first - 1] === this.#addresses[index]) first--;
    return {
      name: this.#names[first]!,
      offset: at - this.#addresses[first]!,
      module: this.#modules[first] ?? "kernel",
    };
  }
}

let index: KernelIndex | undefined;

/**
 * The function that a kernel address lies in; undefined for addresses outside of the kernel. kallsyms is read once.
 *
 * @throws PermissionError when this user may not see kernel addresses
 */
export function kernelNameAt(address: bigint): ResolvedSymbol | undefined {
  index ??= new KernelIndex();
  return index.find(address);
}

/**
 * The address of a kernel symbol, or undefined when there is none.
 *
 * @throws PermissionError when this user may not see kernel addresses
 */
export function kernelAddressOf(name: string): bigint | undefined {
  const address = kernelSymbol(name);
  if (address === 0n && kernelSymbol("_text") === 0n) throw hiddenAddresses(`looking up "${name}"`);
  return address;
}

function hiddenAddresses(doing: string): PermissionError {
  return new PermissionError(
    `${doing} needs kernel addresses, and /proc/kallsyms shows them to this user as zero`,
    { hint: "run as root with CAP_SYSLOG, or set the sysctl kernel.kptr_restrict to 0" },
  );
}
