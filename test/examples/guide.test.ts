import { execFileSync } from "node:child_process";
import { afterAll, expect, test } from "vitest";
import type { FeatureName } from "../../framework/runtime/types.ts";
import { Workshop } from "../support/native.ts";
import { needsKernel } from "../support/skip.ts";
import { blocksOf, scriptsOf, typeErrors } from "./blocks.ts";
import { Cable, needsNamespaces } from "./namespaces.ts";
import { OwnProcesses } from "./own-events.ts";
import { runAsShown, type Scene } from "./page-script.ts";
import { rxbpf } from "./script-run.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());
const probed = workshop.make("server", { source: "probes.c" });

const page = "docs/guide.md";
const scripts = scriptsOf(page);

/** What happens while a section's scripts run. */
interface Section {
  cause(): unknown;
  readonly needs?: readonly FeatureName[];
  /** Arguments of the script. */
  readonly args?: readonly string[];
  /** Whether it needs a device: its script runs in a network namespace with the end of a cable, and gets its name. */
  readonly onCable?: true;
}

const startProcess = { cause: () => new OwnProcesses().exec() };
const openFile = { cause: () => new OwnProcesses().open() };
const nothing = { cause: () => {} };

/** Sections with scripts, by heading. */
const sections: Readonly<Record<string, Section>> = {
  Hello: startProcess,
  "Fields and streams of lines": startProcess,
  Maps: startProcess,
  "A perf buffer": startProcess,
  "A ring buffer as a stream": {
    cause: () => {
      openFile.cause();
      startProcess.cause();
    },
    needs: ["ringbuf"],
  },
  "Many events": { ...openFile, needs: ["ringbuf"] },
  Tracepoints: { cause: () => new OwnProcesses().exec("/bin/sh -c '/bin/true; /bin/true'") },
  "Parameters of probed functions": { cause: () => new OwnProcesses().exec("/bin/echo hello") },
  "Reading kernel memory": startProcess,
  "What attaches by itself": nothing,
  Iterators: nothing,
  "Functions of programs and libraries": {
    cause: () => new OwnProcesses().exec("/bin/ls /etc"),
    needs: ["uprobe"],
  },
  "Static probes": {
    args: [probed],
    cause: () => execFileSync(probed, { input: "c" }),
    needs: ["uprobe"],
  },
  Stacks: startProcess,
  "Perf events": startProcess,
  Counters: startProcess,
  "Sending to programs": startProcess,
  "Tail calls": startProcess,
  Histograms: openFile,
  "libbpf's dialect and globals": openFile,
  XDP: { cause: () => {}, needs: ["xdp_link"], onCable: true },
  "tc, cgroups and sockets": { cause: () => {}, onCable: true },
  "Packet fields": { cause: () => {}, onCable: true },
  "Errors and what they mean": nothing,
  "Checking a source": nothing,
  "TypeScript's types": nothing,
  "Without the kernel": nothing,
  "Bytecode by itself": nothing,
  "Maps of others": nothing,
  Closing: startProcess,
};

test("every section with a script has a row in the table, and every row a section", () => {
  expect([...new Set(scripts.map(({ block }) => block.heading))]).toEqual(Object.keys(sections));
});

test("every block is a script or what a script prints, so that all of them are tested", () => {
  expect(new Set(blocksOf(page).map(({ language }) => language))).toEqual(new Set(["ts", "text"]));
});

test("its scripts compile against the public types", () => {
  expect(
    typeErrors(
      page,
      scripts.map(({ block }) => block),
    ),
  ).toEqual([]);
});

test.for(scripts)(
  "$block.heading, line $block.line: prints what stands under it",
  async (script, context) => {
    const { cause, needs = [], args = [], onCable } = sections[script.block.heading]!;
    needsKernel(context, ...needs);
    if (onCable !== true) return await runAsShown(script, { cause, args });
    needsNamespaces(context);
    using cable = await Cable.make();
    const { block, output } = script;
    const shown: typeof script = {
      block,
      output: { ...output, text: output.text.replace("eth0", cable.device) },
    };
    const scene: Scene = {
      command: cable.near.inside(...rxbpf),
      args: [cable.device],
      cause: () => cable.send(),
    };
    await runAsShown(shown, scene);
  },
);
