import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UnsupportedError } from "../../framework/core/errors.ts";
import type { Btf } from "../../framework/object/btf.ts";
import type { ProgramKindName } from "../../framework/programs/kinds.ts";
import { BCC_PYTHON } from "../support/bcc-headers.ts";
import { argumentsOf } from "./arguments.ts";
import { type Tools, toolName } from "./tools.ts";

/** One C text that a tool compiles. */
export interface Program {
  /** The tool and its arguments, for instance "opensnoop -x"; the first run that gave this text. */
  readonly name: string;
  readonly text: string;
  /** Where the text's own includes are looked for. */
  readonly folder: string;
  readonly cflags: readonly string[];
  /** Whether the tool passes user probes along, for which BCC generates readers of arguments. */
  readonly usdt: boolean;
  /** What the tool attaches or loads each function as. */
  readonly kinds: Readonly<Record<string, ProgramKindName>>;
}

/** A run that gave no text. */
export interface Barren {
  readonly name: string;
  readonly ended: string;
}

/** What the tools compile on the running kernel. */
export interface Corpus {
  readonly programs: readonly Program[];
  readonly barren: readonly Barren[];
}

/** What no tool attached: tools that attach nothing by themselves are about kernel functions. */
export const OTHERWISE = "kprobe" satisfies ProgramKindName;

interface Case {
  readonly tool: string;
  readonly argv: readonly string[];
  readonly kfunc: boolean;
  readonly fields: Readonly<Record<string, boolean>>;
}

/** How gather.py says that a tool's earlier run was enough. */
const NOT_RUN = "not run";

interface Answer {
  readonly programs: readonly Omit<Program, "name">[];
  readonly ended: string;
}

/** Which of the tools' programs are wanted. */
export interface Wanted {
  /** Only the first text of each tool: its others differ in few lines. */
  readonly onePerTool: boolean;
  /** Only programs whose name has one of these texts; all without any. */
  readonly filters?: readonly string[];
}

/** Runs every tool with each of its argument lists under the stand-in for BCC, and gives the different texts. */
export function gatherPrograms(
  tools: Tools,
  types: Btf | null,
  { onePerTool, filters = [] }: Wanted,
): Corpus {
  if (!existsSync(BCC_PYTHON)) throw new UnsupportedError(`BCC's tools need ${BCC_PYTHON}`);
  const mayHave = (script: string): boolean => {
    const tool = toolName(script);
    return filters.length === 0 || filters.some((filter) => tool.includes(filter) || filter.includes(tool));
  };
  const cases = tools.scripts.filter(mayHave).flatMap((script) => casesOf(script, types));
  const script = fileURLToPath(new URL("gather.py", import.meta.url));
  const run = spawnSync(BCC_PYTHON, [script, tools.library, onePerTool ? "first" : "all"], {
    input: JSON.stringify(cases),
    maxBuffer: 256 * 1024 * 1024,
    encoding: "utf8",
  });
  if (run.status !== 0) throw new UnsupportedError(`gather.py failed: ${run.stderr.trim()}`);
  const answers = run.stdout.trimEnd().split("\n");
  const programs = new Map<string, Program>();
  const barren: Barren[] = [];
  cases.forEach((one, index) => {
    // One line per case, in the shape that gather.py documents.
    const answer = JSON.parse(answers[index] ?? "") as Answer;
    const name = [toolName(one.tool), ...one.argv.map(shown)].join(" ");
    if (answer.programs.length === 0 && !one.kfunc && answer.ended !== NOT_RUN)
      barren.push({ name, ended: answer.ended });
    answer.programs.forEach((program, order) => {
      const key = JSON.stringify([program.text, program.cflags]);
      if (programs.has(key)) return;
      const suffix = `${one.kfunc ? " (BTF)" : ""}${answer.programs.length > 1 ? ` #${order + 1}` : ""}`;
      programs.set(key, { name: `${name}${suffix}`, ...program });
    });
  });
  const all = [...programs.values()];
  const has = ({ name }: { readonly name: string }): boolean =>
    filters.length === 0 || filters.some((filter) => name.includes(filter));
  return { programs: (onePerTool ? firstOfEach(all) : all).filter(has), barren: barren.filter(has) };
}

function shown(word: string): string {
  return /^[\w./,:-]+$/.test(word) ? word : JSON.stringify(word);
}

const QUESTION = /kernel_struct_has_field\(\s*b?['"](\w+)['"],\s*b?['"](\w+)['"]/g;

function casesOf(script: string, types: Btf | null): readonly Case[] {
  const text = readFileSync(script, "utf8");
  const fields = Object.fromEntries(
    [...text.matchAll(QUESTION)].map(([, struct, member]) => [
      `${struct}.${member}`,
      types !== null && hasMember(types, struct!, member!),
    ]),
  );
  const lists = ["", ...(argumentsOf[toolName(script)] ?? [])];
  const support = text.includes("support_kfunc") ? [false, true] : [false];
  return lists.flatMap((list) => {
    const argv = typeof list === "string" ? list.split(" ").filter((word) => word !== "") : list;
    return support.map((kfunc) => ({ tool: script, argv, kfunc, fields }));
  });
}

function hasMember(types: Btf, struct: string, member: string): boolean {
  const type = types.type(types.find(struct, "struct"));
  return type.kind === "struct" && type.members.some(({ name }) => name === member);
}

/** One tool can compile several texts in one run. */
function firstOfEach(programs: readonly Program[]): readonly Program[] {
  const tools = new Map<string, Program>();
  for (const program of programs) {
    const [tool = ""] = program.name.split(" ");
    if (!tools.has(tool)) tools.set(tool, program);
  }
  return [...tools.values()];
}
