import { existsSync, readdirSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";

/** The Python that Debian's BCC belongs to. */
export const BCC_PYTHON = "/usr/bin/python3";

/**
 * A command in which kernel headers are visible where BCC looks, in a mount namespace of its own, so that the machine
 * stays as it is; where they are in place, the command itself. Undefined where there are none.
 *
 * @param prelude shell text that runs just before the command
 */
export function withHeaders(argv: readonly string[], prelude = ""): [string, ...string[]] | undefined {
  const prefix = headersPrefix();
  if (prefix === undefined) return undefined;
  const words = ["sh", "-c", `${prefix}${prelude}exec "$@"`, "sh", ...argv];
  return prefix === "" ? ["env", ...words] : ["unshare", "--mount", ...words];
}

function headersPrefix(): string | undefined {
  const modules = `/lib/modules/${release()}`;
  // Headers that Debian has split into two packages are complete only with their "source".
  const hasHeaders = ["source", "build"].some((name) =>
    existsSync(join(modules, name, "include/linux/kconfig.h")),
  );
  if (hasHeaders) return "";
  const found = readdirSync("/usr/src")
    .filter((name) => /^linux-headers-[\d.-]+-amd64$/.test(name))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .at(-1);
  if (found === undefined) return undefined;
  const common = found.replace(/-amd64$/, "-common");
  return [
    "mount -t tmpfs none /lib/modules",
    `mkdir ${modules}`,
    `ln -s /usr/src/${found} ${modules}/build`,
    `ln -s /usr/src/${common} ${modules}/source`,
    "",
  ].join(" && ");
}
