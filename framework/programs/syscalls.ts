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

/** How 32-bit programs enter on x86-64: the same call, with its parameters in other registers. */
const IA32 = "__ia32_sys_";

/** The system call a kernel function serves ("__x64_sys_execve" and "sys_execve" → "execve"), or undefined. */
export function syscallOf(functionName: string): string | undefined {
  const prefix = PREFIXES.find((candidate) => functionName.startsWith(candidate));
  return prefix === undefined || functionName === prefix ? undefined : functionName.slice(prefix.length);
}

/**
 * Which registers of the caller hold the parameters of a system call that a kernel function serves: those of the
 * machine, or those of 32-bit programs. Null for functions that serve none.
 */
export function syscallRegisters(functionName: string): "native" | "ia32" | null {
  if (functionName.startsWith(IA32)) return "ia32";
  return syscallOf(functionName) === undefined ? null : "native";
}
