import { closeSync, writeSync } from "node:fs";
import { UnsupportedError } from "../../core/errors.ts";
import { memoryFile, type ProcessSpec, startProcess } from "../../sys/spawn.ts";

/**
 * A program of a hundred bytes that waits for one byte from a pipe and then becomes a command. A tracer can take hold of
 * it before the command's first instruction, its environment and descriptors stay as they are, and it ends by itself when
 * the pipe's other end closes.
 *
 *     read(PIPE, stack, 1) == 1 or exit(127)
 *     close(PIPE)
 *     for each argument from the second up to an empty one: execve(it, arguments behind the empty one, environment)
 *     exit(127)
 *
 * By processor: its ELF number, its code, and how the pipe's number is put into the first instruction.
 */
const PROGRAMS: Readonly<Partial<Record<string, Program>>> = {
  x64: {
    machine: 62,
    code: `bf00000000488d7424f8ba0100000031c00f0583f8017539b8030000000f05488b0424488d54c410488d5c24104889de
      488b3e4883c608803f0075f4488b3b803f00740db83b0000000f054883c308ebebbf7f000000b83c0000000f05`,
    // mov edi, PIPE
    setPipe: (code, pipe) => code.setUint32(1, pipe, true),
  },
  arm64: {
    machine: 183,
    code: `13008052e003132ae14300d1220080d2e80780d2010000d41f0400f141020054e003132a280780d2010000d4e00340f9
      e26f208b42400091f4430091e10314aa208440f803004039c3ffff35808640f80300403983000034a81b80d2010000d4
      fbffff17e00f80d2a80b80d2010000d4`,
    // movz w19, PIPE
    setPipe: (code, pipe) => code.setUint32(0, 0x52800013 | (pipe << 5), true),
  },
};

interface Program {
  readonly machine: number;
  readonly code: string;
  readonly setPipe: (code: DataView, pipe: number) => void;
}

const ELF_BYTES = 64;
const SEGMENT_BYTES = 56;
const CODE_AT = ELF_BYTES + SEGMENT_BYTES;
/** Where the only segment is mapped, as compilers have it. */
const BASE = 0x400000n;

/** The executable for this processor that waits on a pipe. @throws UnsupportedError for other processors */
function gateFile(pipe: number): Uint8Array {
  const program = PROGRAMS[process.arch];
  if (program === undefined) {
    throw new UnsupportedError(`commands cannot be traced on ${process.arch}`, {
      hint: "x64 and arm64 are supported",
    });
  }
  const code = Buffer.from(program.code.replace(/\s/g, ""), "hex");
  program.setPipe(new DataView(code.buffer, code.byteOffset, code.length), pipe);
  const file = Buffer.alloc(CODE_AT + code.length);
  // 64-bit, little-endian, version 1; an executable of version 1.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(program.machine, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BASE + BigInt(CODE_AT), 24);
  file.writeBigUInt64LE(BigInt(ELF_BYTES), 32);
  file.writeUInt16LE(ELF_BYTES, 52);
  file.writeUInt16LE(SEGMENT_BYTES, 54);
  file.writeUInt16LE(1, 56);
  // PT_LOAD, readable and executable, all of the file.
  file.writeUInt32LE(1, ELF_BYTES);
  file.writeUInt32LE(5, ELF_BYTES + 4);
  for (const at of [16, 24]) file.writeBigUInt64LE(BASE, ELF_BYTES + at);
  for (const at of [32, 40]) file.writeBigUInt64LE(BigInt(file.length), ELF_BYTES + at);
  file.writeBigUInt64LE(0x1000n, ELF_BYTES + 48);
  file.set(code, CODE_AT);
  return file;
}

/** A command behind a gate. */
export interface GateSpec extends Pick<ProcessSpec, "env" | "cwd" | "stdio"> {
  /** The read end of the pipe; the command does not get it. */
  readonly pipe: number;
  /** Paths to try in turn, as execvp(3) does. None: the process only waits, and ends. */
  readonly candidates: readonly string[];
  readonly argv: readonly string[];
}

/**
 * Starts a process that becomes a command when it reads a byte, and ends when there is none to come.
 * @returns its id
 * @throws SyscallError, UnsupportedError
 */
export function startBehindGate(spec: GateSpec): number {
  const { env, cwd, stdio, pipe, candidates, argv } = spec;
  const file = memoryFile("rxbpf-gate");
  try {
    writeSync(file, gateFile(pipe));
    return startProcess({
      path: `/proc/self/fd/${file}`,
      argv: ["rxbpf-gate", ...candidates, "", ...argv],
      env,
      cwd,
      stdio,
      keep: pipe,
    });
  } finally {
    closeSync(file);
  }
}
