import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BCC_PYTHON, withHeaders } from "../support/bcc-headers.ts";
import { COUNT_CALLS, LOOP, LOOPS, PEER_MAGIC, PERF_PAGES, START_FIRES } from "./programs.ts";
import type { Command } from "./session.ts";

/** Common to all scripts: the program's text, and calls that fire its tracepoint. */
const COMMON = `
import ctypes, json, os, sys, time

def fire(times):
    for _ in range(times):
        try:
            os.getpriority(os.PRIO_PROCESS, ${PEER_MAGIC})
        except ProcessLookupError:
            pass

def answer(value):
    print(json.dumps(value), flush=True)

def text(path):
    with open(path) as file:
        return file.read()
`;

const START = `
from bcc import BPF
begin = time.perf_counter()
b = BPF(text=text(sys.argv[1]))
seconds = time.perf_counter() - begin
print("attached", flush=True)
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
fire(${START_FIRES})
answer({"seconds": seconds, "peakKb": peak, "count": b["counts"][ctypes.c_uint(${PEER_MAGIC})].value})
`;

const STREAM = `
from bcc import BPF
kind, way, path = sys.argv[1:4]
b = BPF(text=text(path))
table = b["output"]
count = 0
total = 0

def ring_decoded(ctx, data, size):
    global count, total
    event = table.event(data)
    count += 1
    total += event.seq
    return 0

def ring_counted(ctx, data, size):
    global count
    count += 1
    return 0

def perf_decoded(cpu, data, size):
    global count, total
    event = table.event(data)
    count += 1
    total += event.seq

def perf_counted(cpu, data, size):
    global count
    count += 1

handler = globals()[kind + "_" + way]
if kind == "ring":
    table.open_ring_buffer(handler)
    consume = b.ring_buffer_consume
else:
    table.open_perf_buffer(handler, page_cnt=${PERF_PAGES})
    consume = b.perf_buffer_consume
for line in sys.stdin:
    count = total = 0
    fire(int(line))
    begin = time.perf_counter()
    consume()
    answer({"seconds": time.perf_counter() - begin, "count": count, "total": total})
`;

const MAPS = `
from bcc import BPF
path, entries = sys.argv[1], int(sys.argv[2])
b = BPF(text=text(path))
table = b["table"]

def update():
    key, leaf = table.Key, table.Leaf
    for i in range(entries):
        table[key(i)] = leaf(i * 2)
    return entries, 0

def lookup():
    total = 0
    key = table.Key
    for i in range(entries):
        total += table[key(i)].value
    return entries, total

def iterate():
    count = total = 0
    for key, leaf in table.items():
        count += 1
        total += leaf.value
    return count, total

def batch():
    # Here BCC gives plain numbers.
    count = total = 0
    for key, value in table.items_lookup_batch():
        count += 1
        total += value
    return count, total

ways = {"update": update, "lookup": lookup, "iterate": iterate, "batch": batch}
for line in sys.stdin:
    way = ways[line.strip()]
    begin = time.perf_counter()
    count, total = way()
    answer({"seconds": time.perf_counter() - begin, "count": count, "total": total})
`;

const MANY = `
from bcc import BPF
pattern = sys.argv[1]
for line in sys.stdin:
    b = BPF(text=${JSON.stringify(COUNT_CALLS)})
    begin = time.perf_counter()
    b.attach_kprobe(event_re=pattern, fn_name="count")
    attached = time.perf_counter()
    count = b.num_open_kprobes()
    b.cleanup()
    end = time.perf_counter()
    answer({"seconds": end - attached if line.strip() == "detach" else attached - begin, "count": count, "total": 0})
`;

const UPROBE = `
import subprocess
from bcc import BPF
program, way = sys.argv[1:3]
child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
b = BPF(text=${JSON.stringify(COUNT_CALLS)})
if way == "probed":
    b.attach_uprobe(name=program, sym="twice", fn_name="count")
calls = b["calls"]
for line in sys.stdin:
    calls.clear()
    begin = time.perf_counter()
    child.stdin.write(b"${LOOP}")
    child.stdout.read(1)
    seconds = time.perf_counter() - begin
    counted = calls[ctypes.c_int(0)].value
    answer({"seconds": seconds, "count": counted if way == "probed" else ${LOOPS}, "total": counted})
child.stdin.close()
`;

const SCRIPTS = { start: START, stream: STREAM, maps: MAPS, many: MANY, uprobe: UPROBE } as const;

/** BCC, as this machine's Python has it. */
export class Bcc {
  readonly #folder: string;
  /** For instance "0.26.0". */
  readonly version: string;

  private constructor(folder: string, version: string) {
    this.#folder = folder;
    this.version = version;
    for (const [name, body] of Object.entries(SCRIPTS))
      writeFileSync(join(folder, `${name}.py`), COMMON + body);
  }

  /** BCC ready to run from a folder for its scripts, or the reason why it cannot. */
  static find(folder: string): Bcc | string {
    if (!existsSync(BCC_PYTHON)) return `no ${BCC_PYTHON}`;
    const asked = spawnSync(BCC_PYTHON, ["-c", "import bcc; print(bcc.__version__)"], { encoding: "utf8" });
    if (asked.status !== 0) return `${BCC_PYTHON} cannot import bcc`;
    if (withHeaders([]) === undefined)
      return "no kernel headers for it: neither the running kernel's nor any linux-headers-*-amd64";
    const bcc = new Bcc(folder, asked.stdout.trim());
    const trial = join(folder, "trial.c");
    writeFileSync(trial, "BPF_HASH(counts, u32, u64);\n");
    const [program, ...args] = bcc.command("start", trial).argv;
    const run = spawnSync(program, args, { encoding: "utf8" });
    return run.stdout.includes("attached")
      ? bcc
      : `it cannot compile here: ${run.stderr.trim().split("\n").at(-1)}`;
  }

  /** Runs one of its scripts; "exec" comes on a line of its own just before Python starts. */
  command(name: keyof typeof SCRIPTS, ...args: readonly string[]): Command {
    const script = [BCC_PYTHON, join(this.#folder, `${name}.py`), ...args];
    // Found when this object was made.
    return { argv: withHeaders(script, "echo exec; ")! };
  }
}
