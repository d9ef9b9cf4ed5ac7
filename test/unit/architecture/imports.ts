import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The checkout. */
export const root = fileURLToPath(new URL("../../../", import.meta.url));

/** One file's mention of another module. */
export interface Import {
  /** Path from the checkout. */
  readonly from: string;
  /** A path from the checkout, or a package's name as written. */
  readonly to: string;
  readonly isPackage: boolean;
  /** Gone after compiling: it orders nothing and loads nothing. */
  readonly isType: boolean;
}

/** Source files below folders, as paths from the checkout. */
export function filesBelow(...folders: readonly string[]): readonly string[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
        join(folder, name),
      ),
    )
    .filter((path) => /\.[jt]s$/.test(path))
    .sort();
}

/** Everything that files import in any way: by statement, by call, or through a `require` made on the spot. */
export function importsOf(files: readonly string[]): readonly Import[] {
  return files.flatMap((from) => {
    const source = ts.createSourceFile(
      from,
      readFileSync(join(root, from), "utf8"),
      ts.ScriptTarget.Latest,
      true,
    );
    const found: Import[] = [];
    const add = (specifier: string, isType: boolean): void => {
      const isPackage = !specifier.startsWith(".");
      if (specifier.startsWith("node:")) return;
      found.push({
        from,
        to: isPackage ? specifier : normalize(join(dirname(from), specifier)),
        isPackage,
        isType,
      });
    };
    const visit = (node: ts.Node): void => {
      if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
        add(node.moduleSpecifier.text, isTypeImport(node));
      } else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
        if (ts.isStringLiteral(node.moduleSpecifier)) add(node.moduleSpecifier.text, isTypeExport(node));
      } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
        if (ts.isStringLiteral(node.argument.literal)) add(node.argument.literal.text, true);
      } else if (ts.isCallExpression(node) && isLoading(node.expression)) {
        const [first] = node.arguments;
        if (first !== undefined && ts.isStringLiteral(first)) add(first.text, false);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}

function isTypeImport({ importClause }: ts.ImportDeclaration): boolean {
  if (importClause === undefined) return false;
  if (importClause.isTypeOnly) return true;
  const { name, namedBindings } = importClause;
  if (name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.every((element) => element.isTypeOnly);
}

function isTypeExport({ isTypeOnly, exportClause }: ts.ExportDeclaration): boolean {
  if (isTypeOnly) return true;
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) return false;
  return exportClause.elements.every((element) => element.isTypeOnly);
}

/** `import(…)`, `require(…)`, `require.resolve(…)`, `createRequire(…)(…)`. */
function isLoading(callee: ts.Expression): boolean {
  if (callee.kind === ts.SyntaxKind.ImportKeyword) return true;
  const text = callee.getText();
  return /^require(?:\.resolve)?$/.test(text) || /^createRequire\(.*\)$/.test(text);
}
