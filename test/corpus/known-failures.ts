/** A failure that is not this library's to mend. */
export interface KnownFailure {
  /** Matches the program's name. */
  readonly program: RegExp;
  /** Matches what the failure says: another failure of the same program is not known. */
  readonly failure: RegExp;
  /** Matches the releases of the kernels on which it fails. */
  readonly kernel: RegExp;
  readonly cause: string;
}

/**
 * What BCC compiles and loads and this library does not. A row whose programs all pass on a kernel that it names makes
 * the run fail, as does a failure without a row.
 */
export const knownFailures: readonly KnownFailure[] = [
  {
    program: /^cpuunclaimed #1$/,
    failure: /invalid bpf_context access/,
    kernel: /^6\.(?:1[0-9]|[2-9]\d)/,
    cause:
      "the tool compiles it to see whether a member exists and never loads it; loaded as a probe, it reads the registers at that member's offset: 136 with the headers of 6.1 that BCC has, 176 by newer kernels' own types, where the registers have ended",
  },
  {
    program: /^nfsslower/,
    failure: /struct nfs_commit_data/,
    kernel: /^6\.18/,
    cause:
      "it reads members of structs that only a kernel with NFS, built in or as a module, has in its types; BCC takes them from the headers of a kernel, be it another one",
  },
];

/** The row for a failure on a kernel, if there is one. */
export function knownFailure(program: string, failure: string, release: string): KnownFailure | undefined {
  return knownFailures.find(
    (row) => row.kernel.test(release) && row.program.test(program) && row.failure.test(failure),
  );
}
