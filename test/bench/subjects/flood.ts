// flood.js FILE: for each line of input (how often to fire), has a process of its own flood the ring buffer.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { BPF, EventTable } from "rxbpf";
import { MAGIC, RECORDS_PER_FIRE } from "../programs.ts";

/** What one flood came to. */
export interface Flooded {
  readonly received: number;
  readonly lost: number;
  readonly seconds: number;
  /** Between two calls of a timer that is due every 10 ms. */
  readonly longestGapMs: number;
  /** Resident memory at most, in megabytes. */
  readonly peakMb: number;
}

const TIMER_MS = 10;
const b = new BPF({ text: readFileSync(process.argv[2]!, "utf8") });
const output = b.get_table("output");
if (!(output instanceof EventTable)) throw new TypeError("output is not a table of events");
output.lost.subscribe();

/** A process that fires the tracepoint so many times. */
function produce(fires: number): void {
  const loop = `const { getPriority } = require("node:os");
    for (let i = 0; i < ${fires}; i++) try { getPriority(${MAGIC}); } catch {}`;
  spawn(process.execPath, ["-e", loop], { stdio: "ignore" });
}

function flood(fires: number): Promise<Flooded> {
  const lostBefore = output.lostTotal;
  return new Promise((resolve, reject) => {
    let received = 0;
    let begin = 0;
    let longestGapMs = 0;
    let peakMb = 0;
    let last = 0;
    const timer = setInterval(() => {
      const now = performance.now();
      if (begin > 0 && last > 0) longestGapMs = Math.max(longestGapMs, now - last);
      last = now;
      peakMb = Math.max(peakMb, process.memoryUsage.rss() / 1e6);
      const lost = output.lostTotal - lostBefore;
      if (received + lost < fires * RECORDS_PER_FIRE) return;
      clearInterval(timer);
      subscription.unsubscribe();
      resolve({ received, lost, seconds: (now - begin) / 1000, longestGapMs, peakMb });
    }, TIMER_MS);
    const subscription = output.events().subscribe({
      next: () => {
        if (received++ === 0) begin = performance.now();
      },
      error: reject,
    });
    produce(fires);
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await flood(Number(line)))}\n`);
}
b.close();
