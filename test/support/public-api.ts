import { fileURLToPath } from "node:url";
import ts from "typescript";

/** A member of an exported class or interface that users can reach. */
export interface PublicMember {
  readonly name: string;
  readonly kind: "method" | "property" | "static";
  /** Names of the members of its parameters that are objects written on the spot: options. */
  readonly options: readonly string[];
}

/** A name that scripts can import. */
export interface PublicName {
  readonly name: string;
  readonly kind: "class" | "interface" | "type" | "function" | "constant";
  /** What a class or interface extends, as its source says. */
  readonly base: string | undefined;
  /** Of classes and interfaces, without inherited ones, sorted by name. */
  readonly members: readonly PublicMember[];
}

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Everything the package exports, sorted by name. */
export function publicNames(): readonly PublicName[] {
  const entry = `${root}framework/index.ts`;
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([entry], options);
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!;
  const exports = checker.getExportsOfModule(module).map((exported) => ({
    exported,
    symbol: exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported,
  }));
  const shown = new Set(exports.map(({ symbol }) => symbol));
  return exports
    .map(({ exported, symbol }) => {
      return {
        name: exported.name,
        kind: kindOf(symbol),
        base: baseOf(symbol),
        members: membersOf(checker, symbol, shown),
      };
    })
    .sort(byName);
}

/** The snapshot: one line for each name, and below it one for each of its members. */
export function publicApiText(): string {
  const lines = publicNames().flatMap(({ name, kind, base, members }) => [
    `${kind} ${name}${base === undefined ? "" : ` extends ${base}`}`,
    ...members.map((member) => `  ${member.kind} ${member.name}`),
  ]);
  return `${lines.join("\n")}\n`;
}

function kindOf({ flags, name }: ts.Symbol): PublicName["kind"] {
  if (flags & ts.SymbolFlags.Class) return "class";
  if (flags & ts.SymbolFlags.Interface) return "interface";
  if (flags & ts.SymbolFlags.TypeAlias) return "type";
  if (flags & ts.SymbolFlags.Function) return "function";
  if (flags & ts.SymbolFlags.Variable) return "constant";
  throw new Error(`${name} is of a kind that the snapshot does not know`);
}

function baseOf({ declarations = [] }: ts.Symbol): string | undefined {
  const clauses = declarations.flatMap((declaration) =>
    ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration)
      ? (declaration.heritageClauses ?? [])
      : [],
  );
  return clauses.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)?.types[0]?.getText();
}

/** Its own members, and those of a base class that scripts cannot import. */
function membersOf(
  checker: ts.TypeChecker,
  symbol: ts.Symbol,
  shown: ReadonlySet<ts.Symbol>,
): readonly PublicMember[] {
  if (!(symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface))) return [];
  const hidden = hiddenBases(checker, symbol, shown);
  const owners = new Set([symbol, ...hidden].flatMap(({ declarations = [] }) => declarations));
  const isOwn = (member: ts.Symbol): boolean => isReachable(member) && owners.has(ownerOf(member)!);
  const instance = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol));
  const shared =
    symbol.flags & ts.SymbolFlags.Class ? checker.getPropertiesOfType(checker.getTypeOfSymbol(symbol)) : [];
  return [
    ...instance.filter(isOwn).map((member) => describe(checker, member, false)),
    ...shared.filter(isOwn).map((member) => describe(checker, member, true)),
  ].sort(byName);
}

function hiddenBases(
  checker: ts.TypeChecker,
  symbol: ts.Symbol,
  shown: ReadonlySet<ts.Symbol>,
): readonly ts.Symbol[] {
  if (!(symbol.flags & ts.SymbolFlags.Class)) return [];
  const bases = checker.getBaseTypes(checker.getDeclaredTypeOfSymbol(symbol) as ts.InterfaceType);
  return bases.flatMap(({ symbol: base }) =>
    shown.has(base) || !base.declarations?.[0]?.getSourceFile().fileName.startsWith(`${root}framework`)
      ? []
      : [base, ...hiddenBases(checker, base, shown)],
  );
}

function ownerOf(member: ts.Symbol): ts.Declaration | undefined {
  return member.declarations?.[0]?.parent as ts.Declaration | undefined;
}

/** Neither private nor protected, in whichever way. */
function isReachable(member: ts.Symbol): boolean {
  const declaration = member.declarations?.[0];
  if (declaration === undefined) return false;
  const name = ts.getNameOfDeclaration(declaration);
  if (name !== undefined && ts.isPrivateIdentifier(name)) return false;
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
  return (ts.getCombinedModifierFlags(declaration) & hidden) === 0;
}

function describe(checker: ts.TypeChecker, member: ts.Symbol, isStatic: boolean): PublicMember {
  const type = checker.getTypeOfSymbol(member);
  const signatures = type.getCallSignatures();
  const isMethod = (member.flags & ts.SymbolFlags.Method) !== 0;
  const options = signatures.flatMap(({ parameters }) =>
    parameters.flatMap((parameter) => {
      const given = checker.getNonNullableType(checker.getTypeOfSymbol(parameter));
      const isWrittenHere = given.symbol?.name === "__type";
      return isWrittenHere ? checker.getPropertiesOfType(given).map(({ name }) => name) : [];
    }),
  );
  return {
    // Symbols have names such as "__@iterator@123" whose number changes from one version of TypeScript to the next.
    name: member.name.replace(/^__@(\w+)@\d+$/, "[Symbol.$1]"),
    kind: isStatic ? "static" : isMethod ? "method" : "property",
    options,
  };
}

function byName(left: { readonly name: string }, right: { readonly name: string }): number {
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}
