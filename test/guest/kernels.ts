import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UnsupportedError, UsageError } from "../../framework/core/errors.ts";
import { fetchPackage } from "./packages.ts";
import { run } from "./tools.ts";

/** One row of kernels.json. */
export interface KernelChoice {
  /** What `--kernel` takes, for instance "6.12". */
  readonly name: string;
  /** Regular expression for the Debian package; the newest that matches is used. */
  readonly package: string;
  /** Why this kernel is on the list. */
  readonly why: string;
}

/** A kernel ready to boot. */
export interface GuestKernel {
  readonly name: string;
  readonly packageName: string;
  /** What `uname -r` says inside. */
  readonly release: string;
  readonly image: string;
  /** Folder that has lib/modules. */
  readonly root: string;
}

/** All rows of kernels.json, oldest kernel first. */
export function allKernels(): readonly KernelChoice[] {
  // The file is ours and lies beside this one; its shape is the interface above.
  return JSON.parse(readFileSync(new URL("kernels.json", import.meta.url), "utf8")) as KernelChoice[];
}

/**
 * The rows with the given names, in the order of kernels.json; all rows for no names.
 *
 * @throws UsageError for a name that is not there
 */
export function chooseKernels(names: readonly string[]): readonly KernelChoice[] {
  const all = allKernels();
  const unknown = names.find((name) => !all.some((kernel) => kernel.name === name));
  if (unknown !== undefined)
    throw new UsageError(`there is no kernel "${unknown}" in kernels.json`, {
      hint: `known: ${all.map((kernel) => kernel.name).join(", ")}`,
    });
  return names.length === 0 ? all : all.filter((kernel) => names.includes(kernel.name));
}

/**
 * Downloads and unpacks a kernel with its modules, unless that was done before.
 *
 * @throws UnsupportedError when it cannot be had
 */
export function prepareKernel(choice: KernelChoice, say: (line: string) => void): GuestKernel {
  const { name, root } = fetchPackage(choice.package, say, (unpacked) => {
    run("depmod", ["-b", unpacked, releaseOf(unpacked)]);
  });
  const release = releaseOf(root);
  return {
    name: choice.name,
    packageName: name,
    release,
    image: join(root, "boot", `vmlinuz-${release}`),
    root,
  };
}

function releaseOf(root: string): string {
  const [release, ...others] = readdirSync(join(root, "lib", "modules"));
  if (release !== undefined && others.length === 0) return release;
  throw new UnsupportedError(`${root} should have the modules of exactly one kernel`, {
    hint: "delete that folder and run again",
  });
}
