// machine.js: for each line of input (what to measure), runs programs of the runtime that RXBPF_RUNTIME names. Time is
// that of the processor: nothing here waits, and what else the computer does is no matter of these rows.
import { BPF, type BpfFunction, KeyedTable } from "rxbpf";
import { ALU_LOOPS, ALU_STEPS, LOOKUP_RUNS, LOOKUPS, PACKET_RUNS, PARSER, PORT } from "../programs.ts";
import { answerLines, type Measured } from "./support.ts";

const b = new BPF({ text: PARSER, autoAttach: false, machine: { budget: 2 ** 31 } });
const packet = new Uint8Array(64);
packet.set([0x08, 0x00, 0x45], 12);
packet[23] = 6;
new DataView(packet.buffer).setUint16(36, PORT);

/** Runs a function some times on the packet and adds what it returns. */
function fire(func: BpfFunction, times: number): { readonly seconds: number; readonly total: number } {
  let total = 0n;
  const begin = process.cpuUsage();
  for (let i = 0; i < times; i++) total += b.fire(func, { packet });
  const { user, system } = process.cpuUsage(begin);
  return { seconds: (user + system) / 1e6, total: Number(total) };
}

function counts(): KeyedTable<number, bigint> {
  const table = b.get_table<number, bigint>("counts");
  if (!(table instanceof KeyedTable)) throw new TypeError("counts has no keys");
  return table;
}

const ways: Readonly<Record<string, () => Measured>> = {
  parser: () => ({ ...fire(b.load_func("parse", BPF.XDP), PACKET_RUNS), count: PACKET_RUNS }),
  arithmetic: () => ({ ...fire(b.load_func("arithmetic", BPF.XDP), 1), count: ALU_LOOPS * ALU_STEPS }),
  lookup: () => {
    const table = counts();
    for (let i = 0; i < 1024; i++) table.set(i, 1n);
    return { ...fire(b.load_func("lookups", BPF.XDP), LOOKUP_RUNS), count: LOOKUP_RUNS * LOOKUPS };
  },
};

await answerLines((line) => ways[line]!());
b.close();
