import { existsSync, readdirSync, realpathSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";

/** The Python that Debian's BCC belongs to. */
export const BCC_PYTHON = "/usr/bin/python3";

/** Kernel headers for BCC. */
interface Headers {
  /** Their folder. */
  readonly folder: string;
  /** Shell text that shows them where BCC looks; "" where they are in place. */
  readonly prefix: string;
}

/**
 * A command in which kernel headers are visible where BCC looks, in a mount namespace of its own, so that the machine
 * stays as it is; where they are in place, the command itself. Undefined where there are none.
 *
 * @param prelude shell text that runs just before the command
 */
export function withHeaders(argv: readonly string[], prelude = ""): [string, ...string[]] | undefined {
  const headers = findHeaders();
  if (headers === undefined) return undefined;
  const words = ["sh", "-c", `${headers.prefix}${prelude}exec "$@"`, "sh", ...argv];
  return headers.prefix === "" ? ["env", ...words] : ["unshare", "--mount", ...words];
}

/** The folder of the headers that BCC gets here, which need not be the running kernel's; undefined without any. */
export function headersFolder(): string | undefined {
  return findHeaders()?.folder;
}

function findHeaders(): Headers | undefined {
  const modules = `/lib/modules/${release()}`;
  // Headers that Debian has split into two packages are complete only with their "source".
  const inPlace = ["source", "build"]
    .map((name) => join(modules, name))
    .find((folder) => existsSync(join(folder, "include/linux/kconfig.h")));
  if (inPlace !== undefined) return { folder: realpathSync(inPlace), prefix: "" };
  const found = readdirSync("/usr/src")
    .filter((name) => /^linux-headers-[\d.-]+-amd64$/.test(name))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .at(-1);
  if (found === undefined) return undefined;
  const folder = `/usr/src/${found}`;
  const common = folder.replace(/-amd64$/, "-common");
  const steps = [
    "mount -t tmpfs none /lib/modules",
    `mkdir ${modules}`,
    `ln -s ${folder} ${modules}/build`,
    `ln -s ${common} ${modules}/source`,
    "",
  ];
  return { folder, prefix: steps.join(" && ") };
}
