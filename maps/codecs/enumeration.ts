import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import { LayoutError, UsageError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import type { Btf, BtfType } from "../../framework/object/btf.ts";

type EnumType = Extract<BtfType, { kind: "enum" | "enum64" }>;

/** Names and numbers of a C enum. Values of enums are read as numbers; they are written as numbers or names. */
export interface Enumeration {
  /** By name, in the order of the source; bigint for enums of 64 bits, as values of them are read. */
  readonly values: ReadonlyMap<string, number | bigint>;
  /** The first enumerator with this number; undefined when there is none, as for several flags in one. */
  nameOf(value: number | bigint): string | undefined;
}

/**
 * An enum by its name in C, with or without "enum", or by that of one of its enumerators where it has no name.
 * @throws UsageError when the types have none
 */
export function enumerationOf(btf: Btf | null, name: string): Enumeration {
  const bare = name.replace(/^enum /, "");
  const id = btf === null ? 0 : enumNamed(btf, bare);
  const type = id === 0 ? undefined : btf?.type(id);
  if (type === undefined || (type.kind !== "enum" && type.kind !== "enum64")) {
    throw new UsageError(`the source's types have no enum "${bare}"`, {
      hint: "types that no table, event or variable has are not in the object",
    });
  }
  const values = valuesOf(type);
  return {
    values,
    nameOf: (value) => [...values].find(([, known]) => known === value)?.[0],
  };
}

function enumNamed(btf: Btf, name: string): number {
  const found = btf.find(name, "enum", "enum64", "typedef");
  return found === 0 ? (btf.findEnumerator(name)?.type ?? 0) : btf.resolve(found);
}

function valuesOf({ size, values }: EnumType): ReadonlyMap<string, number | bigint> {
  return new Map(values.map(({ name, value }) => [name, size > 4 ? value : Number(value)]));
}

/** The codec of an enum's integer, which also takes enumerators' names for writing. */
export function enumCodec<C extends Codec<unknown>>(codec: C, type: EnumType): C {
  const values = valuesOf(type);
  return {
    ...codec,
    write(view: DataView, at: number, value: unknown) {
      codec.write(view, at, typeof value === "string" ? numberOf(type, values, value) : value);
    },
  };
}

function numberOf(
  { name: own }: EnumType,
  values: ReadonlyMap<string, number | bigint>,
  name: string,
): number | bigint {
  const value = values.get(name);
  if (value !== undefined) return value;
  const what = own === "" ? "the enum" : `enum ${own}`;
  throw new LayoutError(`must be a number or a name in ${what}, not ${JSON.stringify(name)}`, {
    hint: didYouMean(nearestNames(name, values.keys())) ?? `names are ${[...values.keys()].join(", ")}`,
  });
}
