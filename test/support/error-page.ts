import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What to do about each code that a program can test. The page cannot be made while one is missing. */
const remedies: Readonly<Record<string, string>> = {
  USAGE: "Read the hint: it lists the names there are, or the nearest. The call is wrong, not the machine.",
  REWRITE:
    "Go through the diagnostics: each has its place in your source, and most a hint. Codes are listed below.",
  COMPILE:
    "Go through the diagnostics, at your lines. When the reason is unclear, run `command` by hand, or look at the C that clang was given: `rxbpf check FILE.c --emit c`.",
  NO_COMPILER: "Install without `--omit=optional`, install clang 12 or newer, or set `RXBPF_CLANG` to one.",
  OBJECT:
    "For a source of yours, the message names what a definition lacks. Without one it is a defect of rxbpf or of the compiler: please report it with the source.",
  LAYOUT:
    "Give a value that the C type can hold: a `bigint` for 64 bits, all members of the kinds that the message names.",
  VERIFIER:
    "Look at the line that the message shows and at the end of `log`. The hint explains the commonest reasons: a pointer not checked for NULL, a load through a kernel pointer, a loop without bound.",
  MAP_CREATE:
    "Change what the message names: size, key or value. Memory for maps may also be limited, on kernels before 5.11 by `ulimit -l`.",
  MAP_PIN:
    "Pin below `/sys/fs/bpf` or in another BPF file system, under a name that is free and without dots; open only what was pinned.",
  MAP_OPEN: "Give the id or the descriptor of a map that exists: `bpftool map` lists ids.",
  MAP_MISMATCH:
    "Declare the table as the existing one is (the message names both), or use another path or name; remove a pin that nobody needs. Of a declaration that `rxbpf types` wrote: write it again.",
  MAP_FULL: "Declare the table with more entries, delete what is no longer needed, or use an LRU table.",
  BATCH_SIZE: "Read more entries at a time: a bucket of the hash holds more. Tables do so by themselves.",
  KEY_EXISTS: "The key is there already: `set` replaces its value.",
  KEY_MISSING: "The key is not there, or no longer: a program may have deleted it.",
  MAP_OPERATION:
    "This kind of table does not allow that, or the kernel refused the value: the message says which.",
  ATTACH:
    "Check the name: near ones are in the hint. Some functions cannot be probed, an offset must be where an instruction begins, and a device may have another program.",
  UNSUPPORTED: "The message says what is needed, the hint what works here instead.",
  PERMISSION: "Run as root, or with the capability that the message names.",
  FAULT:
    "The message names the instruction, the address and your line. The kernel's verifier would have refused the program there: check pointers for NULL, and lengths against the end, before using them.",
  CLOSED:
    "Something was used after `close()`, or after the block of its `using` ended. Keep the BPF object as long as what you took from it.",
  SYSCALL: "Never thrown alone: it is the `cause` of another error, and says which system call failed how.",
};

interface ErrorClass {
  readonly name: string;
  readonly base: string;
  readonly meaning: string;
  /** Codes, of which it has several only when each throw says its own. */
  readonly codes: readonly string[];
  readonly fields: readonly { readonly name: string; readonly meaning: string }[];
}

/** The page docs/errors.md, from the classes in framework/core/errors.ts and the findings in the sources. */
export function errorPage(): string {
  const classes = errorClasses();
  const missing = classes.flatMap(({ codes }) => codes).filter((code) => !Object.hasOwn(remedies, code));
  if (missing.length > 0)
    throw new Error(`no remedy for ${missing.join(", ")}: add it to test/support/error-page.ts`);
  return [
    HEAD,
    ...classes.map(sectionOf),
    "## Codes of diagnostics\n",
    "What the rewriter finds in a source, in `diagnostics` of a `RewriteError`; `…` stands for what differs.\n",
    "| code | message |",
    "| --- | --- |",
    ...findings().map(({ code, messages }) => `| \`${code}\` | ${messages.map(escaped).join("<br>")} |`),
    "",
  ].join("\n");
}

const HEAD = `# Errors

<!-- Made from framework/core/errors.ts by the tests: UPDATE_DOCS=1 npx vitest run test/unit/docs -->

Everything that this library throws on purpose is a \`BpfError\`: \`code\` is for programs to test, \`message\` says what was
being done, to what, and why it failed, \`hint\` says what to do, and \`describe()\` gives both texts. \`cause\` has what lies
beneath. The \`rxbpf\` command prints an error that a script does not catch and exits with 1.

Absence is no error: \`table.get(key)\` gives undefined, \`table.delete(key)\` gives false.
`;

