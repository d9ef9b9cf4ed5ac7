import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { UsageError } from "../core/errors.ts";
import { show } from "../core/layout.ts";

/** What an option must be. */
export type OptionType = "string" | "number" | "boolean" | "strings" | "function" | "any";

/**
 * Checks an options object: every name known, every value of its type.
 *
 * @throws UsageError that names the method, the option and what was expected
 */
export function checkOptions(method: string, options: object, types: Readonly<Record<string, OptionType>>): void {
  for (const [name, value] of Object.entries(options)) {
    const type = types[name];
    if (type === undefined) {
      const near = didYouMean(nearestNames(name, Object.keys(types)));
      throw new UsageError(`${method}: unknown option "${name}"`, {
        hint: near ?? `options are ${Object.keys(types).join(", ")}`,
      });
    }
    if (value !== undefined && !isOf(type, value)) {
      throw new UsageError(`${method}: "${name}" must be ${article(type)}, not ${show(value)}`);
    }
  }
}

function isOf(type: OptionType, value: unknown): boolean {
  if (type === "any") return true;
  if (type === "strings") return Array.isArray(value) && value.every((item) => typeof item === "string");
  return typeof value === type;
}

function article(type: OptionType): string {
  return type === "strings" ? "an array of strings" : `a ${type}`;
}
