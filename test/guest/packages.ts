import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { UnsupportedError } from "../../framework/core/errors.ts";
import { isRoot, refreshPackageLists, run, tryRun } from "./tools.ts";

/** A Debian package, unpacked but not installed. */
export interface UnpackedPackage {
  readonly name: string;
  /** Its files, as if this folder were the root. */
  readonly root: string;
}

/** Where unpacked packages stay between runs: outside the checkout, safe to delete. */
export function cacheFolder(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "rxbpf", "guest");
}

/** The newest downloaded package whose name matches; no network. */
export function cachedPackage(pattern: string): UnpackedPackage | undefined {
  const folder = cacheFolder();
  mkdirSync(folder, { recursive: true });
  const name = newest(readdirSync(folder), pattern);
  return name === undefined ? undefined : { name, root: join(folder, name) };
}

/**
 * The newest package whose whole name matches, from the cache or else from the host's Debian archive.
 *
 * @param pattern an anchored regular expression that apt-cache and JavaScript read alike
 * @param finish prepares the unpacked files before they count as downloaded
 * @throws UnsupportedError when the archive has no such package or the download fails
 */
export function fetchPackage(
  pattern: string,
  say: (line: string) => void,
  finish: (root: string) => void = () => {},
): UnpackedPackage {
  const cached = cachedPackage(pattern);
  if (cached !== undefined) return cached;
  const partial = mkdtempSync(join(cacheFolder(), ".partial-"));
  try {
    const name = downloadNewest(pattern, partial, say);
    const deb = readdirSync(partial).find((file) => file.endsWith(".deb"));
    if (deb === undefined)
      throw new UnsupportedError(`apt-get download ${name} left no .deb file in ${partial}`);
    const unpacked = join(partial, "root");
    run("dpkg", ["-x", join(partial, deb), unpacked]);
    finish(unpacked);
    const root = join(cacheFolder(), name);
    renameSync(unpacked, root);
    return { name, root };
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Downloads into a folder; old package lists are the usual reason for failing, so they get one refresh. */
function downloadNewest(pattern: string, folder: string, say: (line: string) => void): string {
  const name = available(pattern);
  if (name !== undefined) {
    say(`downloading ${name}`);
    const result = tryRun("apt-get", ["download", name], folder);
    if (result.ok) return name;
    say(`apt-get download ${name} failed: ${result.complaint}`);
  }
  if (refreshPackageLists(say)) return downloadNewest(pattern, folder, say);
  throw new UnsupportedError(`cannot download a package whose name matches ${pattern}`, {
    hint: isRoot()
      ? "the kernels are in Debian 12's main and security archives; check /etc/apt/sources.list and the network"
      : "package lists may be old: sudo apt-get update",
  });
}

function available(pattern: string): string | undefined {
  const lines = tryRun("apt-cache", ["search", "--names-only", pattern]).stdout.toString().split("\n");
  return newest(
    lines.map((line) => line.split(" ")[0] ?? ""),
    pattern,
  );
}

/** Version numbers inside names compare as numbers, so that -56 is newer than -9. */
function newest(names: readonly string[], pattern: string): string | undefined {
  const matching = names.filter((name) => new RegExp(pattern).test(name));
  return matching.sort(new Intl.Collator("en", { numeric: true }).compare).at(-1);
}
