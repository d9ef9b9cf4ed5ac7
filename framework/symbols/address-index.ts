import { type RawSymbol, STT_FUNC, type SymbolTable } from "./elf-symbols.ts";

/** STT_ numbers of other symbols that name code. */
const INDIRECT = 10;
const NO_TYPE = 0;

/** Which of two symbols at one address gives the name: rather a function than a label, rather global than local. */
function rankOf({ type, binding }: RawSymbol): number {
  return (type === NO_TYPE ? 0 : 2) + (binding === 0 ? 0 : 1);
}

/**
 * The code of a file by address. Holds 16 bytes per function; a name is read from the file when it is first wanted.
 */
export class AddressIndex {
  readonly #table: SymbolTable;
  readonly #addresses: Float64Array;
  readonly #sizes: Uint32Array;
  readonly #names: Uint32Array;
  readonly #known = new Map<number, string>();

  constructor(table: SymbolTable) {
    this.#table = table;
    const executable = new Set(
      table.file.sections.filter(({ isExecutable }) => isExecutable).map(({ index }) => index),
    );
    const collected = collect(table, executable);
    const order = sortedOrder(collected.addresses, collected.ranks);
    this.#addresses = Float64Array.from(order, (i) => collected.addresses[i]!);
    this.#sizes = Uint32Array.from(order, (i) => collected.sizes[i]!);
    this.#names = Uint32Array.from(order, (i) => collected.names[i]!);
  }

  /** The function that an address lies in, and how far into it. */
  find(address: number): { readonly name: string; readonly offset: number } | undefined {
    const at = lastAtOrBelow(this.#addresses, address);
    if (at < 0) return undefined;
    const offset = address - this.#addresses[at]!;
    const size = this.#sizes[at]!;
    // Functions written in assembly often have no size: they end where the next begins.
    if (size !== 0 && offset >= size) return undefined;
    let name = this.#known.get(at);
    if (name === undefined) {
      name = this.#table.nameAt(this.#names[at]!).split("@")[0]!;
      this.#known.set(at, name);
    }
    return { name, offset };
  }
}

/** The place of the last item that is not above a value in a sorted array; -1 when all are. */
export function lastAtOrBelow(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function collect(table: SymbolTable, executable: ReadonlySet<number>) {
  const { count } = table;
  const addresses = new Float64Array(count);
  const sizes = new Uint32Array(count);
  const names = new Uint32Array(count);
  const ranks = new Uint8Array(count);
  let used = 0;
  table.scan((symbol) => {
    const { type, section } = symbol;
    if (type !== STT_FUNC && type !== INDIRECT && type !== NO_TYPE) return;
    if (!executable.has(section)) return;
    addresses[used] = symbol.address;
    sizes[used] = Math.min(symbol.size, 0xffffffff);
    names[used] = symbol.nameAt;
    ranks[used] = rankOf(symbol);
    used++;
  });
  return { addresses: addresses.subarray(0, used), sizes, names, ranks };
}

/**
 * Places in order of address, each address once, with the best of its symbols.
 *
 * Address and place go into one number where both fit: sorting plain numbers takes a fifth of the time that sorting
 * with a comparison does.
 */
function sortedOrder(addresses: Float64Array, ranks: Uint8Array): readonly number[] {
  const count = addresses.length;
  const least = addresses.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = addresses.reduce((a, b) => Math.max(a, b), 0);
  const fits = (most - least + 1) * count < 2 ** 53;
  const places = fits
    ? Array.from(addresses.map((address, i) => (address - least) * count + i).sort(), (key) => key % count)
    : Array.from({ length: count }, (_, i) => i).sort((a, b) => addresses[a]! - addresses[b]!);
  const order: number[] = [];
  for (const place of places) {
    const last = order.at(-1);
    if (last === undefined || addresses[last] !== addresses[place]) order.push(place);
    else if (ranks[place]! > ranks[last]!) order[order.length - 1] = place;
  }
  return order;
}
