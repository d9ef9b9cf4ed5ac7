import { PermissionError } from "../core/errors.ts";

/** Whether an errno says that a privilege is missing. */
export function isPermission(errno: string | undefined): boolean {
  return errno === "EPERM" || errno === "EACCES";
}

/** What the process may not do, and which capability would let it. Capabilities since Linux 5.8; before, root. */
export function missingPrivilege(doing: string, capability: string, cause: unknown): PermissionError {
  return new PermissionError(`${doing} needs ${capability}`, {
    hint:
      process.geteuid?.() === 0
        ? "this root user lacks the capability (a container?), or the kernel is locked down"
        : 'run as root, or "setcap cap_bpf,cap_perfmon,cap_net_admin+ep" on node',
    cause,
  });
}
