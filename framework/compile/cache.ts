import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A cached compilation: what the compiler wrote, and what the rewriter found. */
export interface CacheEntry<T> {
  readonly object: Uint8Array;
  readonly facts: T;
}

/** Raised whenever lowering or the entry's shape changes, so that older entries are not found. */
const FORMAT = "rxbpf object 5\n";

/** The key of a compilation: a digest of everything that decides its result. */
export function cacheKey(parts: readonly string[]): string {
  const hash = createHash("sha256").update(FORMAT);
  for (const part of parts) hash.update(`${part.length}\n`).update(part);
  return hash.digest("hex");
}

/**
 * Reads an entry. Undefined when there is none, when it is damaged, or when the folder or file is not the user's own:
 * an object runs in the kernel, so nobody else may have written it.
 */
export function readCache<T>(key: string): CacheEntry<T> | undefined {
  const path = join(cacheFolder(), key);
  try {
    if (!isOurs(cacheFolder()) || !isOurs(path)) return undefined;
    const bytes = readFileSync(path);
    const digest = bytes.subarray(0, 32);
    const rest = bytes.subarray(32);
    if (!createHash("sha256").update(rest).digest().equals(digest)) return undefined;
    const factsLength = rest.readUInt32LE(0);
    const facts = JSON.parse(rest.toString("utf8", 4, 4 + factsLength)) as T;
    return { object: new Uint8Array(rest.subarray(4 + factsLength)), facts };
  } catch {
    // Absent or unreadable: the object is made anew.
    return undefined;
  }
}

/** Writes an entry so that readers see all of it or nothing. A cache that cannot be written is no error. */
export function writeCache<T>(key: string, entry: CacheEntry<T>): void {
  const facts = Buffer.from(JSON.stringify(entry.facts));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(facts.length);
  const rest = Buffer.concat([length, facts, entry.object]);
  const folder = cacheFolder();
  const path = join(folder, key);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!isOurs(folder)) return;
    chmodSync(folder, 0o700);
    writeWhole(path, Buffer.concat([createHash("sha256").update(rest).digest(), rest]));
  } catch {
    // A read-only or missing home folder, or a full disk: the next run compiles again.
  }
}

function writeWhole(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, bytes, { mode: 0o600 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** `RXBPF_CACHE`, else the user's cache folder. "" switches the cache off. */
function cacheFolder(): string {
  return (
    process.env["RXBPF_CACHE"] ??
    join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "rxbpf", "objects")
  );
}

/** Whether caching is on. */
export function cacheEnabled(): boolean {
  return cacheFolder() !== "";
}

/** Owned by this user and writable by nobody else; links are followed by nobody. */
function isOurs(path: string): boolean {
  const stat = lstatSync(path);
  const user = process.getuid?.();
  return !stat.isSymbolicLink() && (user === undefined || (stat.uid === user && (stat.mode & 0o022) === 0));
}
