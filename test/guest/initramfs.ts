import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { UnsupportedError } from "../../framework/core/errors.ts";
import { type ArchiveFile, cpioArchive } from "./cpio.ts";
import { initScript } from "./init.ts";
import type { GuestKernel } from "./kernels.ts";
import { fetchPackage } from "./packages.ts";
import { run } from "./tools.ts";

/** What the init script needs before it can reach the host's files. */
const earlyModules = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/**
 * The first root file system of a guest: busybox, the modules for reaching the host's files, and the init script.
 *
 * busybox comes from the package cache, not from the host, where it may be linked dynamically.
 */
export function buildInitramfs(
  kernel: GuestKernel,
  { ownTmp, say }: { readonly ownTmp: boolean; readonly say: (line: string) => void },
): Buffer {
  const busybox = join(fetchPackage("^busybox-static$", say).root, "bin", "busybox");
  const modules = moduleFiles(kernel).map((path) => readModule(path, busybox));
  const order = modules.map(({ path }) => basename(path) + "\n").join("");
  const init = initScript({
    release: kernel.release,
    modules: join(kernel.root, "lib", "modules", kernel.release),
    config: join(kernel.root, "boot", `config-${kernel.release}`),
    ownTmp,
  });
  return cpioArchive([
    { path: "bin/busybox", bytes: readFileSync(busybox), executable: true },
    { path: "init", bytes: Buffer.from(init), executable: true },
    { path: "modules/order", bytes: Buffer.from(order) },
    ...modules,
  ]);
}

/** Files of the early modules and of all they depend on, in loading order; built-in ones have no file. */
function moduleFiles(kernel: GuestKernel): readonly string[] {
  const files = earlyModules.flatMap((name) => {
    const plan = run("modprobe", ["--show-depends", "-S", kernel.release, "-d", kernel.root, name]);
    return [...plan.toString().matchAll(/^insmod (\S+)/gm)].map((match) => match[1] ?? "");
  });
  return [...new Set(files)];
}

/** One module, decompressed: busybox's insmod reads plain ones only. */
function readModule(path: string, busybox: string): ArchiveFile {
  const name = basename(path);
  if (name.endsWith(".ko")) return { path: `modules/${name}`, bytes: readFileSync(path) };
  if (!name.endsWith(".ko.xz"))
    throw new UnsupportedError(`${path} is compressed in a way this runner does not read`);
  return { path: `modules/${name.slice(0, -".xz".length)}`, bytes: run(busybox, ["xz", "-dc", path]) };
}
