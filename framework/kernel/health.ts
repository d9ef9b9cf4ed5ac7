import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { isAtLeast } from "../core/version.ts";
import type { FeatureName } from "../runtime/types.ts";
import { kernelConfig, kernelRelease, kernelVersion } from "../sys/proc.ts";
import { findTracefs } from "../sys/tracefs.ts";
import { BPF_FS_MAGIC } from "../uapi/constants.ts";
import { featureNames, supports } from "./features.ts";
import { lockdownMode } from "./lockdown.ts";

/** One thing about the machine that decides what works. */
export interface Finding {
  /** What was looked at, for instance "tracefs" or "CONFIG_KPROBES". */
  readonly name: string;
  readonly group: "kernel" | "privileges" | "mounts" | "configuration" | "features" | "tools";
  /** "unknown" when it could not be told. */
  readonly state: "yes" | "no" | "unknown";
  /** Whether nothing at all works without it. */
  readonly isNeeded: boolean;
  /** What was found, in words. */
  readonly detail: string;
  /** The line that mends it, or null when there is nothing to mend or no line does. */
  readonly fix: string | null;
}

/** Gives every script of node's the privileges; a later setcap would replace an earlier one, so all at once. */
const GRANT = "sudo setcap cap_bpf,cap_perfmon,cap_net_admin+ep $(command -v node)";

const MOUNT_SYSFS = "sudo mount -t sysfs sysfs /sys";

const UNLOCK = "boot without lockdown=, and with secure boot off";

/** Looks at the running kernel and this process. Changes nothing, and needs no privileges. */
export function examineKernel(access: {
  readonly ok: boolean;
  readonly reason?: string;
}): readonly Finding[] {
  return [
    {
      name: "bpf(2)",
      group: "kernel",
      state: access.ok ? "yes" : "no",
      isNeeded: true,
      detail: access.ok ? "this process may use it" : (access.reason ?? ""),
      fix: access.ok ? null : GRANT,
    },
    { ...note("kernel", "version"), detail: `Linux ${kernelRelease()}` },
    kernelTypes(),
    lockdown(),
    ...capabilities(),
    ...settings(),
    ...mounts(),
    ...configuration(),
    ...features(access.ok),
    ...guestTools(),
  ];
}

function note(group: Finding["group"], name: string): Omit<Finding, "detail"> {
  return { name, group, state: "yes", isNeeded: false, fix: null };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return undefined; // absent, or hidden from this user: the finding says "unknown"
  }
}

function kernelTypes(): Finding {
  const isThere = isReadable("/sys/kernel/btf/vmlinux");
  return {
    ...note("kernel", "types (BTF)"),
    state: isThere ? "yes" : "no",
    detail: isThere
      ? "/sys/kernel/btf/vmlinux"
      : hasSysfs()
        ? "the kernel does not describe its types"
        : NO_SYSFS,
    fix: isThere ? null : hasSysfs() ? "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y" : MOUNT_SYSFS,
  };
}

function lockdown(): Finding {
  const known = lockdownMode();
  return {
    ...note("kernel", "no lockdown"),
    state: known === undefined ? "unknown" : known === "none" ? "yes" : "no",
    detail:
      known === undefined ? "securityfs is not mounted, or there is no lockdown" : `lockdown is ${known}`,
    fix:
      known === undefined
        ? "mount -t securityfs securityfs /sys/kernel/security"
        : known === "none"
          ? null
          : UNLOCK,
  };
}

/** Bits of the capability sets (linux/capability.h), and what each is for. */
const CAPABILITIES: readonly (readonly [name: string, bit: bigint, use: string])[] = [
  ["CAP_BPF", 39n, "maps and programs"],
  ["CAP_PERFMON", 38n, "tracing"],
  ["CAP_NET_ADMIN", 12n, "network programs"],
  ["CAP_SYS_ADMIN", 21n, "everything before Linux 5.8, kernel addresses, other users' processes"],
];

function capabilities(): readonly Finding[] {
  const line = /^CapEff:\s*([0-9a-f]+)/m.exec(read("/proc/self/status") ?? "")?.[1];
  const set = line === undefined ? undefined : BigInt(`0x${line}`);
  return CAPABILITIES.map(([name, bit, use]) => {
    const has = set !== undefined && ((set >> bit) & 1n) === 1n;
    return {
      ...note("privileges", name),
      state: set === undefined ? "unknown" : has ? "yes" : "no",
      detail: `for ${use}`,
      fix: has ? null : name === "CAP_SYS_ADMIN" ? "run as root" : GRANT,
    };
  });
}

