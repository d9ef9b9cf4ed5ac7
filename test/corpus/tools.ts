import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { UnsupportedError } from "../../framework/core/errors.ts";
import { fetchPackage } from "../guest/packages.ts";
import { findCommand } from "../guest/tools.ts";

/** BCC's tools and examples, as Debian has them. */
export interface Tools {
  /** Python scripts, by path. */
  readonly scripts: readonly string[];
  /** Folder of the Python package `bcc`. */
  readonly library: string;
}

const LIBRARY = "usr/lib/python3/dist-packages/bcc";

/**
 * The installed tools, or else those of the Debian packages, unpacked outside of the checkout.
 *
 * @throws UnsupportedError where they are neither installed nor to be had
 */
export function findTools(say: (line: string) => void): Tools {
  if (findCommand("opensnoop-bpfcc") !== undefined && existsSync(join("/", LIBRARY)))
    return toolsBelow("/", "/");
  if (findCommand("apt-get") === undefined)
    throw new UnsupportedError(
      "BCC's tools are not installed, and this machine has no apt-get to download them",
      {
        hint: "run this on Debian, or install the packages bpfcc-tools and python3-bpfcc",
      },
    );
  return toolsBelow(fetchPackage("^bpfcc-tools$", say).root, fetchPackage("^python3-bpfcc$", say).root);
}

function toolsBelow(tools: string, python: string): Tools {
  const commands = join(tools, "usr/sbin");
  const examples = join(tools, "usr/share/doc/bpfcc-tools/examples");
  const files = [
    ...readdirSync(commands)
      .filter((name) => name.endsWith("-bpfcc"))
      .map((name) => join(commands, name)),
    ...(existsSync(examples) ? readdirSync(examples, { recursive: true, encoding: "utf8" }) : [])
      .filter((name) => name.endsWith(".py"))
      .map((name) => join(examples, name)),
  ];
  const scripts = files.filter((file) => /^#!.*python/.test(readFileSync(file, "latin1").slice(0, 60)));
  return { scripts: scripts.sort(), library: join(python, LIBRARY) };
}

/** What the tool is called: "opensnoop" for both "opensnoop-bpfcc" and "opensnoop.py". */
export function toolName(script: string): string {
  return basename(script).replace(/(?:-bpfcc|\.py)$/, "");
}
