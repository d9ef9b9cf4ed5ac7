import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Context, subjectCommand } from "./context.ts";
import {
  forCaller,
  MAGIC,
  PEER_MAGIC,
  PERF,
  PERF_FIRES,
  RECORDS_PER_FIRE,
  RING,
  RING_FIRES,
} from "./programs.ts";
import type { Row } from "./report.ts";
import { inTurns } from "./turns.ts";

interface Way {
  readonly name: string;
  /** Our script and its way of reading. */
  readonly ours: "events" | "batches" | "views" | "decoded" | "counted" | "counts";
  /** The peer's way of doing the same. */
  readonly bcc?: "decoded" | "counted";
}

const WAYS: readonly Way[] = [
  { name: "events() to a subscriber, decoded", ours: "events", bcc: "decoded" },
  { name: "eventBatches(), decoded", ours: "batches" },
  { name: "eventViews(), one field read", ours: "views" },
  { name: "callback that decodes", ours: "decoded", bcc: "decoded" },
  { name: "callback that counts", ours: "counted", bcc: "counted" },
  { name: "eventCounts() to a subscriber", ours: "counts", bcc: "counted" },
];

type Targets = Readonly<Partial<Record<Way["ours"], Pick<Row, "target" | "faster">>>>;

/** Nanoseconds for one event. */
const RING_TARGETS: Targets = {
  events: { target: 130, faster: 5 },
  batches: { target: 90 },
  views: { target: 40 },
  counts: { target: 40 },
};

const PERF_TARGETS: Targets = { events: { faster: 4 } };

/** Reading a filled ring buffer. */
export function ring(context: Context): Promise<void> {
  return streams(context, {
    group: "ring",
    text: RING,
    fires: RING_FIRES,
    recordBytes: 32,
    targets: RING_TARGETS,
  });
}

/** Reading filled perf buffers. Their records are as long as perf makes them: with their length a multiple of 8. */
export function perf(context: Context): Promise<void> {
  return streams(context, {
    group: "perf",
    text: PERF,
    fires: PERF_FIRES,
    recordBytes: 36,
    targets: PERF_TARGETS,
  });
}

interface Stream {
  readonly group: "ring" | "perf";
  readonly text: string;
  /** Calls that fill the buffer. */
  readonly fires: number;
  /** A record's length, as the reader is given it. */
  readonly recordBytes: number;
  readonly targets: Targets;
}

async function streams(context: Context, stream: Stream): Promise<void> {
  const { group, text, fires, recordBytes, targets } = stream;
  const path = join(context.folder, `${group}.c`);
  const peerPath = join(context.folder, `${group}-peer.c`);
  writeFileSync(path, forCaller(text, MAGIC));
  writeFileSync(peerPath, forCaller(text, PEER_MAGIC));
  const count = fires * RECORDS_PER_FIRE;
  const sum = (fires * RECORDS_PER_FIRE * (RECORDS_PER_FIRE - 1)) / 2;
  for (const { name, ours, bcc } of WAYS) {
    const command = subjectCommand(context, "stream", group, ours, path);
    const total = ours === "counted" || ours === "counts" ? 0 : sum;
    const result = await inTurns(context, {
      request: String(fires),
      count,
      ours: { command, announces: false, total },
      bcc:
        bcc &&
        ((peer) => ({
          command: peer.command("stream", group, bcc, peerPath),
          announces: true,
          total: bcc === "decoded" ? sum : 0,
        })),
    });
    context.report({
      group,
      name,
      unit: "ns/event",
      ...result,
      ...targets[ours],
      checked: `${count} records of ${recordBytes} bytes each time, none lost, their sum right`,
    });
  }
}
