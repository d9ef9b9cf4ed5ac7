import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** `rxbpf run SCRIPT.ts [ARGUMENT...]`: runs a script in this process; its arguments stand where node puts them. */
export async function run(args: readonly string[]): Promise<number> {
  const [script, ...rest] = args;
  if (script === undefined) {
    process.stderr.write("usage: rxbpf run SCRIPT.ts [ARGUMENT...]\n");
    return 2;
  }
  const path = resolve(script);
  if (!existsSync(path)) {
    process.stderr.write(`rxbpf run: no file ${script}\n`);
    return 2;
  }
  process.argv = [process.argv[0]!, path, ...rest];
  await import(pathToFileURL(path).href);
  return Number(process.exitCode ?? 0);
}
