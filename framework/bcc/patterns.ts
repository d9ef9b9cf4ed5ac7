import { UsageError } from "../core/errors.ts";

/**
 * A regular expression that must match from the beginning, as Python's `re.match` has it; what follows may be anything.
 *
 * @throws UsageError for one that is none
 */
export function matcher(method: string, pattern: string): (text: string) => boolean {
  try {
    const expression = new RegExp(`^(?:${pattern})`);
    return (text) => expression.test(text);
  } catch (cause) {
    throw new UsageError(`${method}: ${JSON.stringify(pattern)} is no regular expression`, { cause });
  }
}

/** A pattern as libbpf has them, as a regular expression: "*" is any text and "?" any character. */
export function starPattern(pattern: string): string {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return escaped.replaceAll("*", ".*").replaceAll("?", ".");
}
