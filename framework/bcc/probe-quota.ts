import { AttachError } from "../core/errors.ts";
import type { Link } from "../runtime/types.ts";

/** BCC's own limit. */
const DEFAULT_LIMIT = 1000;

/** Probes of this process, of all its BPF objects. Some may be closed meanwhile. */
const probes = new Set<Link>();

/** How many probes this process may have open at a time: BCC_PROBE_LIMIT in the environment, else 1000. */
export function probeLimit(): number {
  const given = Number(process.env["BCC_PROBE_LIMIT"]);
  return Number.isInteger(given) && given > 0 ? given : DEFAULT_LIMIT;
}

/**
 * Makes sure that so many more probes are within the limit: each costs the kernel a descriptor and time, and a regular
 * expression can ask for tens of thousands by mistake.
 *
 * @throws AttachError when they are not
 */
export function assertProbesAllowed(count: number): void {
  const limit = probeLimit();
  if (probes.size + count <= limit) return;
  for (const link of probes) if (link.closed) probes.delete(link);
  if (probes.size + count <= limit) return;
  throw new AttachError(
    `cannot attach ${count} more ${count === 1 ? "probe" : "probes"}: ${probes.size} of at most ${limit} are open`,
    { hint: "set BCC_PROBE_LIMIT in the environment to allow more" },
  );
}

/** Counts a probe until it is closed. */
export function countProbe<L extends Link>(link: L): L {
  probes.add(link);
  return link;
}
