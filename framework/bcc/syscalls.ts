/** What has come before a system call's name in kernel functions, on any architecture or kernel. */
const PREFIXES = [
  "__x64_sys_",
  "__x32_compat_sys_",
  "__ia32_compat_sys_",
  "__arm64_sys_",
  "__s390x_sys_",
  "__s390_sys_",
  "__riscv_sys_",
  "sys_",
] as const;

/** The system call a kernel function serves ("__x64_sys_execve" and "sys_execve" → "execve"), or undefined. */
export function syscallOf(functionName: string): string | undefined {
  const prefix = PREFIXES.find((candidate) => functionName.startsWith(candidate));
  return prefix === undefined || functionName === prefix ? undefined : functionName.slice(prefix.length);
}
