import type { Btf, BtfType } from "../../framework/object/btf.ts";
import { recordFields } from "../../framework/object/record-fields.ts";

/** Words that cannot name a type in TypeScript, or that every file has already. */
const TAKEN =
  "any as async await bigint boolean break case catch class const continue debugger default delete do else enum export extends false finally for function if implements import in instanceof interface let never new null number object package private protected public return static string super switch symbol this throw true try type typeof undefined unknown using var void while with yield Uint8Array Record Array".split(
    " ",
  );

/**
 * Writes C types as TypeScript: what `codecOf` reads of them. Types with names become declarations, which are kept, each
 * once, in the order in which they were first needed.
 */
export class TypeWriter {
  readonly #btf: Btf;
  readonly #names = new Map<number, string>();
  readonly #taken: Set<string>;
  readonly #declarations: string[] = [];

  /** @param taken names that the file uses otherwise */
  constructor(btf: Btf, taken: readonly string[]) {
    this.#btf = btf;
    this.#taken = new Set([...TAKEN, ...taken]);
  }

  get declarations(): readonly string[] {
    return this.#declarations;
  }

  /** The TypeScript of a type. */
  typeOf(typeId: number): string {
    const id = this.#btf.resolve(typeId);
    const type = this.#btf.type(id);
    switch (type.kind) {
      case "int":
        return type.bool ? "boolean" : numberOf(type.size);
      case "float":
        return "number";
      case "ptr":
        return "bigint";
      case "enum":
      case "enum64":
        return (
          this.#named(typeId, id, (name) => enumText(this.#btf.describe(id), name, type)) ??
          numberOf(type.size)
        );
      case "array":
        return this.#arrayOf(type);
      case "struct":
      case "union":
        return (
          this.#named(
            typeId,
            id,
            (name) => `${this.#about(id, name)}\nexport interface ${name} ${this.#fields(type, "")}`,
          ) ?? this.#fields(type, "")
        );
      default:
        return "unknown";
    }
  }

  #arrayOf({ element: elementId }: Extract<BtfType, { kind: "array" }>): string {
    const element = this.#btf.type(this.#btf.resolve(elementId));
    if (element.kind === "int" && element.size === 1 && !element.bool) {
      if (element.name === "char") return "string";
      if (!element.signed) return "Uint8Array";
    }
    const item = this.typeOf(elementId);
    return item.startsWith("{") ? `(${item})[]` : `${item}[]`;
  }

  /** The name that a type is declared under, made at the first call; undefined for a type that C has no name for. */
  #named(typeId: number, id: number, declare: (name: string) => string): string | undefined {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const inC = this.#nameIn(typeId);
    if (inC === "") return undefined;
    let name = inC;
    for (let i = 2; this.#taken.has(name); i++) name = `${inC}_${i}`;
    this.#taken.add(name);
    this.#names.set(id, name);
    this.#declarations.push(declare(name));
    return name;
  }

  /** A type's tag, else that of the typedef it is used by. */
  #nameIn(typeId: number): string {
    const tag = this.#btf.nameOf(this.#btf.resolve(typeId));
    let id = typeId;
    for (let type = this.#btf.type(id); tag === "" && "type" in type; type = this.#btf.type(id)) {
      if (type.kind === "typedef") return type.name;
      id = type.type;
    }
    return tag;
  }

  #about(id: number, name: string): string {
    const inC = this.#btf.nameOf(id) === "" ? name : this.#btf.describe(id);
    return `/** ${inC}, ${this.#btf.sizeOf(id)} bytes */`;
  }

  #fields({ members }: Extract<BtfType, { kind: "struct" | "union" }>, indent: string): string {
    const inner = `${indent}  `;
    const lines = recordFields(this.#btf, members).map(({ name, declaredType }) => {
      const text = this.typeOf(declaredType).replaceAll("\n", `\n${inner}`);
      return `${inner}${name}: ${text};`;
    });
    return lines.length === 0 ? "{}" : `{\n${lines.join("\n")}\n${indent}}`;
  }
}

function numberOf(size: number): string {
  return size > 4 ? "bigint" : "number";
}

function enumText(
  what: string,
  name: string,
  { size, values }: Extract<BtfType, { kind: "enum" | "enum64" }>,
): string {
  const suffix = size > 4 ? "n" : "";
  const lines = values.map((item) => `  ${item.name}: ${item.value}${suffix},`);
  return [
    `/** ${what}: values are read as numbers, which may be none of these. */`,
    `export type ${name} = ${numberOf(size)};`,
    `export const ${name} = {`,
    ...lines,
    "} as const;",
  ].join("\n");
}
