import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Context, subjectCommand } from "./context.ts";
import { hashOf } from "./programs.ts";
import type { Row } from "./report.ts";
import { inTurns } from "./turns.ts";

interface Way extends Pick<Row, "target" | "faster"> {
  readonly name: string;
  readonly request: "update" | "lookup" | "iterate" | "batch" | "snapshot";
  readonly unit: Row["unit"];
  readonly sizes: readonly number[];
}

const WAYS: readonly Way[] = [
  { name: "update, one at a time", request: "update", unit: "ns/call", sizes: [10_000], target: "peer" },
  { name: "lookup, one at a time", request: "lookup", unit: "ns/call", sizes: [10_000], target: "peer" },
  { name: "iterate", request: "iterate", unit: "ns/entry", sizes: [10_000, 100_000], faster: 2 },
  { name: "batch", request: "batch", unit: "ns/entry", sizes: [10_000, 100_000], target: 150 },
  { name: "snapshots()", request: "snapshot", unit: "ns/entry", sizes: [100_000] },
];

/** A full hash of 32-bit keys and 64-bit values, from the host's side. */
export async function maps(context: Context): Promise<void> {
  for (const { name, request, unit, sizes, ...targets } of WAYS) {
    for (const entries of sizes) {
      const path = join(context.folder, `hash-${entries}.c`);
      writeFileSync(path, hashOf(entries));
      const result = await inTurns(context, {
        fill: "update",
        request,
        count: entries,
        ours: {
          command: subjectCommand(context, "maps", path, String(entries)),
          announces: false,
          total: sumOf(request, entries),
        },
        bcc:
          request === "snapshot"
            ? undefined
            : (bcc) => ({
                command: bcc.command("maps", path, String(entries)),
                announces: true,
                total: sumOf(request, entries),
              }),
      });
      context.report({
        group: "maps",
        name: `${name}, ${entries} entries`,
        unit,
        ...result,
        ...targets,
        checked:
          request === "update"
            ? `${entries} updates`
            : `${entries} entries each time, the sum of their values right`,
      });
    }
  }
}

/** The value under key i is 2 i. */
function sumOf(request: string, entries: number): number {
  return request === "update" ? 0 : entries * (entries - 1);
}
