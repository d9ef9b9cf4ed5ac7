import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { machine } from "../../bench/machine.ts";
import { LOOKUP_RUNS, LOOKUPS, PACKET_RUNS, PORT } from "../../bench/programs.ts";
import type { Row } from "../../bench/report.ts";
import { killSessions } from "../../bench/session.ts";
import { needsKernel } from "../../support/skip.ts";

const folder = mkdtempSync(join(tmpdir(), "rxbpf-bench-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(killSessions);
beforeEach((context) => needsKernel(context));

const TOTALS = { parser: PACKET_RUNS * PORT, arithmetic: 0, lookup: LOOKUP_RUNS * LOOKUPS };
const NAMES = [
  "rxbpf/machine from import to the first answer",
  "64-bit arithmetic in a loop",
  "a packet of 64 bytes parsed: Ethernet, IPv4, TCP",
  "lookup in a hash, from a program",
];

/** Runs the group with processes in place of the measured ones, whose side of the kernel does something else at `fault`. */
async function rowsWith(fault: string): Promise<{ readonly rows: readonly Row[]; readonly error: unknown }> {
  writeFileSync(
    join(folder, "machine-start.mjs"),
    "console.log(JSON.stringify({ seconds: 0.01, total: 42 }));",
  );
  writeFileSync(
    join(folder, "machine.mjs"),
    `import { createInterface } from "node:readline";
    const totals = ${JSON.stringify(TOTALS)};
    for await (const what of createInterface({ input: process.stdin })) {
      let answer = { seconds: 0.001, count: 1000, total: totals[what] };
      if (process.env.RXBPF_RUNTIME === "kernel" && what === "lookup") { ${fault} }
      console.log(JSON.stringify(answer));
    }`,
  );
  const rows: Row[] = [];
  const subjects = { path: (name: string) => join(folder, `${name}.mjs`) };
  const report = (row: Row): void => void rows.push(row);
  try {
    await machine({ folder, subjects, bcc: "not asked", rounds: 1, report });
    return { rows, error: undefined };
  } catch (error) {
    return { rows, error };
  }
}

describe("the bench of the machine", () => {
  test("shows what the kernel took beside each row that it can run", async () => {
    const { rows, error } = await rowsWith("");
    expect(error).toBeUndefined();
    expect(rows.map(({ name }) => name)).toEqual(NAMES);
    expect(rows.map(({ peers }) => Object.keys(peers))).toEqual([[], [], ["kernel"], ["kernel"]]);
    expect(rows[3]!.peers["kernel"]).toMatchObject({ median: 1000 });
  });

  test("fails with the kernel's words when its side fails, and shows no row for that", async () => {
    const { rows, error } = await rowsWith('console.error("the verifier said no"); process.exit(1);');
    expect(String(error)).toMatch(/machine\.mjs ended \(1\)\nthe verifier said no$/);
    expect(rows.map(({ name }) => name)).toEqual(NAMES.slice(0, 3));
  });

  test("fails when the kernel's side was killed", async () => {
    const { rows, error } = await rowsWith(
      'process.kill(process.pid, "SIGKILL"); await new Promise(() => {});',
    );
    expect(String(error)).toContain("machine.mjs ended (SIGKILL)");
    expect(rows).toHaveLength(3);
  });

  test("fails when the kernel gives another answer", async () => {
    const { rows, error } = await rowsWith("answer.total++;");
    expect(String(error)).toContain("the kernel gave another answer");
    expect(rows).toHaveLength(3);
  });
});
