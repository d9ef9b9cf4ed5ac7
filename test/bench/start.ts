import { deepEqual, equal, match } from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Bcc } from "./bcc.ts";
import { type Context, subjectCommand } from "./context.ts";
import { COUNTER, KERNEL_TYPES, MAGIC, START_FIRES } from "./programs.ts";
import { type Figures, figures, type Row } from "./report.ts";
import { type Command, Session } from "./session.ts";

/** One start, in a process of its own. */
interface Started {
  /** The object's construction: compile, load, attach. */
  readonly inside: number;
  /** From starting the process to attached. */
  readonly whole: number;
  /** Largest resident memory of that process until then. */
  readonly megabytes: number;
}

interface Subject {
  readonly name: string;
  readonly text: string;
  readonly cflags: readonly string[];
  readonly targets: { readonly cold: number; readonly warm: number | undefined };
}

/** Milliseconds. */
const SUBJECTS: readonly Subject[] = [
  { name: "counter", text: COUNTER, cflags: [], targets: { cold: 100, warm: 30 } },
  {
    name: "kernel types",
    text: KERNEL_TYPES,
    cflags: ["-DCHECK_READS"],
    targets: { cold: 200, warm: undefined },
  },
];

/** From nothing to attached. Every start is a new process; no start leaves anything to the next but the cache of a warm one. */
export async function start(context: Context): Promise<void> {
  for (const subject of SUBJECTS) await startOf(context, subject);
}

async function startOf(context: Context, { name, text, cflags, targets }: Subject): Promise<void> {
  const { bcc } = context;
  const path = join(context.folder, `start-${name.replaceAll(" ", "-")}.c`);
  writeFileSync(path, text);
  const ours = subjectCommand(context, "start", path, ...cflags);
  await startOnce(ours);
  const samples = { cold: [] as Started[], warm: [] as Started[], bcc: [] as Started[] };
  const bpftrace = name === "counter" ? await bpftraceWorks() : undefined;
  const bpftraceSeconds: number[] = [];
  for (let round = 0; round < context.rounds; round++) {
    samples.cold.push(await startCold(ours, context.folder));
    if (bcc instanceof Bcc) samples.bcc.push(await startOnce(bcc.command("start", path), true));
    samples.warm.push(await startOnce(ours));
    if (bpftrace === true) bpftraceSeconds.push(await startBpftrace());
  }

  const checked = `${START_FIRES} calls fired and counted after each of ${samples.cold.length} starts`;
  const row = (
    part: string,
    figure: keyof Started,
    rest: Pick<Row, "unit" | "target">,
    cache: "cold" | "warm",
  ): void =>
    context.report({
      group: "start",
      name: `${name}, ${part}, ${cache}`,
      ours: figures(samples[cache].map((started) => started[figure])),
      peers: {
        bcc:
          typeof bcc === "string" ? { absent: bcc } : figures(samples.bcc.map((started) => started[figure])),
        ...(bpftrace === undefined || figure !== "whole"
          ? {}
          : { bpftrace: bpftraceFigures(bpftrace, bpftraceSeconds) }),
      },
      checked,
      ...rest,
    });
  row("new BPF to attached", "inside", { unit: "ms", target: targets.cold }, "cold");
  row("new BPF to attached", "inside", { unit: "ms", ...(targets.warm && { target: targets.warm }) }, "warm");
  row("whole process", "whole", { unit: "ms", target: "peer" }, "cold");
  row("whole process", "whole", { unit: "ms", target: "peer" }, "warm");
  row("resident memory", "megabytes", { unit: "MB", target: "peer" }, "cold");
  row("resident memory", "megabytes", { unit: "MB", target: "peer" }, "warm");
}

async function startCold(command: Command, folder: string): Promise<Started> {
  const empty = mkdtempSync(join(folder, "cold-"));
  try {
    return await startOnce({ ...command, env: { ...command.env, RXBPF_CACHE: empty } });
  } finally {
    rmSync(empty, { recursive: true });
  }
}

interface Answer {
  readonly seconds: number;
  readonly peakKb: number;
  readonly count: number;
}

/** @param announces the process says "exec" when it really begins, which is when its time starts */
async function startOnce(command: Command, announces = false): Promise<Started> {
  let begin = performance.now();
  const session = new Session(command);
  if (announces) {
    equal(await session.line(), "exec");
    begin = performance.now();
  }
  equal(await session.line(), "attached");
  const whole = performance.now() - begin;
  const { seconds, peakKb, count } = JSON.parse(await session.line()) as Answer;
  await session.end();
  equal(
    count,
    START_FIRES,
    `${command.argv.join(" ")}: the program counted ${count} of ${START_FIRES} calls`,
  );
  return { inside: seconds * 1000, whole, megabytes: peakKb / 1024 };
}

const BPFTRACE: Command = {
  argv: [
    "bpftrace",
    "-c",
    "/bin/echo attached",
    "-e",
    `tracepoint:syscalls:sys_enter_getpriority /args->who == ${MAGIC}/ { @ = count(); }`,
  ],
};

/** True, or why there is no figure. */
async function bpftraceWorks(): Promise<true | string> {
  try {
    await startBpftrace();
    return true;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n").at(-1) ?? error.name) : String(error);
  }
}

/** Milliseconds until the command that it starts once everything is attached has printed. */
async function startBpftrace(): Promise<number> {
  const begin = performance.now();
  const session = new Session(BPFTRACE);
  match(await session.line(), /^Attaching 1 probe/);
  deepEqual(await session.line(), "attached");
  const whole = performance.now() - begin;
  await session.end();
  return whole;
}

function bpftraceFigures(works: true | string, samples: readonly number[]): Figures {
  return works === true ? figures(samples) : { absent: works };
}
