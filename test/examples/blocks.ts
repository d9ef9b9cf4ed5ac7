import { readFileSync } from "node:fs";
import ts from "typescript";
import { root } from "./script-run.ts";

/** A fenced block of a page. */
export interface Block {
  /** The heading above it. */
  readonly heading: string;
  /** The word behind the fence: "ts", "text", "sh". */
  readonly language: string;
  readonly text: string;
  /** The page's line of its first line. */
  readonly line: number;
}

/** The blocks of a page, in order. */
export function blocksOf(page: string): readonly Block[] {
  const blocks: Block[] = [];
  let heading = "";
  let open: { language: string; line: number; lines: string[] } | undefined;
  readFileSync(`${root}${page}`, "utf8")
    .split("\n")
    .forEach((text, index) => {
      const fence = /^```(\w*)$/.exec(text);
      if (fence === null) {
        if (open !== undefined) open.lines.push(text);
        else if (text.startsWith("#")) heading = text.replace(/^#+ /, "");
      } else if (open === undefined) {
        open = { language: fence[1]!, line: index + 2, lines: [] };
      } else {
        blocks.push({
          heading,
          language: open.language,
          text: `${open.lines.join("\n")}\n`,
          line: open.line,
        });
        open = undefined;
      }
    });
  return blocks;
}

/** A script of a page, with the output that the page shows under it. */
export interface ShownScript {
  readonly block: Block;
  readonly output: Block;
}

/** The scripts of a page. Fails for one without output under it. */
export function scriptsOf(page: string): readonly ShownScript[] {
  const blocks = blocksOf(page);
  return blocks.flatMap((block, index) => {
    if (block.language !== "ts") return [];
    const output = blocks[index + 1];
    if (output?.language !== "text")
      throw new Error(`${page}:${block.line}: no output stands under the script`);
    return [{ block, output }];
  });
}

/**
 * A line of output with its measured values left open: numbers, quoted texts, the name before a process id, bars of
 * stars. White space may be wider or narrower.
 */
export function shapeOf(line: string): RegExp {
  const pattern = line
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("\\s+")
    .replace(/'[^']*'/g, "'[^']*'")
    .replace(/^[\w/]+-\d+/, ".+-\\d+")
    .replace(/(?<![\w\\"])-?\d+(?:\\\.\d+)?/g, "-?\\d+(?:\\.\\d+)?")
    .replace(/\\\|(?:\\\*)*(?:\\s\+)?\\\|$/, "\\|[* ]*\\|");
  return new RegExp(`^\\s*${pattern}\\s*$`);
}

/** What TypeScript says about scripts of a page, as "page:line: message". They are compiled as files of the checkout. */
export function typeErrors(page: string, scripts: readonly Block[]): readonly string[] {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const texts = new Map(scripts.map((script, index) => [`${root}${page}.${index}.ts`, script]));
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (name) => texts.has(name) || fileExists(name);
  host.getSourceFile = (name, ...rest) => {
    const script = texts.get(name);
    if (script === undefined) return getSourceFile(name, ...rest);
    const source = ts.createSourceFile(name, script.text, rest[0]);
    source.impliedNodeFormat = ts.ModuleKind.ESNext;
    return source;
  };
  const program = ts.createProgram([...texts.keys()], options, host);
  return [...texts].flatMap(([name, script]) => {
    const source = program.getSourceFile(name);
    if (source === undefined) throw new Error(`${name} was not compiled`);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      (finding) => {
        const { line } = source.getLineAndCharacterOfPosition(finding.start ?? 0);
        return `${page}:${script.line + line}: ${ts.flattenDiagnosticMessageText(finding.messageText, " ")}`;
      },
    );
  });
}
