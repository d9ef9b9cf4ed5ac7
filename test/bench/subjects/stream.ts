// stream.js ring|perf WAY FILE: for each line of input (how often to fire), fills the buffer and reads it empty.
import { readFileSync } from "node:fs";
import { BPF, EventTable } from "rxbpf";
import type { Observable } from "rxjs";
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

/** What has come so far. */
interface Work {
  count: number;
  total: number;
}

/** Reads a stream from the last record written to the last event received. */
function reading<T>(
  open: () => Observable<T>,
  take: (item: T, work: Work) => void,
): (fires: number) => Promise<Measured> {
  return (fires) =>
    new Promise((resolve, reject) => {
      const work: Work = { count: 0, total: 0 };
      const wanted = fires * RECORDS_PER_FIRE;
      let begin = 0;
      const subscription = open().subscribe({
        next: (item) => {
          take(item, work);
          if (work.count < wanted) return;
          const seconds = (performance.now() - begin) / 1000;
          subscription.unsubscribe();
          resolve({ seconds, ...work });
        },
        error: reject,
      });
      fire(fires);
      begin = performance.now();
    });
}

const one = ({ seq }: Data, work: Work): void => {
  work.total += seq;
  work.count++;
};

/** Ways to read a stream, by name. */
const streams: Readonly<Record<string, (fires: number) => Promise<Measured>>> = {
  events: reading(() => output.events<Data>(pages), one),
  batches: reading(
    () => output.eventBatches<Data>(pages),
    (events, work) => {
      for (const { seq } of events) work.total += seq;
      work.count += events.length;
    },
  ),
  views: reading(() => output.eventViews<Data>(pages), one),
  counts: reading(
    () => output.eventCounts(pages),
    (more, work) => {
      work.count += more;
    },
  ),
};

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

function wayOf(name = ""): (fires: number) => Measured | Promise<Measured> {
  const stream = streams[name];
  if (stream !== undefined) return stream;
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
