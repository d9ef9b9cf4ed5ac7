// start.js FILE [CFLAG...]: from `new BPF` to attached, then proves that the program counts.
import { readFileSync, writeSync } from "node:fs";
import { BPF, KeyedTable } from "rxbpf";
import { MAGIC, START_FIRES } from "../programs.ts";
import { fire } from "./support.ts";

const [path, ...cflags] = process.argv.slice(2);
const text = readFileSync(path!, "utf8");
const begin = performance.now();
const b = new BPF({ text, cflags });
const seconds = (performance.now() - begin) / 1000;
writeSync(1, "attached\n");

const peakKb = Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
fire(START_FIRES);
const counts = b.get_table<number, bigint>("counts");
const count = counts instanceof KeyedTable ? Number(counts.get(MAGIC)) : 0;
b.close();
writeSync(1, `${JSON.stringify({ seconds, peakKb, count })}\n`);