/** Settings of the kernel that keep things from ordinary users. */
function settings(): readonly Finding[] {
  const isRoot = process.geteuid?.() === 0;
  const limits = /^Max locked memory\s+(\S+)/m.exec(read("/proc/self/limits") ?? "")?.[1];
  const setting = (name: string, path: string, allows: (value: number) => boolean, to: string): Finding => {
    const value = read(path);
    const isGood = value !== undefined && (isRoot || allows(Number(value)));
    return {
      ...note("privileges", name),
      state: value === undefined ? "unknown" : isGood ? "yes" : "no",
      detail: value === undefined ? `no ${path}` : `${value}${isRoot ? ", which does not bind root" : ""}`,
      fix: value === undefined || isGood ? null : `sudo sysctl ${name}=${to}`,
    };
  };
  return [
    setting(
      "kernel.unprivileged_bpf_disabled",
      "/proc/sys/kernel/unprivileged_bpf_disabled",
      (value) => value === 0,
      "0",
    ),
    setting("kernel.perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid", (value) => value <= 1, "1"),
    setting("kernel.kptr_restrict", "/proc/sys/kernel/kptr_restrict", (value) => value === 0, "0"),
    memoryLock(limits),
  ];
}

function memoryLock(limit: string | undefined): Finding {
  const isFree = isAtLeast(kernelVersion(), "5.11");
  const isGood = isFree || limit === "unlimited";
  return {
    ...note("privileges", "memlock"),
    state: limit === undefined ? "unknown" : isGood ? "yes" : "no",
    detail: `${limit ?? "not told"}${isFree ? ", which BPF does not count against since Linux 5.11" : ""}`,
    fix: limit === undefined || isGood ? null : "ulimit -l unlimited",
  };
}

function mounts(): readonly Finding[] {
  const tracing = findTracefs();
  const bpffs = isBpfFs("/sys/fs/bpf");
  const groups = (read("/proc/mounts") ?? "")
    .split("\n")
    .map((line) => line.split(" "))
    .find(([, , type]) => type === "cgroup2")?.[1];
  const mount = (name: string, place: string | undefined, fix: string, use: string): Finding => ({
    ...note("mounts", name),
    state: place === undefined ? "no" : "yes",
    detail: place ?? `not mounted, or not for this user; ${use} need it`,
    fix: place === undefined ? fix : null,
  });
  return [
    mount("sysfs", hasSysfs() ? "/sys" : undefined, MOUNT_SYSFS, "the kernel's types and user functions"),
    mount(
      "tracefs",
      tracing,
      "sudo mount -t tracefs tracefs /sys/kernel/tracing",
      "tracepoints and the trace pipe",
    ),
    mount("bpffs", bpffs ? "/sys/fs/bpf" : undefined, "sudo mount -t bpf bpf /sys/fs/bpf", "pinned tables"),
    mount("cgroup2", groups, "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup", "programs at cgroups"),
  ];
}

function isBpfFs(place: string): boolean {
  try {
    return statfsSync(place).type === BPF_FS_MAGIC;
  } catch {
    return false; // no such folder, or not for this user
  }
}

/** Options of the kernel's configuration, and what does not work without. */
const OPTIONS: Readonly<Record<string, string>> = {
  CONFIG_BPF_SYSCALL: "anything",
  CONFIG_BPF_JIT: "speed, and programs on kernel functions by BTF",
  CONFIG_BPF_EVENTS: "programs at kprobes, tracepoints and perf events",
  CONFIG_KPROBES: "kprobes",
  CONFIG_KPROBE_EVENTS: "kprobes",
  CONFIG_UPROBE_EVENTS: "uprobes and USDT probes",
  CONFIG_FUNCTION_TRACER: "programs on kernel functions by BTF",
  CONFIG_FPROBE: "one probe on many kernel functions",
  CONFIG_DEBUG_INFO_BTF: "the kernel's types",
  CONFIG_BPF_LSM: "LSM programs",
  CONFIG_CGROUP_BPF: "programs at cgroups",
  CONFIG_NET_CLS_BPF: "tc programs before Linux 6.6",
  CONFIG_NET_SCH_INGRESS: "tc programs before Linux 6.6",
  CONFIG_BPF_STREAM_PARSER: "programs at tables of sockets",
};