function sectionOf({ name, base, meaning, codes, fields }: ErrorClass): string {
  const lines = [`## ${name}\n`, `${meaning}${base === "BpfError" ? "" : ` It is a \`${base}\`.`}\n`];
  if (codes.length === 1) lines.push(`Code \`${codes[0]}\`. ${remedies[codes[0]!]}\n`);
  else
    lines.push(
      "| code | what to do |",
      "| --- | --- |",
      ...codes.map((code) => `| \`${code}\` | ${remedies[code]} |`),
      "",
    );
  if (fields.length > 0) lines.push(...fields.map((field) => `- \`${field.name}\`: ${field.meaning}`), "");
  return lines.join("\n");
}

function errorClasses(): readonly ErrorClass[] {
  const source = parse("framework/core/errors.ts");
  const aliases = new Map<string, readonly string[]>();
  const classes: ErrorClass[] = [];
  for (const statement of source.statements) {
    if (ts.isTypeAliasDeclaration(statement)) aliases.set(statement.name.text, literalsIn(statement.type));
    if (!ts.isClassDeclaration(statement) || statement.name === undefined) continue;
    const base = statement.heritageClauses?.[0]?.types[0]?.getText() ?? "";
    if (base === "Error") continue;
    const members = statement.members.filter(ts.isPropertyDeclaration);
    const code = members.find((member) => member.name.getText() === "code")!;
    classes.push({
      name: statement.name.text,
      base,
      meaning: commentOf(statement),
      codes:
        code.initializer === undefined ? aliases.get(code.type!.getText())! : literalsIn(code.initializer),
      fields: members
        .filter((member) => member !== code)
        .map((member) => ({
          name: member.name.getText(),
          meaning: commentOf(member) || `\`${member.type!.getText()}\``,
        })),
    });
  }
  return classes;
}

/** The words of a documentation comment, in one line. */
function commentOf(node: ts.Node): string {
  const [comment] = ts.getJSDocCommentsAndTags(node);
  return (ts.getTextOfJSDocComment(comment?.comment as string | undefined) ?? "").replace(/\s+/g, " ");
}

function literalsIn(node: ts.Node): readonly string[] {
  if (ts.isStringLiteral(node)) return [node.text];
  const found: string[] = [];
  ts.forEachChild(node, (child) => {
    found.push(...literalsIn(child));
  });
  return found;
}

interface Finding {
  readonly code: string;
  readonly messages: readonly string[];
}

const CODE = /^[A-Z]+(?:_[A-Z]+)+$/;

/** Every diagnostic that the rewriter can make: objects with a code and a message, and calls with both as arguments. */
function findings(): readonly Finding[] {
  const messages = new Map<string, Set<string>>();
  const add = (code: ts.Node | undefined, message: ts.Node | undefined): void => {
    if (code === undefined || message === undefined || !ts.isStringLiteral(code) || !CODE.test(code.text))
      return;
    const text = textOf(message);
    if (text !== undefined) messages.set(code.text, (messages.get(code.text) ?? new Set()).add(text));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isObjectLiteralExpression(node)) add(initializerOf(node, "code"), initializerOf(node, "message"));
    if (ts.isCallExpression(node))
      for (const [at, argument] of node.arguments.entries()) add(argument, node.arguments[at + 1]);
    ts.forEachChild(node, visit);
  };
  const files = readdirSync(join(root, "rewriter"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join("rewriter", name));
  for (const file of [...files, "framework/bcc/pipeline.ts", "framework/bcc/object-maps.ts"])
    visit(parse(file));
  return [...messages]
    .map(([code, texts]) => ({ code, messages: [...texts].sort() }))
    .sort((a, b) => (a.code < b.code ? -1 : 1));
}

function initializerOf(node: ts.ObjectLiteralExpression, name: string): ts.Expression | undefined {
  const found = node.properties.find((property) => property.name?.getText() === name);
  return found !== undefined && ts.isPropertyAssignment(found) ? found.initializer : undefined;
}

/** A message as written, with … for each value in it. */
function textOf(node: ts.Node): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join("");
}

function escaped(text: string): string {
  return text.replace(/[|<]/g, "\\$&");
}

function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true);
}
