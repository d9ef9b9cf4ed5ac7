import type { SharedMap } from "../runtime/types.ts";

/** Tables that a BPF object of this process lets others use, by name: BCC's PUBLIC and SHARED tables. */
type Offer = ReadonlyMap<string, SharedMap>;

/** In the order they were made. The same name may be offered twice: the latest counts. */
const offers = new Set<Offer>();

/**
 * Lets other BPF objects of this process import maps, until the result is disposed. Those who imported one before keep
 * it: every importer has a descriptor of its own.
 */
export function offerTables(maps: Offer): Disposable {
  offers.add(maps);
  return {
    [Symbol.dispose]() {
      offers.delete(maps);
    },
  };
}

/** The object that offers a table, latest first; undefined when none does. */
export function findOffer(name: string): Offer | undefined {
  return [...offers].reverse().find((offer) => offer.has(name));
}

/** Every name that can be imported now. */
export function offeredNames(): readonly string[] {
  return [...new Set([...offers].flatMap((offer) => [...offer.keys()]))].filter(
    (name) => !name.startsWith("."),
  );
}
