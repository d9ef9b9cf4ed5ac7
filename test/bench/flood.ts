import { equal, ok } from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Context, subjectCommand } from "./context.ts";
import { FLOOD_FIRES, forCaller, MAGIC, RECORDS_PER_FIRE, RING } from "./programs.ts";
import { figures, type Row } from "./report.ts";
import { Session } from "./session.ts";
import type { Flooded } from "./subjects/flood.ts";

/** Why there is nothing beside these rows. */
const peers = { bcc: { absent: "it does not count what a ring buffer loses" } };

/** A process that writes five million events as fast as it can, while a subscriber gets them decoded. */
export async function flood(context: Context): Promise<void> {
  const path = join(context.folder, "flood.c");
  writeFileSync(path, forCaller(RING, MAGIC));
  const produced = FLOOD_FIRES * RECORDS_PER_FIRE;
  const session = new Session(subjectCommand(context, "flood", path));
  const floods: Flooded[] = [];
  const rounds = Math.max(2, Math.ceil(context.rounds / 3));
  for (let round = 0; round < rounds; round++) {
    const flooded = await session.ask<Flooded>(String(FLOOD_FIRES));
    equal(flooded.received + flooded.lost, produced, "received and lost are not what was produced");
    ok(flooded.received > 0, "nothing was received");
    floods.push(flooded);
  }
  await session.end();
  const lost = floods.map((one) => `${((one.lost / produced) * 100).toFixed(1)} %`).join(", ");
  const checked = `${floods.length} floods of ${produced} events: received and lost add up exactly; lost ${lost}`;
  const row = (name: string, parts: Pick<Row, "unit" | "ours"> & Partial<Row>): void =>
    context.report({ group: "flood", name, peers, checked, ...parts });
  row("from the first event to the last", {
    unit: "ns/event",
    ours: figures(floods.map(({ seconds }) => (seconds * 1e9) / produced)),
  });
  row("longest gap of a 10 ms timer", {
    unit: "ms",
    ours: figures(floods.map(({ longestGapMs }) => longestGapMs)),
    target: 30,
  });
  // The first flood takes about a second. What it makes the process grow to is what the others are held against.
  row("memory growth after the first flood", {
    unit: "MB",
    ours: figures(floods.slice(1).map(({ peakMb }) => Math.max(0, peakMb - floods[0]!.peakMb))),
    target: 8,
  });
}
