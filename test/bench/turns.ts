import { equal } from "node:assert/strict";
import type { Bcc } from "./bcc.ts";
import type { Context } from "./context.ts";
import { type Figures, figures } from "./report.ts";
import { type Command, Session } from "./session.ts";
import type { Measured } from "./subjects/support.ts";

/** One side of a comparison. */
export interface Side {
  readonly command: Command;
  /** Whether a line "exec" comes before the first answer. */
  readonly announces: boolean;
  /** What `total` must be. */
  readonly total: number;
}

/** Rounds before those that count, unless told: both sides are then as warm as a program that has run for a while. */
const WARM_UP = 3;

/** What is measured in turns. */
export interface Turns {
  /** Sent once to both sides before measuring. */
  readonly fill?: string;
  readonly request: string;
  /** How many events or entries each measurement handles. */
  readonly count: number;
  /** Rounds before those that count. */
  readonly warmUp?: number;
  readonly ours: Side;
  /** BCC's side; not used where BCC cannot run. */
  readonly bcc: ((bcc: Bcc) => Side) | undefined;
}

/**
 * Runs both sides in processes of their own and measures them in turn, so that other load meets both alike. Each
 * measurement's count and sum must be what the work gives.
 */
export async function inTurns(
  context: Context,
  { fill, request, count, warmUp = WARM_UP, ours, bcc }: Turns,
): Promise<{ readonly ours: Figures; readonly peers: Readonly<Record<string, Figures>> }> {
  const peer = bcc === undefined || typeof context.bcc === "string" ? undefined : bcc(context.bcc);
  const sides = [open("rxbpf", ours), ...(peer === undefined ? [] : [open("BCC", peer)])];
  for (const { side, session } of sides) if (side.announces) equal(await session.line(), "exec");
  if (fill !== undefined) for (const { session } of sides) await session.ask(fill);
  for (let round = -warmUp; round < context.rounds; round++) {
    for (const { name, side, session, samples } of sides) {
      const measured = await session.ask<Measured>(request);
      equal(measured.count, count, `${name} handled ${measured.count} of ${count}`);
      equal(measured.total, side.total, `${name} handled other data than was written`);
      if (round >= 0) samples.push((measured.seconds * 1e9) / count);
    }
  }
  for (const { session } of sides) await session.end();
  const [first, second] = sides;
  const absent = typeof context.bcc === "string" && bcc !== undefined ? { bcc: { absent: context.bcc } } : {};
  return {
    ours: figures(first!.samples),
    peers: second === undefined ? absent : { bcc: figures(second.samples) },
  };
}

function open(name: string, side: Side) {
  return { name, side, session: new Session(side.command), samples: [] as number[] };
}
