import {
  accessSync,
  appendFileSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statfsSync,
} from "node:fs";
import { join } from "node:path";
import { type BpfError, PermissionError, SyscallError, UnsupportedError } from "../core/errors.ts";
import { notify } from "../core/notify.ts";
import { TRACEFS_MAGIC } from "../uapi/constants.ts";
import { Fd } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";

/** Where kernels put it: its own place, and the older one inside debugfs. */
const PLACES = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] as const;

let found: string | undefined;

/** Where tracefs is mounted, or undefined. Mounts nothing. */
export function findTracefs(): string | undefined {
  found ??= PLACES.find(isTracefs);
  return found;
}

/** Whether this process may read tracefs, or mount it: only root may, unless somebody has opened it. */
export function tracefsReadable(): boolean {
  const place = findTracefs();
  if (place === undefined) return process.geteuid?.() === 0;
  try {
    accessSync(join(place, "events"), constants.R_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isTracefs(place: string): boolean {
  try {
    return statfsSync(place).type === TRACEFS_MAGIC;
  } catch {
    return false; // absent, or inside a debugfs that only root may enter
  }
}

/**
 * Where tracefs is, after mounting it when nobody has: many containers and small systems do not. Says so once.
 *
 * @throws UnsupportedError when the kernel has none; PermissionError when it may not be mounted or entered
 */
export function tracefs(): string {
  const place = findTracefs();
  if (place !== undefined) return place;
  const [target] = PLACES;
  if (libc().mount("tracefs", target, "tracefs", 0, 0) < 0) throw explainMount(lastErrno());
  notify(`rxbpf: mounted tracefs on ${target}, because it was not mounted`);
  found = target;
  return target;
}

function explainMount(errno: string): BpfError {
  const [target] = PLACES;
  const cause = new SyscallError(`mount(tracefs, ${target})`, errno);
  if (errno === "EPERM" || errno === "EACCES") {
    return new PermissionError(
      "tracepoints and the trace pipe need tracefs, which is not mounted or not accessible",
      {
        hint: `run as root, or let root do "mount -t tracefs tracefs ${target}"`,
        cause,
      },
    );
  }
  return new UnsupportedError("this kernel has no tracefs", {
    hint: "it needs CONFIG_TRACING; raw tracepoints work without",
    cause,
  });
}

function inTracefs<T>(what: string, use: (root: string) => T): T {
  const root = tracefs();
  try {
    return use(root);
  } catch (cause) {
    throw isDenied(cause) ? denied(what, cause) : cause;
  }
}

function isDenied(error: unknown): boolean {
  const code = systemCode(error);
  return code === "EACCES" || code === "EPERM";
}

function denied(what: string, cause: unknown): PermissionError {
  return new PermissionError(`${what} needs access to tracefs`, {
    hint:
      process.geteuid?.() === 0
        ? "the kernel is locked down (see /sys/kernel/security/lockdown), which binds root too"
        : "run as root",
    cause,
  });
}

/** The errno name in an error of Node's own file functions. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** A file of tracefs, or undefined when there is none by that name. */
function readOptional(what: string, ...parts: string[]): string | undefined {
  return inTracefs(what, (root) => {
    try {
      return readFileSync(join(root, ...parts), "latin1");
    } catch (error) {
      if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return undefined;
      throw error;
    }
  });
}

/** A name that is one folder of tracefs and nothing else. */
const NAME = /^[\w.-]+$/;

/** The number perf_event_open wants for a tracepoint, or undefined when this kernel has none by that name. */
export function tracepointId(category: string, name: string): number | undefined {
  if (!NAME.test(category) || !NAME.test(name)) return undefined;
  const text = readOptional(`finding tracepoint ${category}:${name}`, "events", category, name, "id");
  return text === undefined ? undefined : Number(text);
}

/** The text of a tracepoint's `format` file, or undefined when this kernel has none by that name. */
export function tracepointFormat(category: string, name: string): string | undefined {
  if (!NAME.test(category) || !NAME.test(name)) return undefined;
  return readOptional(
    `reading the format of tracepoint ${category}:${name}`,
    "events",
    category,
    name,
    "format",
  );
}

/** Every tracepoint category, sorted. */
export function tracepointCategories(): readonly string[] {
  return folders("events");
}

/** The tracepoints of a category, sorted; empty for an unknown one. */
export function tracepointNames(category: string): readonly string[] {
  return NAME.test(category) ? folders(join("events", category)) : [];
}

function folders(path: string): readonly string[] {
  return inTracefs("listing tracepoints", (root) => {
    try {
      const entries = readdirSync(join(root, path), { withFileTypes: true });
      return entries
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .sort();
    } catch (error) {
      if (systemCode(error) === "ENOENT") return [];
      throw error;
    }
  });
}

/** Every event this kernel has, as "category:name". */
export function availableEvents(): readonly string[] {
  return (readOptional("listing tracepoints", "available_events") ?? "").split("\n").filter(Boolean);
}

/**
 * Functions that tracing may be attached to, from `available_filter_functions`; names of module functions without
 * their module. Empty on kernels without function tracing.
 *
 * @throws PermissionError also for root, when the kernel is locked down
 */
export function kprobeTargets(): readonly string[] {
  const text = readOptional("listing functions", "available_filter_functions") ?? "";
  return text.split("\n").flatMap((line) => {
    const [name = ""] = line.split(/[ \t]/, 1);
    return name === "" ? [] : [name];
  });
}

/** Whether probes can be made by writing to tracefs. Mounts nothing. */
export function hasKprobeEvents(): boolean {
  const place = findTracefs();
  return place !== undefined && existsSync(join(place, "kprobe_events"));
}

/** The lines of `kprobe_events`: every probe that was made through tracefs, whoever made it. */
export function kprobeEvents(): readonly string[] {
  return (readOptional("listing probes", "kprobe_events") ?? "").split("\n").filter(Boolean);
}

/**
 * Adds one line to `kprobe_events`: "p:group/name symbol" makes a probe, "-:group/name" removes it.
 *
 * @throws SyscallError to be wrapped by the caller: ENOENT for an unknown function, EBUSY for a probe in use
 */
export function writeKprobeEvents(line: string): void {
  const path = join(tracefs(), "kprobe_events");
  try {
    appendFileSync(path, `${line}\n`);
  } catch (error) {
    throw new SyscallError(`write("${line}" to ${path})`, systemCode(error) ?? String(error));
  }
}

/** The system-wide trace pipe. Reading takes lines away from every other reader, so there should be one. */
export function openTracePipe(): Fd {
  return inTracefs("reading the trace pipe", (root) => {
    const path = join(root, "trace_pipe");
    return new Fd(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), "the trace pipe");
  });
}

/** Reads what is there now into `into`; 0 when nothing is. */
export function readNow(fd: Fd, into: Uint8Array): number {
  const { number } = fd;
  try {
    return readSync(number, into);
  } catch (error) {
    const code = systemCode(error);
    if (code === "EAGAIN" || code === "EINTR") return 0;
    throw new SyscallError(`read(${fd.label})`, code ?? String(error));
  }
}
