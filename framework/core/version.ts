/** A kernel version as numbers, for instance 6.18.44. */
export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** "6.18.44-amd64" or "5.8" to numbers; parts that are missing are 0. Undefined for text without a version. */
export function parseVersion(text: string): KernelVersion | undefined {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}

/** Negative, zero or positive as `a` is older, equal or newer than `b`. */
export function compareVersions(a: KernelVersion, b: KernelVersion): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/** Whether a kernel is the named version or newer, for instance `isAtLeast(running, "5.8")`. */
export function isAtLeast(version: KernelVersion, since: string): boolean {
  const wanted = parseVersion(since);
  return wanted !== undefined && compareVersions(version, wanted) >= 0;
}

/** KERNEL_VERSION(a, b, c) of linux/version.h: the patch level saturates at 255. */
export function versionCode(version: KernelVersion): number {
  return version.major * 65536 + version.minor * 256 + Math.min(version.patch, 255);
}
