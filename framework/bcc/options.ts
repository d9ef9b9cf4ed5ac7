import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { UsageError } from "../core/errors.ts";
import { show } from "../core/layout.ts";

/** What an option's value must be. */
type ValueType =
  | "string"
  | "number"
  | "integer"
  | "boolean"
  | "array"
  | "strings"
  | "booleanOrStrings"
  | "signal"
  | "bytes"
  | "bigint"
  | "callback"
  | "function"
  | "type"
  | "object"
  | "stringOrArray";

/** What an option must be; with a question mark it may be left out. */
export type OptionType = ValueType | `${ValueType}?`;

/**
 * Checks an options object: every name known, every value of its type, nothing left out that is needed.
 *
 * @throws UsageError that names the method, the option and what was expected
 */
export function checkOptions(
  method: string,
  options: object,
  types: Readonly<Record<string, OptionType>>,
): void {
  const wanted = parsed(types);
  if (typeof options !== "object" || options === null) {
    throw new UsageError(`${method} takes its options as one object, not ${show(options)}`, {
      hint: `options are ${Object.keys(types).join(", ")}`,
    });
  }
  const values = options as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(values)) {
    if (wanted.has(name)) continue;
    const names = Object.keys(types);
    throw new UsageError(`${method}: unknown option "${name}"`, {
      hint: didYouMean(nearestNames(name, names)) ?? `options are ${names.join(", ")}`,
    });
  }
  for (const [name, { type, isOptional }] of wanted) {
    const value = values[name];
    if (value === undefined) {
      if (!isOptional) throw new UsageError(`${method}: "${name}" is missing`);
    } else if (!valueTypes[type].fits(value)) {
      throw new UsageError(`${method}: "${name}" must be ${valueTypes[type].words}, not ${show(value)}`);
    }
  }
}

interface Wanted {
  readonly type: ValueType;
  readonly isOptional: boolean;
}

/** Tables of options, taken apart once: some methods are called for every event of a test. */
const known = new WeakMap<object, ReadonlyMap<string, Wanted>>();

function parsed(types: Readonly<Record<string, OptionType>>): ReadonlyMap<string, Wanted> {
  let wanted = known.get(types);
  if (wanted === undefined) {
    const entries = Object.entries(types).map(([name, type]) => {
      return [name, { type: type.replace("?", "") as ValueType, isOptional: type.endsWith("?") }] as const;
    });
    wanted = new Map(entries);
    known.set(types, wanted);
  }
  return wanted;
}

const valueTypes: Readonly<Record<ValueType, { readonly words: string; fits(value: unknown): boolean }>> = {
  string: { words: "a string", fits: (value) => typeof value === "string" },
  number: { words: "a number", fits: (value) => typeof value === "number" },
  integer: {
    words: "a whole number or a bigint",
    fits: (value) => typeof value === "bigint" || Number.isInteger(value),
  },
  boolean: { words: "true or false", fits: (value) => typeof value === "boolean" },
  array: { words: "an array", fits: Array.isArray },
  strings: { words: "an array of strings", fits: isStrings },
  booleanOrStrings: {
    words: "true, false or an array of strings",
    fits: (value) => typeof value === "boolean" || isStrings(value),
  },
  object: { words: "an object", fits: (value) => typeof value === "object" && value !== null },
  stringOrArray: {
    words: "a string or an array",
    fits: (value) => typeof value === "string" || Array.isArray(value),
  },
  function: {
    words: "a function that load_func gave",
    fits: (value) => typeof value === "object" && value !== null && "program" in value,
  },
  bytes: { words: "a Uint8Array", fits: (value) => value instanceof Uint8Array },
  bigint: { words: "a bigint", fits: (value) => typeof value === "bigint" },
  callback: { words: "a function", fits: (value) => typeof value === "function" },
  type: {
    words: "the C name of a type, or a codec",
    fits: (value) =>
      typeof value === "string" || (typeof value === "object" && value !== null && "read" in value),
  },
  signal: { words: "an AbortSignal", fits: (value) => value instanceof AbortSignal },
};

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
