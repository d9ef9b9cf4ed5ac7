import { type BpfError, UnsupportedError, UsageError } from "../core/errors.ts";
import { programKinds } from "../programs/kinds.ts";
import { withArena } from "../sys/arena.ts";
import { bpfReply, errnoOf } from "../sys/bpf.ts";
import { kernelRelease } from "../sys/proc.ts";
import { progTestRun } from "../uapi/bpf-attr.ts";
import { isPermission, missingPrivilege } from "./permission.ts";
import type { KernelProgram } from "./programs.ts";

/** What one run of a program gave. */
export interface TestResult {
  /** The low 32 bits of r0. */
  readonly result: number;
  /** The packet afterwards, or the context unchanged. */
  readonly output: Uint8Array;
}

/** Room for what a program may put before and behind a packet: XDP_PACKET_HEADROOM and as much again. */
const PACKET_GROWTH = 512;

/**
 * Runs a program once (BPF_PROG_TEST_RUN): packet bytes for network kinds, at least an Ethernet header of 14; the
 * arguments, 8 bytes each, for raw tracepoints.
 *
 * @throws UnsupportedError for kinds that this kernel does not run this way
 */
export function testRun(program: KernelProgram, input: Uint8Array): TestResult {
  const isRaw = programKinds[program.kind].hook === "raw_tracepoint";
  try {
    return isRaw ? runOnContext(program, input) : runOnPacket(program, input);
  } catch (error) {
    throw explain(program, input, error);
  }
}

function runOnContext(program: KernelProgram, input: Uint8Array): TestResult {
  return withArena((arena) => {
    const { attr } = bpfReply("BPF_PROG_TEST_RUN", progTestRun, {
      prog_fd: program.fd,
      ctx_in: arena.in(input),
      ctx_size_in: input.length,
    });
    return { result: attr.retval, output: input.slice() };
  });
}

function runOnPacket(program: KernelProgram, input: Uint8Array): TestResult {
  return withArena((arena) => {
    const output = arena.out(input.length + PACKET_GROWTH);
    const { attr } = bpfReply("BPF_PROG_TEST_RUN", progTestRun, {
      prog_fd: program.fd,
      data_in: arena.in(input),
      data_size_in: input.length,
      data_out: output.address,
      data_size_out: output.bytes.length,
      repeat: 1,
    });
    return { result: attr.retval, output: output.bytes.slice(0, attr.data_size_out) };
  });
}

function explain(program: KernelProgram, input: Uint8Array, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  const doing = `running program "${program.spec.name}" on ${input.length} bytes`;
  if (isPermission(errno)) return missingPrivilege(doing, "CAP_BPF", cause);
  return errno === "ENOTSUPP" || errno === "ENOSYS" || errno === "EOPNOTSUPP"
    ? unsupported(program, cause)
    : new UsageError(`${doing} failed: ${errno}`, {
        hint: "network programs take a packet of at least 14 bytes, raw tracepoints 8 bytes per argument, at most 12",
        cause,
      });
}

function unsupported(program: KernelProgram, cause: unknown): BpfError {
  return new UnsupportedError(`${kernelRelease()} cannot run a ${program.kind} program on given bytes`, {
    cause,
  });
}
