import type { StreamFactory } from "../tables/stream-factory.ts";
import { eventBatches, eventStream, lossStream } from "./events.ts";
import { changes, snapshots } from "./snapshots.ts";

/** The streams that tables are given. */
export const streamFactory: StreamFactory = {
  events: eventStream,
  batches: eventBatches,
  losses: lossStream,
  snapshots,
  changes,
};
