import type { Btf } from "./btf.ts";

/** Levels of pointers, arrays and typedefs shown; damaged types may have no end. */
const MOST_DEPTH = 64;

/** What a level of parameters counts, as every one of them branches. */
const PARAM_DEPTH = 16;

/** Parameters shown; damaged types could have 65,535, of functions that have as many. */
const MOST_PARAMS = 12;

/** A type as C spells it: "struct data_t *", "char[16]", "int (*)(void *)". */
export function describeType(btf: Btf, id: number): string {
  return declare(btf, id, "", 0);
}

/** A C declaration of `declarator` with this type; without one the bare type. */
function declare(btf: Btf, id: number, declarator: string, depth: number): string {
  if (depth >= MOST_DEPTH) return "…";
  const type = btf.type(id);
  const behind = (word: string) => (declarator === "" ? word : `${word} ${declarator}`);
  const around = (inner: number, text: string) => declare(btf, inner, text, depth + 1);
  switch (type.kind) {
    case "void":
      return behind("void");
    case "ptr": {
      const target = btf.kindOf(type.type);
      const needsParentheses = target === "array" || target === "func_proto";
      return around(type.type, needsParentheses ? `(*${declarator})` : `*${declarator}`);
    }
    case "array": {
      const bounds = `${declarator}[${type.length}]`;
      const text = around(type.element, bounds);
      return declarator === "" ? text.replace(` ${bounds}`, bounds) : text;
    }
    case "func_proto": {
      const params = type.params
        .slice(0, MOST_PARAMS)
        .map((param) => declare(btf, param.type, "", depth + PARAM_DEPTH));
      return around(type.returns, `${declarator}(${params.join(", ")})`);
    }
    case "const":
    case "volatile":
    case "restrict":
      if (btf.kindOf(type.type) === "ptr") return around(type.type, behind(type.kind));
      return `${type.kind} ${around(type.type, declarator)}`;
    case "type_tag":
      return around(type.type, declarator);
    case "struct":
    case "union":
    case "enum":
    case "enum64":
      return behind(`${type.kind === "enum64" ? "enum" : type.kind} ${type.name === "" ? "{…}" : type.name}`);
    case "fwd":
      return behind(`${type.union ? "union" : "struct"} ${type.name}`);
    case "func":
    case "var":
      return around(type.type, type.name);
    default:
      return behind(type.name);
  }
}
