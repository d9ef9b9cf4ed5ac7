// maps.js FILE ENTRIES: for each line of input (the way), works on every entry of a hash once.
import { readFileSync } from "node:fs";
import { BPF, KeyedTable } from "rxbpf";
import { answerLines } from "./support.ts";

const [path, size] = process.argv.slice(2);
const entries = Number(size);
const b = new BPF({ text: readFileSync(path!, "utf8") });
const found = b.get_table<number, bigint>("table");
if (!(found instanceof KeyedTable)) throw new TypeError("table has no keys");
const table: KeyedTable<number, bigint> = found;

interface Work {
  readonly count: number;
  readonly total: number;
}

function walk(items: Iterable<readonly [number, bigint]>): Work {
  let count = 0;
  let total = 0n;
  for (const [, value] of items) {
    count++;
    total += value;
  }
  return { count, total: Number(total) };
}

/** The first look of `snapshots()`. */
function snapshot(): Promise<Work> {
  return new Promise((resolve, reject) => {
    const subscription = table.snapshots(60_000).subscribe({
      next: (entries) => {
        resolve(walk(entries));
        setImmediate(() => subscription.unsubscribe());
      },
      error: reject,
    });
  });
}

const ways: Readonly<Record<string, () => Work | Promise<Work>>> = {
  update: () => {
    for (let i = 0; i < entries; i++) table.set(i, BigInt(i * 2));
    return { count: entries, total: 0 };
  },
  lookup: () => {
    let total = 0n;
    for (let i = 0; i < entries; i++) total += table.get(i) ?? 0n;
    return { count: entries, total: Number(total) };
  },
  iterate: () => walk(table.iteritems()),
  batch: () => walk(table.items_lookup_batch()),
  snapshot,
};

await answerLines(async (line) => {
  const way = ways[line]!;
  const begin = performance.now();
  const work = await way();
  return { seconds: (performance.now() - begin) / 1000, ...work };
});
b.close();
