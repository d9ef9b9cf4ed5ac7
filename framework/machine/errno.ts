/** Error numbers that helpers and maps answer, negative as programs see them (include/uapi/asm-generic/errno-base.h). */
export const errno = {
  EPERM: -1,
  ENOENT: -2,
  E2BIG: -7,
  EBADF: -9,
  EAGAIN: -11,
  ENOMEM: -12,
  EFAULT: -14,
  EBUSY: -16,
  EEXIST: -17,
  EINVAL: -22,
  ENOSPC: -28,
  ERANGE: -34,
  EOPNOTSUPP: -95,
  ENOTSUPP: -524,
} as const;

/** The name of an error number. */
export function errnoName(number: number): string {
  return Object.entries(errno).find(([, value]) => value === number)?.[0] ?? `error ${-number}`;
}
