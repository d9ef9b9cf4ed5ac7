import { BPF } from "../../framework/index.ts";
import { Workshop } from "../support/native.ts";
import { type Context, subjectCommand } from "./context.ts";
import { LOOPS } from "./programs.ts";
import { inTurns } from "./turns.ts";

/** How many kernel functions are attached to at once. */
const MANY = 500;

/** Longest wait for attaching to them and detaching: each of BCC's takes a tenth of a second in an emulated guest. */
const MANY_MS = 600_000;

/** What attaching costs, and what it costs whoever is probed. */
export async function attach(context: Context): Promise<void> {
  await manyFunctions(context);
  await callCost(context);
}

/**
 * Kernel functions by one regular expression, which names each to its end, so that both sides attach to the same ones.
 */
async function manyFunctions(context: Context): Promise<void> {
  const row = { group: "attach", unit: "ns/call" } as const;
  if (BPF.supports("kprobe").state !== "yes") {
    const absent = "this kernel has no kprobes";
    const name = `${MANY} kernel functions by pattern`;
    context.report({ ...row, name, ours: { absent }, peers: {}, checked: "nothing" });
    return;
  }
  const names = [...BPF.get_kprobe_functions("tcp_\\w+|skb_\\w+|vfs_\\w+")].sort().slice(0, MANY);
  const pattern = `(?:${names.join("|")})$`;
  for (const request of ["attach", "detach"]) {
    const result = await inTurns(context, {
      request,
      count: names.length,
      // Each takes seconds, most of them the kernel's.
      warmUp: 1,
      ours: {
        command: { ...subjectCommand(context, "many", pattern), lineMs: MANY_MS },
        announces: false,
        total: 0,
      },
      bcc: (bcc) => ({
        command: { ...bcc.command("many", pattern), lineMs: MANY_MS },
        announces: true,
        total: 0,
      }),
    });
    context.report({
      ...row,
      name: `${request === "attach" ? "" : "detaching "}${names.length} kernel functions by pattern`,
      ...result,
      checked: `${names.length} probes open`,
    });
  }
}

/** A call of a function that has a probe which counts, and one of the same function without. */
async function callCost(context: Context): Promise<void> {
  using workshop = new Workshop();
  // One for each side: a probe is there for everybody who runs the file. (BCC 0.26 cannot attach for one process on
  // new kernels.)
  const make = (name: string): string => workshop.make(name, { source: "calls.c", link: ["-pie"] });
  const [program, other] = [make("ours"), make("bcc")];
  for (const way of ["probed", "plain"]) {
    const total = way === "probed" ? LOOPS : 0;
    const result = await inTurns(context, {
      request: "run",
      count: LOOPS,
      ours: { command: subjectCommand(context, "uprobe", program, way), announces: false, total },
      // A bare call takes less than a message to the program, so that there is nothing to compare.
      bcc:
        way === "probed"
          ? (bcc) => ({ command: bcc.command("uprobe", other, way), announces: true, total })
          : undefined,
    });
    const what = way === "probed" ? "a call of a function with a uprobe" : "the same call without";
    context.report({
      group: "attach",
      name: what,
      unit: "ns/call",
      ...result,
      checked: `${total} calls counted`,
    });
  }
}
