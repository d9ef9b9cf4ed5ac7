import type { StreamFactory } from "../tables/stream-factory.ts";
import { eventBatches, eventCounts, eventStream, eventViews, lossStream } from "./events.ts";
import { changes, pressure, snapshots } from "./snapshots.ts";

/** The streams that tables are given. */
export const streamFactory: StreamFactory = {
  events: eventStream,
  batches: eventBatches,
  views: eventViews,
  counts: eventCounts,
  losses: lossStream,
  snapshots,
  pressure,
  changes,
};
