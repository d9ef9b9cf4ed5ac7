import { equal } from "node:assert/strict";
import { KernelRuntime } from "../../framework/kernel/kernel-runtime.ts";
import { type Context, subjectCommand } from "./context.ts";
import { ALU_LOOPS, ALU_STEPS, LOOKUP_RUNS, LOOKUPS, PACKET_RUNS, PORT } from "./programs.ts";
import { type Figures, figures, type Row } from "./report.ts";
import { Session } from "./session.ts";
import type { Measured } from "./subjects/support.ts";

/** Measurements before those that count. */
const WARM_UP = 2;

interface Work extends Pick<Row, "name" | "unit" | "checked"> {
  readonly request: string;
  readonly target: number;
  readonly total: number;
  /** Whether the kernel does the same beside it: as a test run. */
  readonly inKernel: boolean;
}

/** Nanoseconds. 25 million instructions a second are 40 for each. */
const WORKS: readonly Work[] = [
  {
    name: "64-bit arithmetic in a loop",
    request: "arithmetic",
    unit: "ns/insn",
    target: 40,
    total: 0,
    inKernel: false,
    checked: `${ALU_LOOPS} rounds of ${ALU_STEPS} instructions, and the answer`,
  },
  {
    name: "a packet of 64 bytes parsed: Ethernet, IPv4, TCP",
    request: "parser",
    unit: "ns/call",
    target: 3000,
    total: PACKET_RUNS * PORT,
    inKernel: true,
    checked: `${PACKET_RUNS} runs, the port found each time`,
  },
  {
    name: "lookup in a hash, from a program",
    request: "lookup",
    unit: "ns/call",
    target: 300,
    total: LOOKUP_RUNS * LOOKUPS,
    inKernel: true,
    checked: `${LOOKUP_RUNS * LOOKUPS} lookups with their loop, the sum of their values right`,
  },
];

/** Programs of the machine beside the same programs in the kernel, in processor time. */
export async function machine(context: Context): Promise<void> {
  await startRow(context);
  for (const work of WORKS) await workRow(context, work);
}

async function startRow(context: Context): Promise<void> {
  const samples: number[] = [];
  for (let round = -1; round < context.rounds; round++) {
    const session = new Session(subjectCommand(context, "machine-start"));
    const { seconds, total } = JSON.parse(await session.line()) as Measured;
    await session.end();
    equal(total, 42, "the program did not answer");
    if (round >= 0) samples.push(seconds * 1000);
  }
  context.report({
    group: "machine",
    name: "rxbpf/machine from import to the first answer",
    unit: "ms",
    ours: figures(samples),
    peers: {},
    target: 30,
    checked: `the answer of one program in each of ${samples.length} new processes`,
  });
}

async function workRow(context: Context, work: Work): Promise<void> {
  const { name, unit, request, target, inKernel, checked } = work;
  const access = KernelRuntime.probe();
  const runtimes = ["machine", ...(inKernel && access.ok ? ["kernel"] : [])];
  const sides = runtimes.map((runtime) => {
    const { argv, env } = subjectCommand(context, "machine");
    const session = new Session({ argv, env: { ...env, RXBPF_RUNTIME: runtime } });
    return { runtime, session, samples: [] as number[] };
  });
  for (let round = -WARM_UP; round < context.rounds; round++) {
    for (const side of sides) {
      const { seconds, count, total } = await side.session.ask<Measured>(request);
      equal(total, work.total, `the ${side.runtime} gave another answer`);
      if (round >= 0) side.samples.push((seconds * 1e9) / count);
    }
  }
  for (const { session } of sides) await session.end();
  const [ours, measured] = sides.map(({ samples }) => figures(samples));
  // Absent is only what is out of reach: a kernel that fails stops the bench with its error.
  const kernel: Figures | undefined = access.ok || !inKernel ? measured : { absent: access.reason };
  context.report({
    group: "machine",
    name,
    unit,
    ours: ours!,
    peers: kernel === undefined ? {} : { kernel },
    target,
    checked,
  });
}