function configuration(): readonly Finding[] {
  const options = kernelConfig();
  return Object.entries(OPTIONS).map(([name, use]) => {
    const isSet = options?.has(name) === true;
    return {
      ...note("configuration", name),
      state: options === undefined ? "unknown" : isSet ? "yes" : "no",
      detail: options === undefined ? "the system does not tell the configuration" : `for ${use}`,
      fix: options === undefined || isSet ? null : `boot a kernel built with ${name}=y`,
    };
  });
}

/** What probes say; they make and attach things, so an ordinary user mostly cannot tell. */
function features(mayProbe: boolean): readonly Finding[] {
  return featureNames.map((name) => {
    const support = supports(name);
    if (support.state === "yes") return { ...note("features", name), detail: "" };
    if (support.state === "no" && mayProbe) return missingFeature(name, support.since);
    const mode = lockdownMode() ?? "none";
    if (mayProbe && MENDING[name]?.isLockedDown === true && mode !== "none") {
      return { ...note("features", name), state: "no", detail: `lockdown is ${mode}`, fix: UNLOCK };
    }
    const why = support.state === "unknown" ? support.cause.message : "no access to bpf(2)";
    const fix = mayProbe ? (MENDING[name]?.fix ?? null) : GRANT;
    return { ...note("features", name), state: "unknown", detail: `cannot tell: ${why}`, fix };
  });
}

function missingFeature(name: FeatureName, since: string): Finding {
  if (!isAtLeast(kernelVersion(), since)) {
    const fix = `boot Linux ${since} or newer`;
    return { ...note("features", name), state: "no", detail: `since Linux ${since}`, fix };
  }
  const { fix = null, needsSysfs = false } = MENDING[name] ?? {};
  if (needsSysfs && !hasSysfs()) {
    return { ...note("features", name), state: "no", detail: NO_SYSFS, fix: MOUNT_SYSFS };
  }
  return { ...note("features", name), state: "no", detail: "left out of this kernel, or switched off", fix };
}

/** What switches a feature on that a new kernel may still lack. */
interface Mending {
  readonly fix: string;
  readonly isLockedDown?: true;
  /** Told by files that are not there without sysfs. */
  readonly needsSysfs?: true;
}

const DIRECT_CALLS = "boot a kernel built with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y";

const MENDING: Readonly<Partial<Record<FeatureName, Mending>>> = {
  kprobe: { fix: "boot a kernel built with CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y" },
  kprobe_multi: { fix: "boot a kernel built with CONFIG_FPROBE=y" },
  tracepoint: { fix: "sudo mount -t tracefs tracefs /sys/kernel/tracing" },
  uprobe: { fix: "boot a kernel built with CONFIG_UPROBE_EVENTS=y", needsSysfs: true },
  fentry: { fix: DIRECT_CALLS, isLockedDown: true, needsSysfs: true },
  fmod_ret: { fix: DIRECT_CALLS, isLockedDown: true, needsSysfs: true },
  lsm: { fix: "boot with lsm=...,bpf on the kernel's command line", isLockedDown: true, needsSysfs: true },
};

const NO_SYSFS = "sysfs is not mounted";

function hasSysfs(): boolean {
  return existsSync("/sys/kernel");
}

/** What booting other kernels for tests takes, with the Debian package of each. */
const GUEST_TOOLS: Readonly<Record<string, string>> = {
  "qemu-system-x86_64": "qemu-system-x86",
  depmod: "kmod",
  cpio: "cpio",
  busybox: "busybox-static",
};

function guestTools(): readonly Finding[] {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return Object.entries(GUEST_TOOLS).map(([name, source]) => {
    const place = folders.map((folder) => join(folder, name)).find(isExecutable);
    return {
      ...note("tools", name),
      state: place === undefined ? "no" : "yes",
      detail: place ?? "for tests in guest kernels only",
      fix: place === undefined ? `sudo apt-get install ${source}` : null,
    };
  });
}

function isExecutable(path: string): boolean {
  return mayAccess(path, constants.X_OK);
}

function isReadable(path: string): boolean {
  return mayAccess(path, constants.R_OK);
}

function mayAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false; // an answer, not a failure
  }
}
