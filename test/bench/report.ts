/** What a row measures in. Less is better in each. */
export type Unit = "ms" | "MB" | "ns/event" | "ns/entry" | "ns/call" | "ns/insn" | "x BCC's";

/** One side's figures, or why there are none. */
export type Figures =
  | { readonly median: number; readonly min: number; readonly samples: number }
  | { readonly absent: string };

/** One comparison. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly unit: Unit;
  readonly ours: Figures;
  /** By the peer's name. */
  readonly peers: Readonly<Record<string, Figures>>;
  /** The most that the row may take; "peer" means: no more than BCC in the same run. Rows without one only inform. */
  readonly target?: number | "peer";
  /** How many times faster than BCC in the same run it must be. */
  readonly faster?: number;
  /** What was counted to know that the work was done. */
  readonly checked: string;
}

/** "noisy": the best measurement met the target, the middle one did not. */
export type Verdict = "met" | "noisy" | "missed" | "-";

export function figures(samples: readonly number[]): Figures {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, samples: sorted.length };
}

export function verdict({ ours, target, faster, peers }: Row): Verdict {
  if ("absent" in ours) return "-";
  const peer = peers["bcc"];
  const limits: { readonly median: number; readonly min: number }[] = [];
  if (typeof target === "number") limits.push({ median: target, min: target });
  const times = target === "peer" ? 1 : faster;
  if (times !== undefined && peer !== undefined && !("absent" in peer)) {
    limits.push({ median: peer.median / times, min: peer.min / times });
  }
  if (limits.length === 0) return "-";
  if (limits.every(({ median }) => ours.median <= median)) return "met";
  return limits.every(({ min }) => ours.min <= min) ? "noisy" : "missed";
}

/** Our smallest figure over the peer's smallest: the figure that other people's load disturbs least. */
export function ratio({ ours, peers }: Row, peer = "bcc"): number | undefined {
  const theirs = peers[peer];
  if (theirs === undefined || "absent" in theirs || "absent" in ours) return undefined;
  return ours.min / theirs.min;
}

/** One line of JSON. */
export function jsonLine(row: Row): string {
  const round = (value: number | undefined) => (value === undefined ? null : Number(value.toPrecision(4)));
  return JSON.stringify(
    { ...row, ratio: round(ratio(row)), verdict: verdict(row) },
    (_key, value: unknown) => (typeof value === "number" ? round(value) : value),
  );
}

const COLUMNS = [
  ["row", 42],
  ["ours: median (min)", 22],
  ["target", 10],
  ["BCC: median (min)", 22],
  ["ours/BCC", 9],
  ["verdict", 8],
] as const;

export function heading(): string {
  return COLUMNS.map(([title, width]) => title.padEnd(width))
    .join(" ")
    .trimEnd();
}

/** A line of the table, and lines below it for what does not fit: reasons and other peers. */
export function textLines(row: Row): readonly string[] {
  const { group, name, unit, ours, peers, checked } = row;
  const bcc = peers["bcc"];
  const cells = [
    `${group}: ${name}`,
    shown(ours, unit),
    targetText(row),
    bcc === undefined ? "" : shown(bcc, unit),
    ratio(row)?.toFixed(2) ?? "",
    verdict(row),
  ];
  const lines = [
    cells
      .map((cell, index) => cell.padEnd(COLUMNS[index]![1]))
      .join(" ")
      .trimEnd(),
  ];
  for (const [peer, theirs] of Object.entries(peers)) {
    if ("absent" in theirs) lines.push(`    ${peer}: ${theirs.absent}`);
    else if (peer !== "bcc")
      lines.push(`    ${peer}: ${shown(theirs, unit)}, ours/${peer} ${ratio(row, peer)?.toFixed(2)}`);
  }
  lines.push(`    checked: ${checked}`);
  return lines;
}

function targetText({ target, faster, unit }: Row): string {
  const parts = [
    ...(target === undefined
      ? []
      : [target === "peer" ? "<= BCC" : `${number(target)} ${unit.split("/")[0]}`]),
    ...(faster === undefined ? [] : [`${faster}x`]),
  ];
  return parts.join(", ");
}

function shown(side: Figures, unit: Unit): string {
  return "absent" in side ? "" : `${number(side.median)} (${number(side.min)}) ${unit}`;
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
