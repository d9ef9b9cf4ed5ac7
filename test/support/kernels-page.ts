import type { Records } from "../guest/record.ts";
import { type AttachKind, attachKinds } from "./attach-kinds.ts";

const INTRODUCTION = `# What was attached on which kernel

Each way to attach has a test that causes the event and sees exactly it. This page says on which kernels that test ran and
passed; a number leads to the reason why it could not run on another. \`npm run test:guest -- --record\` boots the kernels, runs these
tests and writes the page; with \`--kernel here\` it does so for the machine's own kernel.
`;

/** The text of docs/kernels.md. */
export function kernelsPage(records: Records): string {
  const kernels = Object.keys(records);
  const reasons: string[] = [];
  const cell = (kind: AttachKind, kernel: string): string => {
    const outcome = records[kernel]?.[kind.name] ?? "not tried yet";
    if (outcome === "passed") return "yes";
    if (!reasons.includes(outcome)) reasons.push(outcome);
    return `[${reasons.indexOf(outcome) + 1}](#reasons)`;
  };
  const groups = [...new Set(attachKinds.map(({ group }) => group))].map((group) => {
    const rows = attachKinds
      .filter((kind) => kind.group === group)
      .map(
        (kind) =>
          `| ${[kind.name, ...kernels.map((kernel) => cell(kind, kernel)), `\`${kind.file}\``].join(" | ")} |`,
      );
    const head = `| ${["what", ...kernels.map((kernel) => `Linux ${kernel}`), "test"].join(" | ")} |`;
    const line = `|${" --- |".repeat(kernels.length + 2)}`;
    return `## ${group}\n\n${[head, line, ...rows].join("\n")}\n`;
  });
  const list = reasons.map((reason, index) => `${index + 1}. ${reason}`);
  return [INTRODUCTION, ...groups, `## Reasons\n\n${list.join("\n")}\n`].join("\n");
}
