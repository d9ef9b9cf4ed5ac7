import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Source } from "../compile/preprocess.ts";
import { UsageError } from "../core/errors.ts";

/** Reads a command's source file; "-" is standard input. @throws UsageError when it cannot be read */
export function readSource(file: string, cflags: readonly string[]): Source {
  const isInput = file === "-";
  try {
    return {
      file: isInput ? "<stdin>" : file,
      text: readFileSync(isInput ? 0 : file, "utf8"),
      folder: isInput ? process.cwd() : dirname(resolve(file)),
      cflags,
    };
  } catch (cause) {
    throw new UsageError(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
