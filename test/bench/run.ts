// What rxbpf costs, beside BCC in the same run. As root:
//
// npm run bench                      every group
// npm run bench -- start ring        some of: start, streams, ring, perf, flood, maps, attach, machine, corpus
// npm run bench -- --json            one JSON object per row
// npm run bench -- --rounds 20       measurements per row and side (10)
// npm run bench -- --update          stores the ratios in baseline.json, which later runs are compared with
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BpfError, UsageError } from "../../framework/core/errors.ts";
import { Scope } from "../../framework/core/scope.ts";
import { attach } from "./attach.ts";
import { Baseline } from "./baseline.ts";
import { Bcc } from "./bcc.ts";
import { buildLibrary, Subjects } from "./build.ts";
import type { Context } from "./context.ts";
import { corpus } from "./corpus.ts";
import { flood } from "./flood.ts";
import { machine } from "./machine.ts";
import { maps } from "./maps.ts";
import { heading, jsonLine, type Row, textLines } from "./report.ts";
import { killSessions } from "./session.ts";
import { start } from "./start.ts";
import { perf, ring } from "./streams.ts";

const groups: Readonly<Record<string, (context: Context) => Promise<void>>> = {
  start,
  ring,
  perf,
  flood,
  maps,
  attach,
  machine,
  corpus,
};

/** Names for several groups. */
const several: Readonly<Record<string, readonly string[]>> = { streams: ["ring", "perf", "flood"] };

process.exitCode = await main(process.argv.slice(2));

/**
 * 0 when everything was measured, whether or not targets were met; 1 when work was not done, or a row is slower beside
 * BCC than the baseline allows; 2 for wrong usage.
 */
async function main(args: readonly string[]): Promise<number> {
  try {
    const slower = await bench(args);
    for (const finding of slower) console.error(`slower: ${finding}`);
    return slower.length === 0 ? 0 : 1;
  } catch (error) {
    console.error(error instanceof BpfError ? `bench: ${error.describe()}` : error);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** Measures and prints; gives what the baseline objects to. */
async function bench(args: readonly string[]): Promise<readonly string[]> {
  const { json, update, rounds, chosen } = options(args);
  const baseline = new Baseline();
  const slower: string[] = [];
  const scope = new Scope("the bench");
  // Also when something throws outside of any promise, as a closed pipe behind the output does.
  const clean = (): void => scope[Symbol.dispose]();
  const interrupted = (): never => process.exit(130);
  process.once("exit", clean).once("SIGINT", interrupted).once("SIGTERM", interrupted);
  try {
    const folder = mkdtempSync(join(tmpdir(), "rxbpf-bench-"));
    scope.defer(() => rmSync(folder, { recursive: true, force: true }));
    scope.defer(killSessions);
    buildLibrary((text) => console.error(text));
    const subjects = scope.own(new Subjects());
    const bcc = Bcc.find(folder);
    console.error(typeof bcc === "string" ? `no BCC: ${bcc}` : `beside BCC ${bcc.version}`);
    if (!json) console.log(heading());
    const report = (row: Row): void => {
      const finding = baseline.check(row);
      if (finding !== undefined && !update) slower.push(finding);
      for (const line of json ? [jsonLine(row)] : textLines(row)) console.log(line);
    };
    for (const name of chosen) await groups[name]!({ folder, subjects, bcc, rounds, report });
    if (update) baseline.update();
    return slower;
  } finally {
    process.off("exit", clean).off("SIGINT", interrupted).off("SIGTERM", interrupted);
    clean();
  }
}

function options(args: readonly string[]) {
  const names = Object.keys(groups);
  const { values, positionals } = parsed(args);
  const asked = positionals.flatMap((name) => several[name] ?? [name]);
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`no group "${unknown}"`, {
      hint: `groups are ${[...names, ...Object.keys(several)].join(", ")}`,
    });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new UsageError(`--rounds takes a whole number, not ${values.rounds}`);
  return {
    json: values.json,
    update: values.update,
    rounds,
    chosen: asked.length === 0 ? names : [...new Set(asked)],
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        update: { type: "boolean", default: false },
        rounds: { type: "string", default: "10" },
      },
    });
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
