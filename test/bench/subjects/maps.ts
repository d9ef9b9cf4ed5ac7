// maps.js FILE ENTRIES: for each line of input (the way), works on every entry of a hash once.
import { readFileSync } from "node:fs";
import { BPF, KeyedTable } from "rxbpf";
import { answerLines } from "./support.ts";

const [path, size] = process.argv.slice(2);
const entries = Number(size);
const b = new BPF({ text: readFileSync(path!, "utf8") });
const found = b.get_table<bigint, bigint>("table");
if (!(found instanceof KeyedTable)) throw new TypeError("table has no keys");
const table: KeyedTable<bigint, bigint> = found;

interface Work {
  readonly count: number;
  readonly total: number;
}

function walk(items: Iterable<readonly [bigint, bigint]>): Work {
  let count = 0;
  let total = 0n;
  for (const [, value] of items) {
    count++;
    total += value;
  }
  return { count, total: Number(total) };
}

const ways: Readonly<Record<string, () => Work>> = {
  update: () => {
    for (let i = 0; i < entries; i++) table.set(BigInt(i), BigInt(i * 2));
    return { count: entries, total: 0 };
  },
  lookup: () => {
    let total = 0n;
    for (let i = 0; i < entries; i++) total += table.get(BigInt(i)) ?? 0n;
    return { count: entries, total: Number(total) };
  },
  iterate: () => walk(table.iteritems()),
  batch: () => walk(table.items_lookup_batch()),
};

await answerLines((line) => {
  const way = ways[line]!;
  const begin = performance.now();
  const work = way();
  return { seconds: (performance.now() - begin) / 1000, ...work };
});
b.close();
