// stream.js ring|perf WAY FILE: for each line of input (how often to fire), fills the buffer and reads it empty.
import { readFileSync } from "node:fs";
import { BPF, EventTable } from "rxbpf";
import { PERF_PAGES, RECORDS_PER_FIRE } from "../programs.ts";
import { answerLines, fire, type Measured } from "./support.ts";

interface Data {
  readonly pid: number;
  readonly seq: number;
  readonly ts: bigint;
  readonly comm: string;
}

const [kind, way, path] = process.argv.slice(2);
const b = new BPF({ text: readFileSync(path!, "utf8") });
const output = b.get_table<never, Data>("output");
if (!(output instanceof EventTable)) throw new TypeError("output is not a table of events");
const pages = kind === "perf" ? { pages: PERF_PAGES } : {};

/** To an RxJS subscriber, from the last record written to the last event received. */
function streamed(fires: number): Promise<Measured> {
  return new Promise((resolve, reject) => {
    let count = 0;
    let total = 0;
    let begin = 0;
    const subscription = output.events<Data>(pages).subscribe({
      next: ({ seq }) => {
        total += seq;
        if (++count < fires * RECORDS_PER_FIRE) return;
        const seconds = (performance.now() - begin) / 1000;
        subscription.unsubscribe();
        resolve({ seconds, count, total });
      },
      error: reject,
    });
    fire(fires);
    begin = performance.now();
  });
}

/** The same in arrays, one for each time the buffer was read. */
function batched(fires: number): Promise<Measured> {
  return new Promise((resolve, reject) => {
    let count = 0;
    let total = 0;
    let begin = 0;
    const subscription = output.eventBatches<Data>(pages).subscribe({
      next: (events) => {
        for (const { seq } of events) total += seq;
        count += events.length;
        if (count < fires * RECORDS_PER_FIRE) return;
        const seconds = (performance.now() - begin) / 1000;
        subscription.unsubscribe();
        resolve({ seconds, count, total });
      },
      error: reject,
    });
    fire(fires);
    begin = performance.now();
  });
}

/** Views, of which one field is read. */
function viewed(fires: number): Promise<Measured> {
  return new Promise((resolve, reject) => {
    let count = 0;
    let total = 0;
    let begin = 0;
    const subscription = output.eventViews<Data>(pages).subscribe({
      next: (view) => {
        total += view.seq;
        if (++count < fires * RECORDS_PER_FIRE) return;
        const seconds = (performance.now() - begin) / 1000;
        subscription.unsubscribe();
        resolve({ seconds, count, total });
      },
      error: reject,
    });
    fire(fires);
    begin = performance.now();
  });
}

/** Only how many there were. */
function counted(fires: number): Promise<Measured> {
  return new Promise((resolve, reject) => {
    let count = 0;
    let begin = 0;
    const subscription = output.eventCounts(pages).subscribe({
      next: (more) => {
        count += more;
        if (count < fires * RECORDS_PER_FIRE) return;
        const seconds = (performance.now() - begin) / 1000;
        subscription.unsubscribe();
        resolve({ seconds, count, total: 0 });
      },
      error: reject,
    });
    fire(fires);
    begin = performance.now();
  });
}

/** BCC's way: callbacks from a poll method. */
function pulled(onData: (data: Uint8Array) => void): (fires: number) => void {
  if (kind === "ring") output.open_ring_buffer((_ctx, data) => onData(data));
  else output.open_perf_buffer((_cpu, data) => onData(data), { page_cnt: PERF_PAGES });
  return () => (kind === "ring" ? b.ring_buffer_consume() : b.perf_buffer_consume());
}

let count = 0;
let total = 0;

function consuming(consume: (fires: number) => void): (fires: number) => Measured {
  return (fires) => {
    count = 0;
    total = 0;
    fire(fires);
    const begin = performance.now();
    consume(fires);
    return { seconds: (performance.now() - begin) / 1000, count, total };
  };
}

function wayOf(name: string | undefined): (fires: number) => Measured | Promise<Measured> {
  if (name === "events") return streamed;
  if (name === "batches") return batched;
  if (name === "views") return viewed;
  if (name === "counts") return counted;
  if (name === "counted") {
    return consuming(
      pulled(() => {
        count++;
      }),
    );
  }
  return consuming(
    pulled((data) => {
      total += (output.event(data) as Data).seq;
      count++;
    }),
  );
}

const measure = wayOf(way);
await answerLines((line) => measure(Number(line)));
b.close();
